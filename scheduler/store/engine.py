"""Everything that is particular to SQLite; another engine gets a module like this one.

WAL so that readers never wait for the writer, synchronous=FULL so that a commit survives a
power cut. pysqlite's own transaction handling is switched off: it would commit before savepoints.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from scheduler.errors import SchedulerError, SchemaRefused, StoreFailed, StoreFull

# Two programs share a database only for moments (`token create` beside `serve`).
BUSY_TIMEOUT_MS = 10_000
_HEADER = b"SQLite format 3\x00"


def open_engine(path: Path) -> Engine:
    """The engine over the file `path`. Raises SchemaRefused when it is not a database."""
    if path.exists() and path.stat().st_size:
        with path.open("rb") as stream:
            if stream.read(len(_HEADER)) != _HEADER:
                raise SchemaRefused(
                    f"{path} is not a SQLite database",
                    remedy="restore it from a backup, or point --state at the right directory",
                )
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"check_same_thread": False, "timeout": 10},
        # Errors end in logs; capsule ids and consents must not.
        hide_parameters=True,
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def check_integrity(engine: Engine) -> None:
    """Raise SchemaRefused when pages of the file are damaged."""
    try:
        with engine.connect() as connection:
            verdict = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    except DatabaseError as error:
        verdict = str(error.orig)
    if verdict != "ok":
        raise SchemaRefused(
            f"the database is damaged: {str(verdict)[:200]}",
            remedy="restore it from a backup; the log and the blobs are intact beside it",
        )


def begin_write(connection: Connection) -> None:
    """Take the write lock now, so that no transaction fails half way for want of it."""
    connection.info["immediate"] = True


def explain(error: DatabaseError) -> SchedulerError:
    """The refusal behind a driver's error."""
    origin = error.orig
    words = _whole_story(error)
    if "database or disk is full" in words:
        return StoreFull(
            "the disk that holds the database is full",
            remedy="free some space there; nothing was lost or half written, work resumes",
        )
    if "malformed" in words or "not a database" in words:
        return SchemaRefused(
            "the database is damaged", remedy="stop the program and restore a backup"
        )
    return StoreFailed(
        f"the database did not take the transaction: {str(origin)[:200]}",
        remedy="try again; if it lasts, look at the disk and at who else has the file open",
    )


def _whole_story(error: DatabaseError) -> str:
    """What the driver said first: after a full disk the tidying up fails too, and is raised."""
    said: list[str] = []
    link: BaseException | None = error
    while link is not None and len(said) < 8:
        if isinstance(link, DatabaseError):
            said.append(str(link.orig).lower())
        link = link.__cause__ or link.__context__
    return "; ".join(said)


def is_transient(error: DatabaseError) -> bool:
    """Whether the same transaction may work when tried again at once."""
    words = _whole_story(error)
    return isinstance(error, OperationalError) and ("locked" in words or "busy" in words)


def _configure(connection: Any, record: Any) -> None:
    del record
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    immediate = connection.info.pop("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
