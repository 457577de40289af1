"""kill -9 between and inside the rounds of a campaign: the same model, bit for bit.

A seed fixes who dies and when. Failures: a model, or a roll of who took part, that is not that of
an undisturbed run; a round too many or too few; a capsule charged twice for a round, or never; an
audit that is red. The rules of test_kills.py hold too.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from mortals import pause, until
from rounds_town import DRAWN, LEAST, ROUNDS, SPARE, RoundsTown, replay
from striking import strike
from town import CAPSULES, HOSTS, founded

pytestmark = pytest.mark.processes

SEED = 20261201
# Who dies. In six rounds everybody has something to lose: the scheduler and the helper the sums of
# a round, a worker its order, its partial or the state, who concludes the next model.
DECK = ("work", "helper", "group", "conclude", "work", "broker", "witness", "helper", "agent")
# What is drawn from, after a round's opening and after its beginning.
GAP_SECONDS = ((0.0, 0.5), (0.0, 1.5))
INSIDE = 0.5
SECONDS = 240.0
MODEL_SEED = 4711


@contextmanager
def learning_town() -> Iterator[RoundsTown]:
    with founded(RoundsTown, 10, "shared") as made:
        yield made


def under_fire(place: RoundsTown, campaign: str, kills: int, draw: random.Random) -> list[str]:
    """Kill `kills` times, spread over the rounds; the story, one line each.

    Half of them hit a round while it is open or opened by its institutions, half the time from its
    opening on, when its sum is concluded and the next round planned.
    """
    deck = list(DECK) * -(-kills // len(DECK))
    draw.shuffle(deck)
    story, began = [], time.monotonic()
    for kill, victim in enumerate(deck[:kills]):
        target = 1 + kill * ROUNDS // kills
        inside = draw.random() < INSIDE

        def reached(target: int = target, inside: bool = inside) -> bool:
            number, state = place.round_of(campaign)
            return number > target or (number == target and (inside or state == "opened"))

        until(f"round {target} of {campaign}", reached, SECONDS)
        pause(draw.uniform(*GAP_SECONDS[inside]))
        at = place.round_of(campaign)
        died = strike(place, victim, draw)
        story.append(f"{campaign} +{time.monotonic() - began:.1f} s {victim} {died} at {at}")
    return story


def require_undisturbed(place: RoundsTown, campaign: str, seed: int) -> np.ndarray:
    """Every host in every round, and the model that follows from that; it is returned."""
    model, roll = place.released(campaign)
    assert (roll == 1.0).all()
    assert model.tobytes() == replay(seed, roll).tobytes()
    return model


def require_drawn(place: RoundsTown, campaign: str, seed: int, *, spare: bool) -> np.ndarray:
    """As many hosts as are enough in every round; who was in each, [ROUNDS, HOSTS]."""
    model, roll = place.released(campaign)
    assert model.tobytes() == replay(seed, roll).tobytes()
    taking_part = roll.reshape(ROUNDS, HOSTS, CAPSULES)[:, :, 0]
    # Without a spare one, the two that were drawn are waited for however often they die.
    assert set(taking_part.sum(axis=1)) <= set(range(LEAST, HOSTS + 1 if spare else LEAST + 1))
    return taking_part


def require_charges(place: RoundsTown, drawn: dict[str, np.ndarray]) -> None:
    """Once for every round that a capsule was in; at most once for one that it was asked for."""
    place.stop_workers()
    everybody, every_round = np.ones((ROUNDS, HOSTS)), set(range(1, ROUNDS + 1))
    for host in range(HOSTS):
        counted = Counter(row[:3] for row in place.charges(host))
        assert set(counted.values()) == {1}
        charged: dict[tuple[str, str], set[int]] = defaultdict(set)
        for capsule, campaign, number in counted:
            charged[capsule, campaign].add(number)
        for capsule in place.capsules(host):
            for campaign in place.campaigns:
                was_in = drawn.get(campaign, everybody)[:, host]
                least = {int(index) + 1 for index in np.flatnonzero(was_in)}
                assert least <= charged.pop((capsule, campaign), set()) <= every_round
        assert not charged


def one_life(seed: int, kills: int, *manifests: str) -> None:
    """A territory that learns: undisturbed, under fire, and with a share of its workers."""
    draw, started = random.Random(seed), time.monotonic()
    with learning_town() as place:
        calm = place.begin(place.bundle, MODEL_SEED)
        expected = require_undisturbed(place, calm, MODEL_SEED)
        founded_and_calm = time.monotonic() - started
        shot_at = place.begin(place.bundle, MODEL_SEED)
        story = under_fire(place, shot_at, kills, draw)
        assert require_undisturbed(place, shot_at, MODEL_SEED).tobytes() == expected.tobytes()
        drawn = {}
        for number, manifest in enumerate(manifests):
            bundle = place.vote(f"share_{number}", manifest)
            campaign = place.begin(bundle, seed % 1_000_000 + 1)
            story += under_fire(place, campaign, kills // 2, draw)
            spare = manifest is SPARE
            drawn[campaign] = require_drawn(place, campaign, seed % 1_000_000 + 1, spare=spare)
        place.mortals.require_alive()
        place.require_audited()
        require_charges(place, drawn)
    print(
        f"seed {seed}: undisturbed after {founded_and_calm:.0f} s, in all "
        f"{time.monotonic() - started:.0f} s",
        *story,
        sep="\n",
        file=sys.stderr,
    )


def test_kills_in_six_rounds_change_no_bit_of_the_model():
    one_life(SEED, 4)


@pytest.mark.soak
@pytest.mark.parametrize("life", range(4))
def test_many_kills_in_many_rounds_change_no_bit_of_the_model(life, record_property):
    # A failed life is lived again with SOAK_SEED=<its seed> and `-k <its number>`.
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().getrandbits(32)))
    record_property("seed", seed)
    print(f"life {life}: seed {seed}", file=sys.stderr)
    one_life(seed, 16, DRAWN, SPARE)


def test_the_model_tells_a_lost_a_doubled_and_a_late_contribution():
    """What the exactness above rests on: each of these makes another model."""
    roll = np.ones((ROUNDS, HOSTS * CAPSULES))
    models = {replay(MODEL_SEED, roll).tobytes(), replay(MODEL_SEED + 1, roll).tobytes()}
    for number, many in ((0, 0.0), (3, 2.0), (ROUNDS - 1, 0.0)):
        other = roll.copy()
        other[number, 17] = many
        models.add(replay(MODEL_SEED, other).tobytes())
    models.add(replay(MODEL_SEED, roll[:-1]).tobytes())
    assert len(models) == 6
