"""An old database in use, brought to today's tables: nothing lost, everything readable."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event
from sqlmodel import SQLModel, col, select

from scheduler.domain.states import AttemptState, CampaignState, RoundState, UnitState
from scheduler.meters import Meters
from scheduler.service.campaigns import view_of
from scheduler.store.engine import open_engine
from scheduler.store.schema import prepare
from scheduler.store.store import Store, Transaction, open_store
from scheduler.store.tables import (
    CampaignRow,
    LogRow,
    MemberRow,
    RoundRow,
    TokenRow,
    UnitRow,
    WorkerRow,
)
from trust.clock import ManualClock
from trust.log.tree import leaf_hash

OLD = Path(__file__).with_name("revision_0002.sql").read_text("utf-8")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "scheduler.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(OLD)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return path


@pytest.fixture
def store(old: Path) -> Iterator[Store]:
    made = open_store(old, ManualClock(NOW), Meters())
    yield made
    made.close()


def contents(path: Path) -> Rows:
    """Every row as SQLite holds it, in the order of the first columns."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2')]
            for name in tables
            if name != "alembic_version"
        }


# What a row from before has in the columns that came since, where it is the same for all.
ADDED: dict[str, dict[str, Any]] = {
    "campaign": {"rounds": 1, "rho": "0"},
    "round": {"told": None},
    "worker": {"images": "", "drained_at": None},
    "token": {"concludes": 0},
    "member": {"concludes": 0},
}


def test_every_value_of_every_row_is_still_there(old: Path):
    before = contents(old)
    assert all(before.values()), "the old database has rows in every table"
    open_store(old, ManualClock(NOW), Meters()).close()
    after = contents(old)
    assert not any(after[table] for table in set(after) - set(before)), "tables that came since"
    for table, rows in before.items():
        assert len(after[table]) == len(rows), table
        for was, now in zip(rows, after[table], strict=True):
            kept = {name: now[name] for name in was}
            if table == "installation":
                kept["clock_mark"] = was["clock_mark"]  # opening it moved its clock
            assert kept == was, table
            assert ADDED.get(table, {}).items() <= now.items(), table


def test_the_tables_are_those_of_the_code_with_their_rules(old: Path, store: Store, tmp_path: Path):
    engine = open_engine(old)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()
    open_store(tmp_path / "new.db", ManualClock(NOW), Meters()).close()
    assert rules(old) == rules(tmp_path / "new.db")
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_waits_does_so_since_the_last_that_is_known_of_it(store: Store):
    def read(tx: Transaction) -> None:
        for run in tx.session.exec(select(CampaignRow)):
            assert run.waits_since == run.updated_at
        for stage in tx.session.exec(select(RoundRow)):
            assert stage.waits_since == stage.issued_at

    store.read("waits", read)


def rules(path: Path) -> dict[str, list[str]]:
    """The checks, keys and indices of every table."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {
            name: sorted(re.findall(r"(?:CHECK|UNIQUE|PRIMARY|FOREIGN|WHERE).*?(?=,? ?\n|$)", sql))
            for name, sql in found.fetchall()
            if name != "alembic_version"
        }


def test_the_present_program_reads_every_table(store: Store):
    def read(tx: Transaction) -> dict[str, int]:
        return {
            mapper.local_table.name: len(tx.session.exec(select(mapper.class_)).all())
            for mapper in SQLModel._sa_registry.mappers
        }

    assert store.read("all", read) == {
        "installation": 1,
        "token": 2,
        "member": 5,
        "worker": 3,
        "exchange": 2,
        "blob": 2,
        "bundle": 1,
        "authorisation": 2,
        "restricted": 2,
        "commitment": 1,
        "capsule": 1,
        "consent": 1,
        "campaign": 6,
        "round": 4,
        "unit": 8,
        "attempt": 4,
        "log_entry": 4,
        # Tables that came since.
        "account": 0,
        "operator_action": 0,
        "log_checkpoint": 0,
        "effort": 0,
        "sample": 0,
        "web_credential": 0,
        "web_author": 0,
        "web_departure": 0,
        "web_session": 0,
    }

    def states(tx: Transaction) -> set[str]:
        return set(tx.session.exec(select(CampaignRow.state)))

    assert store.read("states", states) == {state.value for state in CampaignState}


def test_campaigns_of_before_have_one_round_with_their_own_settings(store: Store):
    def read(tx: Transaction) -> tuple[dict[str, CampaignRow], dict[str, RoundRow]]:
        campaigns = {row.id: row for row in tx.session.exec(select(CampaignRow))}
        return campaigns, {row.campaign: row for row in tx.session.exec(select(RoundRow))}

    campaigns, rounds = store.read("campaigns", read)
    # A draft is planned with these; where a round runs or all is over, nothing follows.
    assert {row.id: row.following for row in campaigns.values() if row.following} == {
        "camp_draft": "sha256:settings"
    }
    assert {name: row.parameters for name, row in rounds.items()} == {
        "camp_running": "sha256:settings-2",
        **dict.fromkeys(("camp_concluding", "camp_released", "camp_failed"), "sha256:settings"),
    }
    # As many partials as workers were asked: conclude units do not count.
    assert {name: row.target for name, row in rounds.items()} == {
        "camp_running": 2,
        "camp_concluding": 1,
        "camp_released": 2,
        "camp_failed": 1,
    }


def test_an_operator_sees_every_campaign_of_before(store: Store):
    def read(tx: Transaction) -> dict[str, Any]:
        return {row.id: view_of(tx, row) for row in tx.session.exec(select(CampaignRow))}

    views = store.read("views", read)
    running = views["camp_running"].rounds[0]
    assert running.row.state == RoundState.OPEN.value
    assert {unit.row.state for unit in running.units} == {
        UnitState.SATISFIED.value,
        UnitState.LEASED.value,
    }
    assert views["camp_released"].row.release == "sha256:release"
    assert not views["camp_draft"].rounds


def test_nobody_of_before_may_conclude_until_an_operator_names_them(store: Store):
    def read(tx: Transaction) -> tuple[set[bool], set[bool], WorkerRow | None]:
        members = set(tx.session.exec(select(MemberRow.concludes)))
        return members, set(tx.session.exec(select(TokenRow.concludes))), worker(tx)

    def worker(tx: Transaction) -> WorkerRow | None:
        return tx.session.get(WorkerRow, "wrk_c")

    members, tokens, said = store.read("members", read)
    assert members == tokens == {False}
    assert said is not None
    assert said.concludes, "what the worker says of itself is another thing"


def test_a_lease_of_before_ends_and_the_log_goes_on(store: Store):
    """The rows can be written too, under the rules of today."""

    def write(tx: Transaction) -> int | None:
        unit = tx.session.get(UnitRow, "unit_rb")
        assert unit is not None
        unit.state, unit.reason, unit.why = UnitState.READY.value, "", ""
        entry = LogRow(kind="release", digest="sha256:next", created_at=tx.now)
        tx.session.add(entry)
        tx.session.flush()
        return entry.id

    assert store.run("write", write) == 8

    def waiting(tx: Transaction) -> list[str]:
        query = select(LogRow.digest).where(col(LogRow.proof).is_(None)).order_by(col(LogRow.id))
        return list(tx.session.exec(query))

    assert store.read("waiting", waiting) == [
        *("sha256:helper-key", "sha256:plan-running", "sha256:next")
    ]


def test_an_upgrade_that_breaks_off_leaves_the_old_database(old: Path):
    """Killed in the last of the steps: the next start finds what was there, and does it all."""
    before, engine = contents(old), open_engine(old)

    def die(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "ALTER TABLE member" in statement:
            raise KeyboardInterrupt

    event.listen(engine, "before_cursor_execute", die)
    with pytest.raises(KeyboardInterrupt):
        prepare(engine)
    engine.dispose()
    assert contents(old) == before
    open_store(old, ManualClock(NOW), Meters()).close()
    assert len(contents(old)["attempt"]) == len(before["attempt"])


def test_what_was_logged_before_is_found_by_its_hash_and_its_bundle(store: Store):
    def read(tx: Transaction) -> list[LogRow]:
        return list(tx.session.exec(select(LogRow)))

    for row in store.read("log", read):
        line = f"cadastre/v1 {row.kind} {row.digest}\n".encode()
        assert row.leaf == leaf_hash(line).hex()
        about_one = row.campaign is not None or row.kind == "authorisation"
        assert (row.bundle == "sha256:bundle") == about_one, row.digest


@pytest.mark.parametrize("table", ["token", "member"])
def test_a_database_that_knew_concluders_before_keeps_whom_it_named(old: Path, table: str):
    """For a while the first schema itself had the column: those databases exist too."""
    with closing(sqlite3.connect(old)) as connection:
        for name in ("token", "member"):
            line = f"ALTER TABLE {name} ADD COLUMN concludes BOOLEAN NOT NULL DEFAULT 0"
            connection.execute(line)
        connection.execute(f"UPDATE {table} SET concludes = 1 WHERE rowid = 2")
        connection.commit()
    before = contents(old)[table]
    open_store(old, ManualClock(NOW), Meters()).close()
    assert contents(old)[table] == before
    assert [row["concludes"] for row in before].count(1) == 1


def test_the_old_rows_cover_every_state_of_a_round_unit_or_attempt_that_can_wait():
    for state in (
        *(RoundState.OPEN, RoundState.OPENED, RoundState.ABORTED),
        *(UnitState.READY, UnitState.LEASED, UnitState.SATISFIED, UnitState.FAILED),
        *(AttemptState.LEASED, AttemptState.ACCEPTED, AttemptState.EXPIRED),
    ):
        assert f"'{state.value}'" in OLD.split("-- Rows of every state")[1], state
