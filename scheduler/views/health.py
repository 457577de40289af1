"""Health at a glance: what is wrong now, what failed lately, what is late, why nothing moves."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import literal_column
from sqlmodel import col, func, select

from scheduler.domain.states import FINAL_CAMPAIGN, CampaignState, UnitState
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, LogRow, UnitRow
from scheduler.views import lateness
from scheduler.views.lateness import SHOWN, LateUnit
from scheduler.views.machines import freshnesses
from scheduler.views.runs import Run, lines_of
from scheduler.views.slices import among

DAY = timedelta(hours=24)
_RUNNING = [state.value for state in CampaignState if state not in FINAL_CAMPAIGN]


class Absent(Protocol):
    """A witness that the log waits for; `scheduler.log.witnessing.Waiting` is one."""

    @property
    def witness(self) -> str: ...
    @property
    def since(self) -> datetime: ...
    @property
    def reason(self) -> str: ...


class TroubleKind(enum.StrEnum):
    """What an operator should see to."""

    WITNESS = "witness-absent"
    CLOCK = "clock-leapt"
    ROOT = "root-expired"


@dataclass(frozen=True)
class Trouble:
    """One of them; who, since when and why where that is known."""

    kind: TroubleKind
    who: str = ""
    since: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class Health:
    """Everything on the first page, of one moment: lists up to one more than SHOWN, and counts."""

    territory: str
    at: datetime
    troubles: tuple[Trouble, ...]
    fresh: int
    late: int
    lost: int
    moving: tuple[Run, ...]  # campaigns that have not ended, those that wait first
    failed: tuple[Run, ...]  # campaigns of the last day
    moving_count: int
    failed_count: int  # campaigns of the last day
    failed_units: int
    late_units: tuple[LateUnit, ...]
    late_count: int
    queued: int  # documents that the log or its witnesses still lack

    @property
    def well(self) -> bool:
        """Whether nothing needs anybody: no trouble, nothing late, nothing lost or failed."""
        return not (self.troubles or self.late_count or self.lost or self.failed_count)


def health(desk: Desk, absent: Callable[[], Sequence[Absent]]) -> Health:
    """The state of everything; `absent` says which witnesses the log waits for."""
    now = desk.now()

    def gather(tx: Transaction) -> Health:
        found = freshnesses(tx)
        moving = tx.session.exec(
            select(CampaignRow)
            .where(among(col(CampaignRow.state), _RUNNING))
            .order_by(col(CampaignRow.reason) == "", col(CampaignRow.waits_since))
            .limit(SHOWN + 1)
        ).all()
        failed = tx.session.exec(
            select(CampaignRow)
            .where(
                col(CampaignRow.state) == literal_column(f"'{CampaignState.FAILED.value}'"),
                CampaignRow.updated_at >= now - DAY,
            )
            .order_by(col(CampaignRow.updated_at).desc())
            .limit(SHOWN + 1)
        ).all()
        return Health(
            territory=desk.territory,
            at=now,
            troubles=tuple(_troubles(desk, absent(), now)),
            fresh=found["fresh"],
            late=found["late"],
            lost=found["lost"],
            moving=tuple(lines_of(tx, list(moving))),
            failed=tuple(lines_of(tx, list(failed))),
            moving_count=tx.session.exec(
                select(func.count())
                .select_from(CampaignRow)
                .where(among(col(CampaignRow.state), _RUNNING))
            ).one(),
            failed_count=count_failed(tx, CampaignRow),
            failed_units=count_failed(tx, UnitRow),
            late_units=tuple(lateness.late(tx)),
            late_count=lateness.count_late(tx),
            queued=tx.session.exec(
                select(func.count()).select_from(LogRow).where(col(LogRow.proof).is_(None))
            ).one(),
        )

    return desk.store.read("view-health", gather)


def _troubles(desk: Desk, absent: Sequence[Absent], now: datetime) -> list[Trouble]:
    found = [Trouble(TroubleKind.WITNESS, one.witness, one.since, one.reason) for one in absent]
    if desk.store.clock.leaping:
        found.append(Trouble(TroubleKind.CLOCK))
    if now >= desk.root.document.expires_at:
        found.append(Trouble(TroubleKind.ROOT, since=desk.root.document.expires_at))
    return found


def count_failed(tx: Transaction, table: type[CampaignRow | UnitRow]) -> int:
    """How many campaigns or units failed in the last 24 hours."""
    failed = UnitState.FAILED if table is UnitRow else CampaignState.FAILED
    return tx.session.exec(
        select(func.count())
        .select_from(table)
        .where(
            col(table.state) == literal_column(f"'{failed.value}'"),
            col(table.updated_at) >= tx.now - DAY,
        )
    ).one()
