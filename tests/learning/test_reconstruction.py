"""A published attack on what learning sends: reading a person back from an update.

The first layer of a network is linear in what it reads, so its gradient is an outer product:
dW = d outer x and db = d, hence x = dW[i] / db[i], exactly (Phong et al. 2018, "Privacy-Preserving
Deep Learning via Additively Homomorphic Encryption", section 3). The label is where the last
bias' gradient is negative (Zhao et al. 2020, "iDLG"). And where there is no bias to divide by, an
optimiser finds the person whose gradient fits ("Deep Leakage from Gradients", Zhu et al. 2019).
Here all three are run by somebody who knows the model, first on one person's raw update, then on
what leaves a campaign: clipped by the guard, summed over the cohort, noised twice. The same is
done to `mode_shift` itself where torch is installed.

Errors are means over features of size one: 1 is what guessing the average person reaches.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from capsule_runtime import guard
from jobs import manifest, opening
from protection import accounting
from protection.aggregators import draw_noise
from trust.documents.rules import ReleaseRules
from trust.entropy import seeded

MANIFEST = manifest.read((opening.built_in_folder("mode_shift") / "bundle.toml").read_bytes())
FEATURES, HIDDEN, MODES = 8, 3, 6
PERSONS = 24 * 56  # of one round of `mode_shift`: 24 employers, of each at most 56 people
TARGETS = 100
Array = NDArray[np.float64]
Steps = NDArray[np.int64]


@dataclass(frozen=True)
class Network:
    """x -> tanh(Wx + b) -> softmax(Vh + c), about as large as the network of `mode_shift`."""

    inner: Array
    bias: Array
    outer: Array
    last: Array

    @property
    def size(self) -> int:
        """How many numbers an update has."""
        return sum(part.size for part in (self.inner, self.bias, self.outer, self.last))

    def gradient(self, person: Array, label: int) -> Array:
        """One person's update, flat: inner, bias, outer, last."""
        hidden = np.tanh(self.inner @ person + self.bias)
        scores = self.outer @ hidden + self.last
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        wrong = chances - np.eye(MODES)[label]
        back = (self.outer.T @ wrong) * (1 - hidden**2)
        parts = (np.outer(back, person), back, np.outer(wrong, hidden), wrong)
        return np.concatenate([part.ravel() for part in parts])


def network() -> Network:
    draw = np.random.default_rng(2)
    return Network(
        draw.normal(size=(HIDDEN, FEATURES)) * 0.3,
        draw.normal(size=HIDDEN) * 0.1,
        draw.normal(size=(MODES, HIDDEN)) * 0.5,
        draw.normal(size=MODES) * 0.1,
    )


def people() -> tuple[Array, NDArray[np.int64]]:
    """Features of mean 0 and size 1, and what each person chose."""
    draw = np.random.default_rng(3)
    return draw.normal(size=(PERSONS, FEATURES)), draw.integers(0, MODES, size=PERSONS)


def read_back(update: Array) -> tuple[Array, int]:
    """The person and the label that an update speaks of, if it speaks of one."""
    weights = update[: HIDDEN * FEATURES].reshape(HIDDEN, FEATURES)
    biases = update[HIDDEN * FEATURES :][:HIDDEN]
    row = int(np.abs(biases).argmax())
    divisor = biases[row] if biases[row] != 0 else 1.0
    # Whoever attacks knows how far features reach: a guess beyond that helps nobody.
    return np.clip(weights[row] / divisor, -4.0, 4.0), int(update[-MODES:].argmin())


def fitted(model: Network, update: Array, label: int) -> Array:
    """Deep leakage: the person whose gradient is nearest to `update`, whose biases are not seen.

    Levenberg and Marquardt's steps from several starts, numeric slopes.
    """
    seen = np.r_[0 : HIDDEN * FEATURES, HIDDEN * FEATURES + HIDDEN : model.size]
    draw = np.random.default_rng(4)
    best, least = np.zeros(FEATURES), np.inf
    for _ in range(4):
        person, damping = draw.normal(size=FEATURES) * 0.5, 1e-2
        missed = (model.gradient(person, label) - update)[seen]
        for _ in range(60):
            shifted = [model.gradient(person + 1e-6 * axis, label) for axis in np.eye(FEATURES)]
            slopes = ((np.array(shifted) - model.gradient(person, label))[:, seen] / 1e-6).T
            normal = slopes.T @ slopes + damping * np.eye(FEATURES)
            tried = np.clip(person - np.linalg.solve(normal, slopes.T @ missed), -4.0, 4.0)
            left = (model.gradient(tried, label) - update)[seen]
            if left @ left < missed @ missed:
                person, missed, damping = tried, left, max(damping / 4, 1e-12)
            else:
                damping *= 8
        if missed @ missed < least:
            best, least = person, float(missed @ missed)
    return best


def rules(model: Network) -> tuple[ReleaseRules, ...]:
    """Those of `mode_shift`, for an update of this network's length."""
    update, progress = MANIFEST.rules()
    return replace(update, shape=(model.size,)), progress


def judged(model: Network, updates: list[Array]) -> tuple[guard.Judged, ...]:
    (progress,) = MANIFEST.rules()[1].shape
    frames = (update.tobytes() + bytes(8 * progress) for update in updates)
    found = tuple(guard.judge(rules(model), frame) for frame in frames)
    assert all(not one.verdict.neutral for one in found)
    return found


def in_units(one: guard.Judged, voted: ReleaseRules) -> Array:
    """What the guard lets pass of an update, on the grid of its steps."""
    return np.asarray(one.vectors["update"], np.float64) * float(accounting.step_of(voted))


def summed(voted: tuple[ReleaseRules, ...], runs: tuple[guard.Judged, ...]) -> Steps:
    """The sum of everybody's update, in steps, as the guard adds it."""
    total = guard.Sum(voted, rounds=MANIFEST.rounds.maximum)
    total.add_capsule(tuple((one, 1) for one in runs))
    return total.values["update"]


def released(voted: tuple[ReleaseRules, ...], total: Steps, seed: bytes) -> Array:
    """The update that a round of the campaign opens: both aggregators add their noise."""
    steps, entropy = total.astype(np.float64), seeded(seed)
    for _ in range(2):
        steps += draw_noise(voted, MANIFEST.rounds.maximum, entropy)["update"]
    return steps * float(accounting.step_of(voted[0]))


def error(guess: Array, person: Array) -> float:
    return float(np.mean((guess - person) ** 2))


def test_a_raw_update_gives_the_person_away() -> None:
    model, (persons, labels) = network(), people()
    found = [read_back(model.gradient(persons[n], int(labels[n]))) for n in range(TARGETS)]
    assert max(error(guess, persons[n]) for n, (guess, _) in enumerate(found)) < 1e-12
    assert [label for _, label in found] == labels[:TARGETS].tolist()


def test_without_a_bias_an_optimiser_finds_the_person() -> None:
    model, (persons, labels) = network(), people()
    errors = [
        error(fitted(model, model.gradient(persons[n], int(labels[n])), int(labels[n])), persons[n])
        for n in range(10)
    ]
    assert np.median(errors) < 1e-6


def test_clipping_alone_hides_nobody() -> None:
    # A sum over one person without noise is a raw update on a coarser grid: minima and noise
    # are what protects, the clip only bounds.
    model, (persons, labels) = network(), people()
    runs = judged(model, [model.gradient(persons[n], int(labels[n])) for n in range(TARGETS)])
    found = [read_back(in_units(one, rules(model)[0])) for one in runs]
    right = sum(label == labels[n] for n, (_, label) in enumerate(found))
    errors = [error(guess, persons[n]) for n, (guess, _) in enumerate(found)]
    assert np.median(errors) < 0.01
    assert right >= 0.98 * TARGETS


def test_what_a_campaign_opens_is_no_better_than_a_guess() -> None:
    model, (persons, labels) = network(), people()
    updates = [model.gradient(person, int(label)) for person, label in zip(*people(), strict=True)]
    total = summed(rules(model), judged(model, updates))
    errors, fits, right = [], [], 0
    for trial in range(20):
        opened = released(rules(model), total, b"round %d" % trial)
        guess, label = read_back(opened)
        errors += [error(guess, person) for person in persons[:TARGETS]]
        right += int((labels[:TARGETS] == label).sum())
        fit = fitted(model, opened / PERSONS, label)
        fits += [error(fit, person) for person in persons[:TARGETS]]
    mean = error(np.zeros((TARGETS, FEATURES)), persons[:TARGETS])
    assert np.mean(errors) >= mean
    assert np.mean(fits) >= mean
    assert right / (20 * TARGETS) == pytest.approx(1 / MODES, abs=0.06)


def test_who_knows_everybody_else_meets_the_noise_alone() -> None:
    """The strongest observer: all other updates are known and taken away from the sum."""
    model, (persons, labels) = network(), people()
    updates = [model.gradient(person, int(label)) for person, label in zip(*people(), strict=True)]
    runs = judged(model, updates)
    step = float(accounting.step_of(rules(model)[0]))
    total = summed(rules(model), runs)
    others = (total - runs[0].vectors["update"]) * step
    errors, right = [], 0
    for trial in range(100):
        guess, label = read_back(released(rules(model), total, b"known %d" % trial) - others)
        errors.append(error(guess, persons[0]))
        right += label == int(labels[0])
    assert np.mean(errors) >= error(np.zeros(FEATURES), persons[0])
    assert right / 100 < 1 / MODES + 0.15


def table_of(count: int) -> dict[str, NDArray[np.generic]]:
    """Invented people as `mode_shift` reads them; every way is open to everybody."""
    draw = np.random.default_rng(6)
    ranges = MANIFEST.mock["commute"].columns
    table: dict[str, NDArray[np.generic]] = {}
    for name in MANIFEST.needs.tables["commute"]:
        known = ranges.get(name)
        low, high = (float(known.minimum), float(known.maximum)) if known else (0.0, 60.0)
        table[name] = np.asarray(draw.uniform(low, high, size=count))
    for name in ("vehicles", "workers", "household", "work_core", "work_centre"):
        table[name] = np.rint(table[name])
    for way in range(1, MODES + 1):
        table[f"open_{way}"] = np.ones(count)
    table["mode"] = draw.integers(1, MODES + 1, size=count)
    table["persons"] = np.ones(count, np.int64)
    return table


def read_resident(update: Array) -> tuple[Array, int]:
    """Home, person and work sector from an update of `mode_shift`, and the mode that was chosen."""
    usual, home, bias, person, work = np.split(update[:45], [6, 12, 15, 33])
    row = int(np.abs(bias).argmax())
    told = [part.reshape(3, -1)[row] for part in (home, person, work)]
    divisor = bias[row] if bias[row] != 0 else 1.0
    return np.clip(np.concatenate(told) / divisor, -4.0, 4.0), int(usual.argmin())


@dataclass(frozen=True)
class Residents:
    """Who a round of `mode_shift` asks, and what each answers: made once, it takes ten seconds."""

    truth: Array  # one row a person: home, the person, work
    labels: NDArray[np.int64]
    updates: list[Array]
    progress: list[Array]

    def judged(self, count: int = PERSONS, factor: float = 1.0) -> tuple[guard.Judged, ...]:
        """What the guard makes of the first updates; a factor other than 1 is a lie."""
        told = zip(self.updates[:count], self.progress, strict=False)
        frames = ((factor * update).tobytes() + progress.tobytes() for update, progress in told)
        return tuple(guard.judge(MANIFEST.rules(), frame) for frame in frames)

    def missed(self, guess: Array, person: int) -> float:
        """How far a guess is off: mean square, in standard deviations of each feature."""
        spread = np.maximum(self.truth.std(axis=0), 1e-9)
        return error(guess / spread, self.truth[person] / spread)

    def attacked(self, updates: list[Array]) -> tuple[Array, int]:
        """Update n is read as if it were person n's: her errors, and how many modes are right."""
        found = [read_resident(update) for update in updates]
        errors = [self.missed(guess, n) for n, (guess, _) in enumerate(found)]
        told = np.array([label for _, label in found])
        return np.array(errors), int((told == self.labels[: len(told)]).sum())


@pytest.fixture(scope="module")
def residents() -> Residents:
    torch = pytest.importorskip("torch", reason="torch is not installed (the extra `learning`)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")
    from demo import learning_model

    torch.set_num_threads(1)
    algorithm: Any = learning_model.algorithm()
    table = table_of(PERSONS)
    settings = {"seed": 1, "state": {"moved": np.zeros(49)}, "round": 1, "rounds": 6}
    answers = [
        algorithm.contribute(
            {"commute": {name: values[n : n + 1] for name, values in table.items()}}, settings
        )
        for n in range(PERSONS)
    ]
    graph = algorithm.graph_of(table)
    return Residents(
        torch.cat([graph[name] for name in ("home", "resident", "work")], dim=1).numpy(),
        table["mode"].astype(np.int64) - 1,
        [answer["update"] for answer in answers],
        [answer["progress"] for answer in answers],
    )


# The figures of "Reading a person back from an update" in docs/threat-model.md. Noise is seeded, so
# a tolerance has room for another machine's rounding and for nothing else.


def test_mode_shift_gives_its_people_away_raw_and_clipped(residents: Residents) -> None:
    errors, right = residents.attacked(residents.updates[:TARGETS])
    assert errors.max() < 1e-30  # nothing but rounding
    assert right == TARGETS

    voted = MANIFEST.rules()[0]
    runs = residents.judged(TARGETS)
    errors, right = residents.attacked([in_units(one, voted) for one in runs])
    assert errors.mean() == pytest.approx(0.0002, abs=0.00005)
    assert right == TARGETS


def test_what_mode_shift_opens_is_worse_than_the_average_person(residents: Residents) -> None:
    usual = residents.truth.mean(axis=0)
    average = np.mean([residents.missed(usual, n) for n in range(TARGETS)])
    assert average == pytest.approx(1.01, abs=0.01)

    voted, labels = MANIFEST.rules(), residents.labels[:TARGETS]
    total = summed(voted, residents.judged())
    errors, right = [], 0
    for trial in range(20):
        guess, label = read_resident(released(voted, total, b"mode %d" % trial))
        errors += [residents.missed(guess, n) for n in range(TARGETS)]
        right += int((labels == label).sum())
    assert np.mean(errors) == pytest.approx(1.81, abs=0.02)
    assert right / 20 == pytest.approx(23, abs=0.5)
    # As often as by naming the mode that most of them take.
    assert right / 20 <= np.bincount(labels, minlength=MODES).max() + 0.5


def test_who_knows_all_others_of_mode_shift_meets_the_noise_alone(residents: Residents) -> None:
    voted, runs = MANIFEST.rules(), residents.judged()
    total, step = summed(voted, runs), float(accounting.step_of(voted[0]))
    errors, right = [], 0
    for trial in range(4):  # each person once in each
        left = [
            released(voted, total, b"known %d %d" % (trial, n))
            - (total - runs[n].vectors["update"]) * step
            for n in range(TARGETS)
        ]
        missed, found = residents.attacked(left)
        errors.append(missed.mean())
        right += found
    assert np.mean(errors) == pytest.approx(6.70, abs=0.05)
    assert right / 4 == pytest.approx(18, abs=0.5)  # a die: 17


def test_a_liar_moves_the_sum_by_the_clip_and_no_further(residents: Residents) -> None:
    """The figures under "Poisoning" in docs/threat-model.md."""
    voted = MANIFEST.rules()[0]
    step, clip = float(accounting.step_of(voted)), float(voted.bound)
    raw = np.array(residents.updates)

    def moved(liars: int, factor: float) -> float:
        lied, honest = (
            np.sum([one.vectors["update"] for one in residents.judged(liars, told)], axis=0)
            for told in (factor, 1.0)
        )
        return float(np.linalg.norm(lied - honest)) * step

    # A hundred times her update, without the guard and with it, beside all that the others say.
    assert np.linalg.norm(99 * raw[0]) == pytest.approx(194, abs=0.5)
    assert np.linalg.norm(raw[1:].sum(axis=0)) == pytest.approx(179, abs=0.5)
    assert moved(1, 100.0) == pytest.approx(0.04, abs=0.02)
    # Signs flipped by one, by one in a hundred, by one in ten.
    for liars, length in ((1, 3.9), (13, 11), (134, 65)):
        found = moved(liars, -1.0)
        assert found == pytest.approx(length, abs=0.6)
        assert found <= 2 * liars * clip
    variance = float(accounting.variances_of((voted,), MANIFEST.rounds.maximum)["update"])
    both = step * np.sqrt(2 * voted.shape[0] * variance)
    assert both == pytest.approx(51, abs=0.5)
