"""Which database this program may open: its own schema, whole, at a version that it knows."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel

from scheduler.errors import SchemaRefused
from scheduler.store import tables

_MIGRATIONS = Path(__file__).with_name("migrations")
_OURS = frozenset(SQLModel.metadata.tables)
assert tables.UnitRow.__tablename__ in _OURS  # importing the package completed the metadata


def newest() -> str:
    """The schema version that this program works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def version(engine: Engine) -> str | None:
    """The schema version of a database; None where there is none."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def prepare(engine: Engine, *, upgrade: bool = True) -> None:
    """Create or upgrade the schema, then compare it with the code. Raises SchemaRefused.

    Without `upgrade` an older schema is refused: a command that is newer than the scheduler that
    runs beside it must not change the tables under it.
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        present = set(inspect(connection).get_table_names())
    current = version(engine)
    if current is None and present - {"alembic_version"}:
        raise SchemaRefused(
            "the database has tables but no schema version",
            remedy="it is not a Cadastre scheduler's: point --state at the right directory",
        )
    if current is not None:
        try:
            scripts.get_revision(current)
        except CommandError as error:
            raise SchemaRefused(
                f"the database has schema version {current}, which this program does not know",
                remedy="a newer release wrote it: start that release, or restore a backup",
            ) from error
    if current is not None and current != scripts.get_current_head() and not upgrade:
        raise SchemaRefused(
            f"the database has schema version {current}, this program works with {newest()}",
            remedy="stop the scheduler, then: cadastre scheduler upgrade --state DIR --backup FILE",
        )
    if current != scripts.get_current_head():
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    _compare(engine)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _compare(engine: Engine) -> None:
    """Refuse a schema that somebody changed by hand."""
    inspector = inspect(engine)
    present = set(inspector.get_table_names()) - {"alembic_version"}
    if present != _OURS:
        raise SchemaRefused(
            f"missing tables {sorted(_OURS - present)}, unknown tables {sorted(present - _OURS)}",
            remedy="the schema was changed by hand: restore a backup",
        )
    for name in sorted(_OURS):
        expected = {column.name for column in SQLModel.metadata.tables[name].columns}
        found = {column["name"] for column in inspector.get_columns(name)}
        if found != expected:
            raise SchemaRefused(
                f"table {name}: missing columns {sorted(expected - found)}, "
                f"unknown columns {sorted(found - expected)}",
                remedy="the schema was changed by hand: restore a backup",
            )
