"""The store: shared commits, savepoints, faults at the commit, schemas it refuses."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel, select

from scheduler.domain.states import AttemptState, CampaignState, RoundState, UnitState
from scheduler.errors import ClockBehind, Conflict, SchemaRefused, StoreFailed, StoreFull
from scheduler.meters import Meters
from scheduler.store.engine import open_engine
from scheduler.store.store import Store, Transaction, open_store
from scheduler.store.tables import InstallationRow, TokenRow
from trust.clock import ManualClock

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Broken(StoreFailed):
    """Injected at the commit."""


class Gate:
    """Counts commits; holds them, or makes them fail before or after they are stored."""

    def __init__(self) -> None:
        self.commits = 0
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.open = threading.Event()
        self.open.set()

    def before_commit(self, names: Sequence[str]) -> None:
        self.open.wait(10)
        if self.before:
            raise self.before.pop()

    def after_commit(self, names: Sequence[str]) -> None:
        self.commits += 1
        if self.after:
            raise self.after.pop()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock, gate: Gate) -> Iterator[Store]:
    made = open_store(tmp_path / "s.db", clock, Meters(), faults=gate)
    made.run("init", lambda tx: tx.session.add(installed()))
    yield made
    made.close()


def installed() -> InstallationRow:
    return InstallationRow(id=1, territory="t.example", clock_mark=START)


def token(name: str):
    def insert(tx: Transaction) -> str:
        tx.session.add(
            TokenRow(digest=name, role="worker", operator="o", site="s", expires_at=tx.now)
        )
        tx.session.flush()
        return name

    return insert


def names(store: Store) -> list[str]:
    return store.read(
        "names", lambda tx: sorted(row.digest for row in tx.session.exec(select(TokenRow)))
    )


def test_concurrent_callers_share_a_commit(store, gate):
    gate.open.clear()
    before = gate.commits
    first: Future[str] = store.submit("first", token("a"))
    rest = [store.submit("rest", token(f"b{number:02}")) for number in range(50)]
    gate.open.set()
    assert first.result() == "a"
    assert [future.result() for future in rest] == [f"b{number:02}" for number in range(50)]
    # Without sharing it would be 51; the first goes alone, the others while it commits.
    assert gate.commits - before <= 3
    assert len(names(store)) == 51


def test_whoever_is_done_waits_for_others_only_as_long_as_commits_last(store, gate, clock):
    """Two workers' orders took 6 ms each, a commit one: the first one's waited for the second's."""

    def slow(name: str):
        def insert(tx: Transaction) -> str:
            clock.advance(0.006)
            return token(name)(tx)

        return insert

    gate.open.clear()
    before = gate.commits
    first = store.submit("first", slow("a"))
    orders = [store.submit("order", slow(name)) for name in "bc"]
    gate.open.set()
    assert [future.result() for future in (first, *orders)] == ["a", "b", "c"]
    assert gate.commits - before == 3


def test_a_transaction_that_raises_is_rolled_back_alone(store, gate):
    def fails(tx: Transaction) -> None:
        token("lost")(tx)
        raise ValueError("no")

    gate.open.clear()
    first = store.submit("first", token("a"))
    good, bad, twice = (
        store.submit("good", token("b")),
        store.submit("bad", fails),
        store.submit("twice", token("b")),
    )
    gate.open.set()
    first.result()
    assert good.result() == "b"
    with pytest.raises(ValueError, match="no"):
        bad.result()
    with pytest.raises(Conflict, match="moved on"):
        twice.result()
    assert names(store) == ["a", "b"]


def test_failed_and_not_stored(store, gate):
    gate.before.append(Broken("power"))
    with pytest.raises(Broken):
        store.run("insert", token("a"))
    assert names(store) == []
    store.run("insert", token("a"))
    assert names(store) == ["a"]


def test_failed_but_stored(store, gate):
    gate.after.append(Broken("power"))
    with pytest.raises(Broken):
        store.run("insert", token("a"))
    assert names(store) == ["a"]
    with pytest.raises(Conflict):
        store.run("insert", token("a"))


def test_a_full_disk_is_a_clean_refusal(store):
    def shrink(tx: Transaction) -> None:
        pages = tx.session.connection().exec_driver_sql("PRAGMA page_count").scalar()
        tx.session.connection().exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def large(tx: Transaction) -> None:
        token("x" * 3_000_000)(tx)

    store.run("shrink", shrink)
    with pytest.raises(StoreFull, match="full"):
        store.run("large", large)
    assert names(store) == []


def test_time_and_its_mark_are_stored_with_every_commit(store, clock):
    clock.advance(100)
    assert store.run("look", lambda tx: tx.now) == START + timedelta(seconds=100)
    mark = store.read("mark", lambda tx: tx.session.get(InstallationRow, 1).clock_mark)
    assert mark == START + timedelta(seconds=100)


def test_a_clock_far_behind_the_mark_refuses_to_start(tmp_path, store, clock):
    clock.advance(86_400)
    store.run("insert", token("a"))
    store.close()
    with pytest.raises(ClockBehind, match="the database has seen 2026-11-23"):
        open_store(tmp_path / "s.db", ManualClock(START), Meters())
    little = open_store(
        tmp_path / "s.db", ManualClock(START + timedelta(hours=23, minutes=55)), Meters()
    )
    assert little.clock.now() == START + timedelta(days=1)
    little.close()


def test_the_migrations_make_exactly_the_tables_of_the_code(store, tmp_path):
    engine = open_engine(tmp_path / "s.db")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_every_column_and_table_says_what_it_is():
    for table in SQLModel.metadata.tables.values():
        assert table.comment, table.name
        for column in table.columns:
            assert column.comment, (table.name, column.name)


@pytest.mark.parametrize(
    ("table", "states"),
    [
        ("campaign", CampaignState),
        ("round", RoundState),
        ("unit", UnitState),
        ("attempt", AttemptState),
    ],
)
def test_sql_knows_the_same_states_as_the_code(store, tmp_path, table, states):
    with sqlite3.connect(tmp_path / "s.db") as connection:
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
    connection.close()
    listed = sql.split("state IN (")[1].split(")")[0].replace("'", "").replace('"', "").split(", ")
    assert [name.strip() for name in listed] == [state.value for state in states]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "does not know"),
        ("DROP TABLE alembic_version", "no schema version"),
        ("ALTER TABLE token ADD COLUMN extra TEXT", "unknown columns"),
        ("ALTER TABLE token DROP COLUMN site", "missing columns"),
        ("CREATE TABLE other (id INTEGER)", "unknown tables"),
        ("DROP TABLE exchange", "missing tables"),
    ],
)
def test_a_schema_that_is_not_ours_is_refused(tmp_path, store, clock, statement, says):
    store.close()
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(SchemaRefused, match=says):
        open_store(tmp_path / "s.db", clock, Meters())


def test_a_file_that_is_no_database_or_a_damaged_one_is_refused(tmp_path, store, clock):
    store.run("fill", lambda tx: [token(f"{n:04}" * 50)(tx) for n in range(200)] and None)
    store.close()
    other = tmp_path / "text.db"
    other.write_text("hello")
    with pytest.raises(SchemaRefused, match="not a SQLite database"):
        open_store(other, clock, Meters())
    damaged = tmp_path / "damaged.db"
    shutil.copy(tmp_path / "s.db", damaged)
    data = bytearray(damaged.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    damaged.write_bytes(data)
    with pytest.raises(SchemaRefused, match="damaged"):
        open_store(damaged, clock, Meters())


def test_who_fills_the_disk_does_not_take_the_others_along(store, gate):
    def shrink(tx: Transaction) -> None:
        pages = tx.session.connection().exec_driver_sql("PRAGMA page_count").scalar()
        tx.session.connection().exec_driver_sql(f"PRAGMA max_page_count={pages + 20}")

    store.run("shrink", shrink)
    gate.open.clear()
    first = store.submit("first", token("a"))
    small, large = store.submit("small", token("b")), store.submit("large", token("x" * 3_000_000))
    gate.open.set()
    assert (first.result(), small.result()) == ("a", "b")
    with pytest.raises(StoreFull):
        large.result()
    assert names(store) == ["a", "b"]
