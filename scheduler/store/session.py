"""A session that keeps what it loaded."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlmodel import Session


class HoldingSession(Session):
    """Remembers what it loaded until it ends: asking for a row again costs no statement.

    SQLAlchemy lets go of rows that nobody holds, and one exchange asks for some of them five times.
    """


@event.listens_for(HoldingSession, "loaded_as_persistent")
@event.listens_for(HoldingSession, "pending_to_persistent")
def _hold(session: Any, row: object) -> None:
    session.info.setdefault("rows", []).append(row)
