"""A whole campaign of a bundle over capsules of the author's own, on the production path.

Sandbox, portions, guard, noise, aggregate and report are those of a real round; only the capsules
are invented or the author's. The algorithm's error messages are kept here and nowhere else.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from capsule_runtime import guard
from capsule_runtime.broker.program import Program
from capsule_runtime.guard import Judged, Verdict
from capsule_runtime.portions import drawn, portions
from capsule_runtime.sandbox import LoadedJob, Outcome, Zygote
from jobs import aggregate, conclusion, report, state
from jobs.errors import ReportRefused
from protection import accounting
from protection.aggregators import draw_noise
from protection.ckks import masks, packing, residues, scheme
from protection.ckks.profile import check_admission, profile_of
from protection.cohort import check_cohort
from protection.columns import Column, Tables
from protection.errors import CohortTooSmall
from protection.layout import Layout
from protection.products import released
from protection.seeds import Seed
from protection.shares import MaskSum, ShareSum, split
from trust.documents.rules import DataClass, Protection
from trust.entropy import Entropy
from trust.ids import Digest

SHOWN_ERRORS = 3
OnRound = Callable[[int, Mapping[str, Column]], None]
_MOST_PROTECTED_FIRST = (DataClass.PERSONAL, DataClass.COMPANY, DataClass.PUBLIC)


@dataclass(frozen=True)
class Rehearsal:
    """What came of it; `report` is None when the cohort was too small or `conclude` failed."""

    facts: dict[str, int | float]
    verdicts: dict[str, int]  # guard verdict -> runs
    report: bytes | None
    complaints: tuple[str, ...]
    state: Mapping[str, Column] | None = None  # what the last round left, where there is one

    @property
    def well(self) -> bool:
        """Whether every run was accepted as it was and a report came out."""
        return self.report is not None and set(self.verdicts) <= {Verdict.ACCEPTED}


@dataclass
class _Costs:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.wall.append(outcome.wall_seconds)
        self.cpu.append(outcome.cpu_seconds)
        self.memory.append(outcome.peak_rss_kib)

    def summary(self, capsules: int, contributors: int) -> dict[str, int | float]:
        return {
            "capsules": capsules,
            "contributors": contributors,
            "runs": len(self.wall),
            "ms per capsule": round(1000 * sum(self.wall) / max(capsules, 1), 2),
            "ms per run, median": round(1000 * statistics.median(self.wall or [0.0]), 2),
            "CPU ms per run": round(1000 * statistics.fmean(self.cpu or [0.0]), 2),
            "memory MiB, peak": round(max(self.memory or [0]) / 1024, 1),
        }


class _Complaints:
    """The first few things that went wrong, with the algorithm's own words."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        if len(self.lines) < SHOWN_ERRORS:
            self.lines.append(line)

    def of_run(self, entry: str, outcome: Outcome) -> None:
        if outcome.frame is not None or len(self.lines) >= SHOWN_ERRORS:
            return
        words = "".join(
            letter if letter.isprintable() or letter in "\n\t" else "?"
            for letter in outcome.stderr.decode(errors="replace").strip()
        )
        self.lines.append(
            f"{entry} ended with {outcome.status.value}" + (f":\n{words}" * bool(words))
        )


def rehearse(
    zygote: Zygote,
    program: Program,
    settings: bytes,
    capsules: Sequence[Tables],
    entropy: Entropy,
    *,
    progress: OnRound = lambda _number, _told: None,
) -> Rehearsal:
    """Run `program` over `capsules` with full noise. `zygote` should keep standard error.

    Round follows round until the bundle stops or has had its last; `progress` hears each one's
    number and its report's values. What an algorithm does wrong becomes a complaint. Raises
    SandboxError when no sandbox starts, TablesRefused when the capsules lack what the bundle
    needs, TensealMissing for an `encrypted` bundle where it is not installed.
    """
    encrypted = {rule.protection for rule in program.rules} == {Protection.ENCRYPTED}
    # First of all: what cannot be opened in the end need not be run.
    keys = scheme.generate(profile_of(program.rules)) if encrypted else None
    manifest = program.bundle_file.manifest
    play = _Play(zygote, program)
    parameters, number, rendered, left = state.first(manifest, settings), 1, None, None
    while True:
        total = play.contributed(parameters, capsules)
        try:
            blob = _released(program, total, entropy, keys)
        except CohortTooSmall as problem:
            play.complaints.lines.append(f"{problem.sentence}; try with more capsules")
            break
        result = play.concluded(parameters, blob)
        if result is None:
            break
        concluded = conclusion.read(manifest, result)
        progress(number, concluded.report)
        left = concluded.state
        if concluded.stop or number == program.rounds:
            rendered = report.render(manifest, result)
            break
        assert concluded.state is not None
        number += 1
        parameters = state.following(settings, number, concluded.state)
    facts = play.costs.summary(total.cohort.capsules, total.cohort.contributors)
    return Rehearsal(
        {**facts, "rounds": number},
        dict(play.verdicts),
        rendered,
        tuple(play.complaints.lines),
        left,
    )


class _Play:
    """The runs of one rehearsal, and what they cost and complained of."""

    def __init__(self, zygote: Zygote, program: Program) -> None:
        self.complaints, self.costs = _Complaints(), _Costs()
        self.verdicts: Counter[str] = Counter()
        self._zygote, self._program = zygote, program

    def contributed(self, parameters: bytes, capsules: Sequence[Tables]) -> guard.Sum:
        """The sum over all capsules, as one worker makes it."""
        program = self._program
        total = guard.Sum(program.rules, rounds=program.rounds)
        clipped = self.verdicts[Verdict.CLIPPED]
        with self._zygote.load(program.contribute_job(parameters)) as job:
            for number, tables in enumerate(capsules):
                parts = drawn(
                    portions(tables, program.tables, program.unit),
                    program.draw,
                    Digest.of(parameters + number.to_bytes(4, "big")),
                )
                total.add_capsule(tuple((self._judged(job, p.data), p.units) for p in parts))
        if clipped := self.verdicts[Verdict.CLIPPED] - clipped:
            self.complaints.add(f"{clipped} contributions were over the clip bound and scaled down")
        return total

    def concluded(self, parameters: bytes, blob: bytes) -> bytes | None:
        """What `conclude` makes of an aggregate; None where it failed or its answer is unfit."""
        program = self._program
        with self._zygote.load(program.conclude_job(parameters)) as job:
            outcome = self._zygote.run(job, blob)
        self.complaints.of_run("conclude", outcome)
        if outcome.frame is None:
            return None
        try:
            return conclusion.from_frame(program.bundle_file.manifest, outcome.frame)
        except ReportRefused as problem:
            self.complaints.add(problem.sentence)
            return None

    def _judged(self, job: LoadedJob, data: bytes) -> Judged:
        outcome = self._zygote.run(job, data)
        self.costs.add(outcome)
        self.complaints.of_run("contribute", outcome)
        found = guard.judge(self._program.rules, outcome.frame)
        self.verdicts[found.verdict.value] += 1
        return found


def _released(
    program: Program, total: guard.Sum, entropy: Entropy, keys: scheme.KeyPair | None
) -> bytes:
    if keys is not None:
        return _decrypted(program, total, entropy, keys)
    if {rule.protection for rule in program.rules} == {Protection.SHARED}:
        return _opened(program, total, entropy)
    classes = program.bundle_file.manifest.needs.classes
    protected = guard.protect_clear(
        program.rules,
        total,
        entropy,
        data_class=min(classes, key=_MOST_PROTECTED_FIRST.index),
        rounds=program.rounds,
    )
    part = aggregate.Part(protected.values, protected.variances)
    return aggregate.combine(program.rules, [part])


def _opened(program: Program, total: guard.Sum, entropy: Entropy) -> bytes:
    """As leader and helper would open it, were this the only worker; both add their noise."""
    check_cohort(program.rules, total.cohort)
    layout, seed = Layout.of(program.rules, program.rounds), Seed.draw(entropy)
    shares, masks = ShareSum(layout), MaskSum(layout)
    shares.add(split(total.values, layout, seed))
    masks.add(seed)
    leader, helper = (
        side.answer(draw_noise(program.rules, program.rounds, entropy)).encode()
        for side in (shares, masks)
    )
    return aggregate.open_shares(
        program.rules,
        leader,
        helper,
        rounds=program.rounds,
        contributors=total.cohort.contributors,
    )


def _decrypted(program: Program, total: guard.Sum, entropy: Entropy, keys: scheme.KeyPair) -> bytes:
    """As helper and keyholder would open it, were this the only worker; one noise in all.

    `keys` are thrown away with the call, so nobody can open this ciphertext again.
    """
    check_cohort(program.rules, total.cohort)
    rules, seed, profile = program.rules, Seed.draw(entropy), keys.profile
    classes = program.bundle_file.manifest.needs.classes
    check_admission(profile, rules, min(classes, key=_MOST_PROTECTED_FIRST.index))
    fresh = scheme.Encryptor(profile, keys.public).encrypt(
        packing.pack(profile, rules, total.values)
    )
    sent = residues.parse(residues.write(masks.masked(fresh, seed)), profile)
    decrypted = scheme.Decryptor(profile, keys.secret).open(
        masks.unmasked(sent, masks.mask_of(profile, seed)), rules
    )
    steps = packing.unpack(
        profile, rules, decrypted, ciphertexts=1, contributors=total.cohort.contributors
    )
    opened = released(rules)
    noise = draw_noise(opened, program.rounds, entropy)
    values = {name: vector + noise[name] for name, vector in steps.items()}
    part = aggregate.Part(values, accounting.variances_of(opened, program.rounds))
    return aggregate.combine(rules, [part])
