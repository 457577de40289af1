"""When an operator is called: figures of one moment against named thresholds. No database here."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_MINUTE = 60.0


@dataclass(frozen=True)
class Thresholds:
    """From which figure on there is an alert; the defaults are for a city."""

    workers_lost: float = 1  # workers
    ready_minutes: float = 15  # that a unit may wait for a worker that takes it
    failed_share: float = 0.25  # of the attempts that ended within an hour
    failed_least: float = 8  # attempts that must have ended before their share says anything
    helper_minutes: float = 10  # that a campaign may wait for the helper
    keyholder_minutes: float = 10  # and for the keyholder
    witness_minutes: float = 10  # that a witness may leave a checkpoint uncosigned
    proof_minutes: float = 10  # that a document may wait for its proof in the log
    disk_free_share: float = 0.1  # of the disk that must be free; below is an alert
    budget_share: float = 0.8  # of a voted privacy budget that was started
    clock_seconds: float = 120  # that a worker's clock may differ from the scheduler's


class AlertKind(enum.StrEnum):
    """What it is about."""

    WORKER_LOST = "worker-lost"
    UNIT_WAITS = "unit-waits"
    ATTEMPTS_FAIL = "attempts-fail"
    HELPER_SILENT = "helper-silent"
    KEYHOLDER_SILENT = "keyholder-silent"
    WITNESS_SILENT = "witness-silent"
    PROOF_LATE = "proof-late"
    DISK_FILLS = "disk-fills"
    BUDGET_SPENT = "budget-nearly-spent"
    CLOCK_WRONG = "worker-clock-wrong"


class Unit(enum.StrEnum):
    """What figure and threshold are counted in."""

    COUNT = "count"
    SECONDS = "seconds"
    SHARE = "share"


@dataclass(frozen=True)
class Waits:
    """Something that has waited since a moment: a unit, a campaign, a witness, a document."""

    which: str
    since: datetime
    why: str = ""


@dataclass(frozen=True)
class Share:
    """A part of a whole; `which` names it, `since` is when it came to that where known."""

    part: float
    which: str = ""
    name: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Figures:
    """Everything that is judged, of one moment. None where there is nothing to judge."""

    now: datetime
    lost: int
    lost_since: datetime | None  # of the one that has been lost for the longest
    ready: Waits | None  # the unit that has been ready for the longest
    ended: int  # attempts within the last hour
    failed: int
    failed_since: datetime | None  # the first of these failures
    helper: Waits | None  # the campaign that has waited for the longest
    keyholder: Waits | None
    witnesses: Sequence[Waits]
    proof: Waits | None  # the document that has waited for the longest
    disk_free: float | None  # share
    budgets: Sequence[Share]
    clocks: Sequence[Waits]  # workers with the moment of their own clock at `now`


@dataclass(frozen=True)
class Alert:
    """One of them. `which` is an id that leads further; `name` is told to people."""

    kind: AlertKind
    figure: float
    threshold: float
    unit: Unit
    since: datetime | None
    which: str = ""
    name: str = ""
    why: str = ""
    seen: bool = False  # `since` is when these pages first saw it; it may be older


def judge(figures: Figures, thresholds: Thresholds) -> tuple[Alert, ...]:
    """Every figure that reached its threshold, in the order of the kinds."""
    return tuple(_found(figures, thresholds))


def _found(figures: Figures, bounds: Thresholds) -> Iterator[Alert]:
    if figures.lost and figures.lost >= bounds.workers_lost:
        yield Alert(
            AlertKind.WORKER_LOST, figures.lost, bounds.workers_lost, Unit.COUNT, figures.lost_since
        )
    yield from _waited(figures.now, AlertKind.UNIT_WAITS, figures.ready, bounds.ready_minutes)
    share = figures.failed / figures.ended if figures.ended else 0.0
    if figures.failed and figures.ended >= bounds.failed_least and share >= bounds.failed_share:
        yield Alert(
            AlertKind.ATTEMPTS_FAIL,
            share,
            bounds.failed_share,
            Unit.SHARE,
            figures.failed_since,
            name=f"{figures.failed}/{figures.ended}",
        )
    now = figures.now
    yield from _waited(now, AlertKind.HELPER_SILENT, figures.helper, bounds.helper_minutes)
    yield from _waited(now, AlertKind.KEYHOLDER_SILENT, figures.keyholder, bounds.keyholder_minutes)
    for witness in figures.witnesses:
        yield from _waited(now, AlertKind.WITNESS_SILENT, witness, bounds.witness_minutes)
    yield from _waited(now, AlertKind.PROOF_LATE, figures.proof, bounds.proof_minutes)
    if figures.disk_free is not None and figures.disk_free < bounds.disk_free_share:
        yield Alert(
            AlertKind.DISK_FILLS, figures.disk_free, bounds.disk_free_share, Unit.SHARE, None
        )
    for budget in figures.budgets:
        if budget.part >= bounds.budget_share:
            yield Alert(
                AlertKind.BUDGET_SPENT,
                budget.part,
                bounds.budget_share,
                Unit.SHARE,
                budget.since,
                budget.which,
                budget.name,
            )
    for clock in figures.clocks:
        away = abs((clock.since - now).total_seconds())
        if away >= bounds.clock_seconds:
            yield Alert(
                AlertKind.CLOCK_WRONG,
                away,
                bounds.clock_seconds,
                Unit.SECONDS,
                None,
                clock.which,
                "behind" if clock.since < now else "ahead",
            )


def _waited(now: datetime, kind: AlertKind, waits: Waits | None, minutes: float) -> Iterator[Alert]:
    """An alert since the moment at which the wait became too long."""
    allowed = minutes * _MINUTE
    if waits is not None and (waited := (now - waits.since).total_seconds()) >= allowed:
        since = waits.since + timedelta(seconds=allowed)
        yield Alert(kind, waited, allowed, Unit.SECONDS, since, waits.which, why=waits.why)


class Memory:
    """Since when alerts have been seen that no record dates. It lives as long as the pages do."""

    def __init__(self) -> None:
        self._first: dict[tuple[AlertKind, str], datetime] = {}

    def dated(self, alerts: Sequence[Alert], now: datetime) -> tuple[Alert, ...]:
        """`alerts` with a moment each; what is gone is forgotten, and begins anew."""
        keys = {(one.kind, one.which) for one in alerts}
        kept = {key: at for key, at in self._first.items() if key in keys}
        self._first = {key: kept.get(key, now) for key in keys}
        return tuple(
            one
            if one.since is not None
            else replace(one, since=self._first[one.kind, one.which], seen=True)
            for one in alerts
        )
