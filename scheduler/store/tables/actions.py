"""What operators did by hand, and under which random name the log knows them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from scheduler.store.columns import moment, raw, words
from scheduler.store.types import one_of
from trust.documents.actions import Act, Means


class AccountRow(SQLModel, table=True):
    """Who acts. Without this row nobody can tell whom an entry of the log means."""

    __tablename__ = "account"
    __table_args__ = ({"comment": "random names of those who act"},)

    id: str = words("acct_…, as the log names them", key=True)
    subject: str = words("as sign-in or their certificate calls them", unique=True)
    created_at: datetime = moment("their first deed")


class ActionRow(SQLModel, table=True):
    """One deed; written in its transaction, never changed."""

    __tablename__ = "operator_action"
    __table_args__ = (
        one_of("act", Act),
        one_of("means", Means),
        UniqueConstraint("account", "request", name="acted_once"),
        CheckConstraint("(worker IS NULL) = (salt IS NULL)", name="worker_has_salt"),
        Index("action_by_age", "acted_at", "id"),
        Index("action_of_campaign", "campaign", "acted_at"),
        Index("action_of_worker", "worker", "acted_at"),
        Index("action_of_unit", "unit", "acted_at"),
        {"comment": "deeds of operators"},
    )

    id: str = words("deed_…", key=True)
    account: str = words("who did it", of="account.id")
    request: str = words("whoever asked twice with the same one did it once")
    act: str = words("Act")
    means: str = words("Means")
    campaign: str | None = words("the campaign, or the unit's", optional=True)
    unit: str | None = words("the unit", optional=True)
    worker: str | None = words("the worker", optional=True)
    reason: str = words("why, as it was given")
    salt: bytes | None = raw("what seals a reason that the log only binds", optional=True)
    digest: str = words("of the OperatorAction envelope", unique=True)
    acted_at: datetime = moment("when")
