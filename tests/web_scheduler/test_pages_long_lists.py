"""Long lists stay fast however long: each page enters an index at its cursor, none is sorted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from scheduler.views import dossiers, health, ledger, own_runs, runs, units
from scheduler.views.reach import Reach, bundle_within, campaign_within
from scheduler.views.slices import Slice
from tests.web_scheduler.territory import Grid


def plans(grid: Grid, read: Any) -> list[str]:
    """How SQLite goes about every query of `read`."""
    engine = grid.world.desk.store._engine
    asked: list[tuple[str, Any]] = []

    def note(connection, cursor, statement, parameters, context, many):  # type: ignore[no-untyped-def]
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        read()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert asked
    with engine.connect() as connection:
        return [
            row[3]
            for statement, parameters in asked
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
        ]


@pytest.mark.parametrize("reverse", [False, True])
def test_every_page_enters_an_index_at_its_cursor(grid: Grid, reverse: bool) -> None:
    desk, now = grid.world.desk, grid.world.clock.now()
    reads = {
        "units": lambda: units.units(
            desk, grid.moving, Slice(51, (1, grid.late_unit), reverse=reverse)
        ),
        "campaigns": lambda: runs.runs(desk, Slice(51, (now, grid.moving), reverse=reverse)),
        "log": lambda: ledger.lines(desk, Slice(51, (7,), reverse=reverse)),
        "kind": lambda: ledger.lines(desk, Slice(51, (7,), reverse=reverse), kind="plan"),
        "campaign": lambda: ledger.lines(
            desk, Slice(51, (7,), reverse=reverse), campaign=grid.moving
        ),
    }
    for name, read in reads.items():
        found = plans(grid, read)
        for table in ("unit", "campaign", "log_entry", "attempt", "round"):
            assert f"SCAN {table}" not in found, (name, found)
        assert not any("ORDER BY" in line for line in found), (name, found)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("reach", [Reach(("ed25519:a", "ed25519:b")), Reach(everything=True)])
def test_authors_pages_enter_an_index_at_their_cursor(
    grid: Grid, reach: Reach, reverse: bool
) -> None:
    desk, now = grid.world.desk, grid.world.clock.now()
    cut = Slice(51, (now, "zz"), reverse=reverse)
    digest = grid.world.bundle.digest
    mine = reach if reach.everything else Reach((str(grid.world.author.public),))
    reads = {
        "bundles": lambda: dossiers.dossiers(desk, cut, reach),
        "runs": lambda: own_runs.own_runs(desk, cut, reach),
        "of a bundle": lambda: own_runs.own_runs(desk, cut, mine, bundle=digest),
        "bundle": lambda: desk.store.read("t", lambda tx: bundle_within(tx, digest, mine)),
        "campaign": lambda: desk.store.read(
            "t", lambda tx: campaign_within(tx, grid.released, mine)
        ),
        "lines": lambda: dossiers.dossiers(desk, Slice(51, None, reverse=reverse), mine),
    }
    for name, read in reads.items():
        found = plans(grid, read)
        for table in ("bundle", "campaign", "authorisation"):
            assert f"SCAN {table}" not in found, (name, found)
        assert not any("ORDER BY" in line for line in found), (name, found)


def test_health_looks_at_what_moves_and_not_at_what_has_ended(grid: Grid) -> None:
    found = plans(grid, lambda: health.health(grid.world.desk, tuple))
    assert any("unit_moving" in line for line in found), found
    assert any("unit_failed" in line for line in found), found
    assert any("attempt_live" in line or "attempt_of_worker" in line for line in found), found
    for table in ("unit", "attempt", "campaign"):
        assert f"SCAN {table}" not in found, found
