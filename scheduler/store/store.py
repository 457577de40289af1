"""Named transactions with group commit: concurrent callers share one fsync.

One thread writes. It takes the transactions that wait, as many as run while two commits last,
runs each in its own savepoint inside one database transaction (one that waits alone needs none),
and commits once. A transaction that raises is rolled back alone; a commit that fails fails all of
the batch, and nothing of it is stored. A caller hears of success only after the commit, so
whatever was answered survives a power cut.

What is true if we crash: before the commit, nothing of the batch exists; after it and before
the callers are told, everything exists and the callers ask again - every use case is written so
that asking again finds what was done.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, bindparam, update
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.orm.session import JoinTransactionMode
from sqlmodel import Session

from scheduler.domain.time import SteadyClock
from scheduler.errors import ClockBehind, Conflict, SchemaRefused, StoreFailed
from scheduler.meters import Meters
from scheduler.store import engine as specifics
from scheduler.store.faults import Faults, NoFaults
from scheduler.store.schema import prepare
from scheduler.store.session import HoldingSession
from scheduler.store.tables import InstallationRow
from trust.clock import Clock, to_text

T = TypeVar("T")
_Outcome = tuple[Any, BaseException | None]

# More would make the first caller wait for the last; measured knee of the fsync curve.
MAXIMUM_BATCH = 128
# Commits are then at most a third of the writer's time, and whoever was first waits for the others
# no longer than a commit or two: where the disk is slow many share one, where it is fast, few.
FILLED_FOR = 2.0  # commits
_REMEMBERED = 0.8  # of how long commits lasted, once there is a newer one
RETRIES = 3
# A wall clock this far behind the mark was set wrong (or the mark was): a person must look.
MAXIMUM_BEHIND = timedelta(minutes=10)
_MARK = update(InstallationRow).values(clock_mark=bindparam("now"), clock_held=False)


@dataclass(frozen=True)
class Transaction:
    """What a use case sees: a session, the moment it happens at, and its own name."""

    session: Session
    now: datetime
    name: str
    rings: set[str] = field(default_factory=set)  # topics to ring once it is durable


@dataclass
class _Call(Generic[T]):
    name: str
    work: Callable[[Transaction], T]
    future: Future[T]
    asked_at: float


class Store:
    """The database of one scheduler. Thread-safe; `close` waits for the last commit."""

    def __init__(
        self, engine: Engine, clock: Clock, meters: Meters, *, faults: Faults | None = None
    ) -> None:
        self._engine = engine
        self._meters = meters
        self._faults = faults or NoFaults()
        with Session(engine) as session:
            row = session.get(InstallationRow, 1)
            mark = None if row is None else row.clock_mark
            held = row is not None and row.clock_held
        if mark is not None and not held and mark - clock.now() > MAXIMUM_BEHIND:
            raise ClockBehind(
                f"the clock shows {to_text(clock.now())}, the database has seen {to_text(mark)}",
                remedy="set the machine's clock right (timedatectl), then start again",
            )
        self.clock = SteadyClock(clock, mark)
        self._mark = mark
        self._commit_lasts = 0.0  # seconds, smoothed
        self._queue: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._writer = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._writer.start()

    def submit(self, name: str, work: Callable[[Transaction], T]) -> Future[T]:
        """Queue the transaction `name`; `work` may run more than once, its last run counts."""
        if self._closed:
            raise StoreFailed("the store is closed", remedy="the program is stopping")
        future: Future[T] = Future()
        self._queue.put(_Call(name, work, future, self.clock.boottime()))
        return future

    def run(self, name: str, work: Callable[[Transaction], T]) -> T:
        """Run the transaction `name` and return once it is durable."""
        return self.submit(name, work).result()

    async def call(self, name: str, work: Callable[[Transaction], T]) -> T:
        """`run` for a coroutine. Cancelling the caller does not undo the transaction."""
        return await asyncio.shield(asyncio.wrap_future(self.submit(name, work)))

    def read(self, name: str, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a snapshot; it must not write."""
        try:
            with HoldingSession(self._engine, expire_on_commit=False) as session:
                return work(Transaction(session, self.clock.now(), name))
        except DatabaseError as error:
            raise specifics.explain(error) from error

    async def look(self, name: str, work: Callable[[Transaction], T]) -> T:
        """`read` for a coroutine."""
        return await asyncio.to_thread(self.read, name, work)

    def close(self) -> None:
        """Commit what waits, then let go of the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._writer.join()
            self._engine.dispose()

    def _write(self) -> None:
        while (call := self._queue.get()) is not None:
            batch = [call]
            last = False
            while len(batch) < MAXIMUM_BATCH and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._settle(batch)
            if last:
                return

    def _settle(self, batch: list[_Call[Any]]) -> None:
        """Run `batch` and commit it, all at once or in parts, then tell every caller."""
        while batch:
            try:
                outcomes = self._commit(batch)
            except BaseException as error:  # noqa: BLE001 - every caller must hear of it
                if isinstance(error, DatabaseError):
                    error = specifics.explain(error)
                outcomes = [(None, error) for _ in batch]
            self._meters.commit_size.observe(len(outcomes))
            self._tell(batch[: len(outcomes)], outcomes)
            batch = batch[len(outcomes) :]

    def _tell(self, batch: list[_Call[Any]], outcomes: list[_Outcome]) -> None:
        for call, (result, problem) in zip(batch, outcomes, strict=True):
            status = "committed" if problem is None else "failed"
            self._meters.transactions.labels(call.name, status).inc()
            waited = self.clock.boottime() - call.asked_at
            self._meters.transaction_seconds.labels(call.name).observe(waited)
            if problem is None:
                call.future.set_result(result)
            else:
                call.future.set_exception(problem)

    def _commit(self, batch: list[_Call[Any]]) -> list[_Outcome]:
        """What became of the first ones of `batch`, at least of one."""
        for attempt in range(RETRIES):
            try:
                return self._once(batch)
            except DatabaseError as error:
                if specifics.is_transient(error) and attempt < RETRIES - 1:
                    continue
                if len(batch) == 1:
                    raise
                # One of them fills the disk or breaks the engine: the others go without it.
                return [outcome for call in batch for outcome in self._alone(call)]
        raise AssertionError("the loop returns or raises")

    def _alone(self, call: _Call[Any]) -> list[_Outcome]:
        try:
            return self._once([call])
        except DatabaseError as error:
            return [(None, specifics.explain(error))]

    def _once(self, batch: list[_Call[Any]]) -> list[_Outcome]:
        with self._engine.connect() as connection:
            specifics.begin_write(connection)
            transaction = connection.begin()
            try:
                now = self.clock.now()
                outcomes = self._filled(connection, batch, now)
                names = [call.name for call in batch[: len(outcomes)]]
                if all(problem is not None for _, problem in outcomes):
                    if transaction.is_active:
                        transaction.rollback()
                    return outcomes
                self._advance_mark(connection, now)
                self._faults.before_commit(names)
                began = self.clock.boottime()
                transaction.commit()
                lasted = self.clock.boottime() - began
                self._commit_lasts += (1 - _REMEMBERED) * (lasted - self._commit_lasts)
            except BaseException:
                self._mark = None  # unknown until the next commit writes it
                # A full disk makes the engine roll back by itself; rolling back again would
                # hide why.
                try:
                    if transaction.is_active:
                        transaction.rollback()
                except DatabaseError:
                    connection.invalidate()
                raise
        self._faults.after_commit(names)
        return outcomes

    def _filled(
        self, connection: Connection, batch: list[_Call[Any]], now: datetime
    ) -> list[_Outcome]:
        """What the first ones of `batch` came to; the others are worth a commit of their own."""
        began, alone = self.clock.boottime(), len(batch) == 1
        outcomes: list[_Outcome] = []
        for call in batch:
            outcomes.append(self._inside(connection, call, now, alone=alone))
            if self.clock.boottime() - began > FILLED_FOR * self._commit_lasts:
                break
        return outcomes

    def _inside(
        self, connection: Connection, call: _Call[Any], now: datetime, *, alone: bool
    ) -> _Outcome:
        # One that shares its commit with nobody takes everything back where it fails.
        mode: JoinTransactionMode = "rollback_only" if alone else "create_savepoint"
        session = HoldingSession(connection, join_transaction_mode=mode, expire_on_commit=False)
        try:
            result = call.work(Transaction(session, now, call.name))
            session.commit()
        except IntegrityError as error:
            session.rollback()
            return None, Conflict(
                f"{call.name}: the state moved on ({str(error.orig)[:120]})",
                remedy="look at the newest state and ask again",
            )
        except DatabaseError:
            raise  # the whole batch is in doubt, its savepoints too: nothing to tidy up here
        except Exception as error:  # noqa: BLE001 - the caller's own, handed back to it
            session.rollback()
            session.close()
            return None, error
        else:
            session.close()
            return result, None

    def _advance_mark(self, connection: Connection, now: datetime) -> None:
        """Persist how late it has been, in the same commit: no extra fsync."""
        if self._mark is None or now > self._mark:
            connection.execute(_MARK, {"now": now})
            self._mark = now


def open_store(
    path: Path,
    clock: Clock,
    meters: Meters,
    *,
    faults: Faults | None = None,
    upgrade: bool = True,
) -> Store:
    """The store in the file `path`, created, or upgraded if `upgrade` says so.

    Raises SchemaRefused, ClockBehind.
    """
    engine = specifics.open_engine(path)
    try:
        try:
            specifics.check_integrity(engine)
            prepare(engine, upgrade=upgrade)
        except DatabaseError as error:
            problem = specifics.explain(error)
            if isinstance(problem, StoreFailed):
                raise problem from error
            raise SchemaRefused(problem.sentence, remedy=problem.remedy) from error
        return Store(engine, clock, meters, faults=faults)
    except BaseException:
        engine.dispose()
        raise
