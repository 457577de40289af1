"""Old code, new schema and the other way round: told apart by the version in the database."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine

import cadastre
from benchmarks.filled import found
from scheduler.database import alone, open_database
from scheduler.errors import SchemaRefused, StateRefused
from scheduler.meters import Meters
from scheduler.state import State
from scheduler.store import schema
from trust.clock import SystemClock
from trust.entropy import SYSTEM

CLOCK = SystemClock()
OLDEST = (Path(__file__).with_name("revision_0002.sql")).read_text("utf-8")
BEFORE = ["0003", "0004", "0005", "0006"]


def make_old(state: State, revision: str) -> None:
    """A database as the release with `revision` made it, with its territory's row."""
    engine = create_engine(f"sqlite:///{state.database}")
    config = schema._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.exec_driver_sql(
            "INSERT INTO installation (id, territory, clock_mark, clock_held) "
            "VALUES (1, 'bench.example', 0, 0)"
        )
    engine.dispose()


@pytest.fixture
def state(tmp_path: Path) -> State:
    return found(tmp_path / "scheduler", CLOCK, SYSTEM)


def version(state: State) -> str:
    with closing(sqlite3.connect(state.database)) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found)


def run(state: State, backup: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    words = ["scheduler", "upgrade", "--state", str(state.folder), "--backup", str(backup)]
    code = cadastre.main([*words, "--json"])
    said = capsys.readouterr()
    return code, said.out or said.err


@pytest.mark.parametrize("revision", BEFORE)
def test_new_code_refuses_an_old_schema_and_upgrades_it_when_told(
    state: State, tmp_path: Path, revision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(state, revision)
    with pytest.raises(SchemaRefused, match=f"schema version {revision}") as refusal:
        open_database(state, CLOCK, Meters())
    assert "cadastre scheduler upgrade" in refusal.value.remedy
    assert version(state) == revision, "looking changes nothing"

    backup = tmp_path / "before.tar"
    code, said = run(state, backup, capsys)
    assert code == 0, said
    assert (json.loads(said)["from"], json.loads(said)["to"]) == (revision, schema.newest())
    open_database(state, CLOCK, Meters()).close()
    assert backup.exists()

    again, said = run(state, tmp_path / "again.tar", capsys)
    assert again == 0
    assert "nothing to do" in said
    assert not (tmp_path / "again.tar").exists()


def test_the_rows_of_the_oldest_release_survive_the_command(
    state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(state.database)) as connection:
        connection.executescript(OLDEST)
        connection.execute("UPDATE installation SET territory = 'bench.example', clock_mark = 0")
        connection.commit()
    code, said = run(state, tmp_path / "before.tar", capsys)
    assert code == 0, said
    assert json.loads(said)["from"] == "0002"
    with closing(sqlite3.connect(state.database)) as connection:
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("campaign", "unit", "attempt", "log_entry", "consent")
        }
    assert counts == {"campaign": 6, "unit": 8, "attempt": 4, "log_entry": 4, "consent": 1}


def test_old_code_refuses_a_new_schema(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old code is this one without its newest migration, which is what a release is."""
    open_database(state, CLOCK, Meters()).close()
    head = schema.newest()
    older = tmp_path / "migrations"
    shutil.copytree(schema._MIGRATIONS, older)
    (newest,) = (older / "versions").glob(f"{head}_*.py")
    newest.unlink()
    monkeypatch.setattr(schema, "_MIGRATIONS", older)
    with pytest.raises(SchemaRefused, match=f"{head}, which this program does not know") as refusal:
        open_database(state, CLOCK, Meters(), upgrade=True)
    assert "newer release" in refusal.value.remedy
    assert version(state) == head


def test_an_upgrade_waits_for_the_scheduler_to_stop(
    state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(state, "0005")
    with alone(state):
        code, said = run(state, tmp_path / "before.tar", capsys)
    assert code != 0
    assert StateRefused.code in said
    assert version(state) == "0005"
    assert not (tmp_path / "before.tar").exists()


def test_without_a_backup_nothing_is_upgraded(
    state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(state, "0005")
    code, said = run(state, tmp_path / "nowhere" / "before.tar", capsys)
    assert code != 0
    assert "backup-refused" in said
    assert version(state) == "0005"


def test_a_backup_of_an_older_release_is_put_back_upgraded(
    state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(state, "0005")
    backup, back = tmp_path / "b.tar", tmp_path / "back"
    words = ["--state", str(state.folder), "--out", str(backup), "--json"]
    assert cadastre.main(["scheduler", "backup", *words]) == 0
    assert cadastre.main(["scheduler", "restore", str(backup), "--state", str(back)]) == 0
    assert "put the folder `keys` back" in capsys.readouterr().out
    assert version(State(back)) == schema.newest()
    assert version(state) == "0005"
