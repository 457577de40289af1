"""One work unit, from the cohort to what alone may leave: the trusted inner loop.

Order: gate -> ONE ledger transaction -> per capsule: key, decrypt, run, judge, add, forget ->
noise, shares or a ciphertext -> time slot -> a last look at cancellations. If we crash anywhere
before the agent has persisted the answer nothing was released; the repetition draws fresh noise,
or a fresh seed, and is not charged again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Protocol

from capsule_runtime import guard
from capsule_runtime.broker.eligibility import Cohort, Register, Use, eligible
from capsule_runtime.broker.errors import NobodyEligible, NotConcluded
from capsule_runtime.broker.messages import Contribute, Contributed
from capsule_runtime.broker.program import Program
from capsule_runtime.broker.protecting import Reporter, prepare
from capsule_runtime.capsules import sealed
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentGate, ConsentStore
from capsule_runtime.errors import CapsuleError
from capsule_runtime.guard import Judged
from capsule_runtime.ledger import Checkpoint, Ledger
from capsule_runtime.portions import drawn, portions
from capsule_runtime.sandbox.packing import LoadedJob
from capsule_runtime.sandbox.timing import next_slot
from capsule_runtime.sandbox.zygote import Zygote
from jobs import conclusion
from protection import cohort as minima
from protection import columns
from protection.errors import ProtectionError, RingOverflow
from trust.clock import Clock
from trust.documents.rules import DataClass, PrivacyUnit, Protection
from trust.entropy import Entropy
from trust.ids import CapsuleId, Digest, WorkerId

# When a result leaves must not tell how long a capsule took (sandbox.md 8.4).
SLOT_SECONDS = 1.0


class Line(Protocol):
    """What a running unit may say to the agent, and ask of it."""

    def key(self, capsule: CapsuleId) -> bytes | None:
        """One capsule's key; None when no live grant opens it."""
        ...

    def reserved(self, capsules: int, checkpoint: Checkpoint) -> None:
        """The cohort is charged."""
        ...

    def advanced(self, done: int, total: int) -> None:
        """So many capsules are done."""
        ...

    def check(self, tokens: Collection[Digest], seconds: float = 0.0) -> None:
        """Listen for up to `seconds`. Raises RunCancelled or ConsentWithdrawn."""
        ...

    def revoked(self) -> frozenset[Digest]:
        """The revocation tokens known now."""
        ...

    def withdrawals(self) -> int:
        """How many Withdraw messages were seen."""
        ...


@dataclass(frozen=True)
class Runtime:
    """What units of one worker share."""

    store: CapsuleStore
    consents: ConsentStore
    ledger: Ledger
    worker: WorkerId
    territory: str
    clock: Clock
    entropy: Entropy


@dataclass(frozen=True)
class Sandboxed:
    """A bundle with its warm sandbox and this round's parameters."""

    zygote: Zygote
    program: Program
    parameters: bytes

    def lots(self, capsule: CapsuleId) -> Digest:
        """The seed by which persons of `capsule` are drawn: of the parameters and its id."""
        own = self._hashed.copy()
        own.update(capsule.encode())
        return Digest(f"sha256:{own.hexdigest()}")

    @cached_property
    def _hashed(self) -> hashlib._Hash:
        # Once per unit and not per capsule: with a state they have megabytes.
        return hashlib.sha256(self.parameters)


def contribute(
    runtime: Runtime,
    sandboxed: Sandboxed,
    order: Contribute,
    line: Line,
    public: bytes | None = None,
) -> tuple[Contributed, tuple[bytes, ...]]:
    """The protected sum over every eligible capsule: its blob, and the sealed seed, if any.

    `public` is the epoch's key under `encrypted`. Raises SealingUnfit, TensealMissing,
    KeyMaterialRefused, NobodyEligible, CohortTooSmall, RingOverflow, BudgetExhausted,
    RunCancelled, ConsentWithdrawn, SandboxError; what one capsule does never raises, it only
    makes that capsule neutral.
    """
    started = runtime.clock.boottime()
    program, parameters = sandboxed.program, sandboxed.parameters
    protector = prepare(program, order, public)
    cohort = _cohort(runtime, program, order, line.revoked())
    rules, rounds = program.rules, program.rounds
    # Before anybody is charged: parameters that no job can be made of would cost them for nothing.
    prepared = program.contribute_job(parameters)
    reservation = runtime.ledger.reserve(
        cohort.charges, order.campaign, order.round, Fraction(program.charge)
    )
    line.reserved(len(reservation.reserved), reservation.checkpoint)
    # Those without budget left are out: what remains may be too few, and then nothing runs.
    _require_size(program, len(reservation.reserved))
    total = guard.Sum(rules, rounds=rounds)
    neutral = 0
    with sandboxed.zygote.load(prepared) as job:
        for done, capsule in enumerate(sorted(reservation.reserved), start=1):
            line.check(cohort.tokens)
            runs = _one_capsule(runtime, sandboxed, job, capsule, line)
            neutral += _add(program, total, runs)
            line.advanced(done, len(reservation.reserved))
    protected, halves = protector.protect(
        total,
        order,
        parameters,
        Reporter(runtime.territory, runtime.worker),
        runtime.entropy,
        data_class=cohort.data_class,
    )
    if cohort.data_class is not DataClass.PUBLIC:
        _wait_for_slot(runtime.clock, started, line, cohort.tokens)
    answer = Contributed(
        run=order.run,
        capsules=protected.cohort.capsules,
        contributors=protected.cohort.contributors,
        variances=protected.variances,
        rho=protected.rho,
        withdrawals=line.withdrawals(),
        neutral=neutral,
    )
    return answer, halves


def conclude(sandboxed: Sandboxed, aggregate: bytes, line: Line) -> bytes:
    """The report arrays that `conclude` makes of an aggregate, as a column-format blob.

    It waits for no slot: what it reads is released already, so its time tells nothing more.
    Raises NotConcluded, ColumnsMalformed (a damaged aggregate), ReportRefused, RunCancelled.
    """
    columns.decode(aggregate)
    zygote, program = sandboxed.zygote, sandboxed.program
    with zygote.load(program.conclude_job(sandboxed.parameters)) as job:
        outcome = zygote.run(job, aggregate)
    if outcome.frame is None:
        raise NotConcluded(
            f"conclude ended with {outcome.status.value}",
            remedy="the author tries the bundle with `cadastre bundle try`, which shows why",
        )
    result = conclusion.from_frame(program.bundle_file.manifest, outcome.frame)
    line.check(())
    return result


def _cohort(
    runtime: Runtime, program: Program, order: Contribute, revoked: Collection[Digest]
) -> Cohort:
    owners = runtime.store.owners()
    gate = ConsentGate(
        runtime.consents,
        owners.__getitem__,
        worker=runtime.worker,
        territory=runtime.territory,
    )
    use = Use(program.bundle, order.purpose, program.tables, program.classes, program.unit)
    register = Register(runtime.worker, runtime.store, runtime.consents, gate, revoked)
    cohort = eligible(register, use, runtime.clock.now())
    if not cohort.charges:
        raise NobodyEligible(
            "no capsule here has the tables, a live grant and a live consent for this bundle",
            remedy="owners consent with `cadastre consent grant`; the default is no",
        )
    # Before anybody is charged: a cohort that is too small from the start would pay for nothing.
    _require_size(program, len(cohort.charges))
    _require_room(program, len(cohort.charges))
    return cohort


def _require_size(program: Program, capsules: int) -> None:
    """Raise CohortTooSmall when so many capsules cannot stand behind a sum.

    Only a `clear` sum stands alone; otherwise those who open the whole batch hold the minima.
    How many persons a capsule speaks of is only known once it is opened: where they are the
    unit, the number of contributors is judged again with the whole sum.
    """
    for rule in program.rules:
        if rule.protection is not Protection.CLEAR:
            continue
        owners = program.unit is PrivacyUnit.OWNER
        contributors = capsules if owners else rule.minimum_contributors
        minima.check_cohort((rule,), minima.Cohort(contributors, capsules))


def _require_room(program: Program, capsules: int) -> None:
    """Raise RingOverflow when so many owners are more than one ciphertext has room for.

    Where persons are the unit, those of a capsule are only known once it is opened: see `_add`.
    """
    if not any(rule.protection is Protection.ENCRYPTED for rule in program.rules):
        return
    room = guard.room(program.rules, rounds=program.rounds)
    if program.unit is PrivacyUnit.OWNER and capsules > room:
        raise RingOverflow(
            f"{capsules} owners consented here, one worker's ciphertext has room for {room}",
            remedy="spread the capsules over more workers, or vote a coarser step",
        )


def _add(program: Program, total: guard.Sum, runs: tuple[tuple[Judged, int], ...]) -> int:
    """Add one capsule's runs; how many of them the neutral vector replaced.

    A capsule whose people would pass the voted maximum is added as nobody: it is charged
    already, and to end the unit would waste what all others paid and tell the scheduler how
    many people one capsule speaks of. 0 units, because its people are what does not fit.
    """
    try:
        total.add_capsule(runs)
    except RingOverflow:
        runs = _failed(program, 0)
        total.add_capsule(runs)
    return sum(judged.verdict.neutral for judged, _ in runs)


def _one_capsule(
    runtime: Runtime,
    sandboxed: Sandboxed,
    job: LoadedJob,
    capsule: CapsuleId,
    line: Line,
) -> tuple[tuple[Judged, int], ...]:
    """One capsule's judged runs; it is charged already, so a failure counts as neutral."""
    program = sandboxed.program
    units = 1 if program.unit is PrivacyUnit.OWNER else 0
    key = line.key(capsule)
    try:
        if key is None:
            return _failed(program, units)
        opened = sealed.unseal(capsule, runtime.store.ciphertext(capsule), key)
        del key
        # As many as would have been drawn: that it failed does not show in the cohort's number.
        units = units or max(1, round(opened.units * program.draw))
        tables = columns.decode(opened.columns)
        parts = portions(tables, program.tables, program.unit)
        if program.draw < 1:
            parts = drawn(parts, program.draw, sandboxed.lots(capsule))
    except (CapsuleError, ProtectionError):
        return _failed(program, units)
    return tuple(
        (guard.judge(program.rules, sandboxed.zygote.run(job, part.data).frame), part.units)
        for part in parts
    )


def _failed(program: Program, units: int) -> tuple[tuple[Judged, int], ...]:
    return ((guard.judge(program.rules, None), units),)


def _wait_for_slot(clock: Clock, started: float, line: Line, tokens: Collection[Digest]) -> None:
    leaves = started + next_slot(clock.boottime() - started, SLOT_SECONDS)
    while (left := leaves - clock.boottime()) > 0:
        line.check(tokens, left)
    line.check(tokens)
