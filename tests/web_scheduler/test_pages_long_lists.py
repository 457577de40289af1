"""Long lists stay fast however long: each page enters an index at its cursor, none is sorted.

Two ways to see it, neither with a clock: how SQLite says it goes about every query, and how many
steps its machine takes for a page over a thousand units and over ten times as many.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from benchmarks.filled import Filled, fill
from scheduler.database import open_database
from scheduler.meters import Meters
from scheduler.service import roster
from scheduler.service.answering import _READY
from scheduler.service.desk import Desk
from scheduler.store.store import Store
from scheduler.views import dossiers, health, ledger, machines, own_runs, runs, stages, units
from scheduler.views.every_unit import every_unit
from scheduler.views.lateness import count_late
from scheduler.views.reach import Reach, bundle_within, campaign_within
from scheduler.views.slices import Slice
from tests.web_scheduler.territory import Grid
from trust.clock import SystemClock
from trust.entropy import seeded
from web.signin.roles import Role

# What may be read from end to end: workers, bundles and votes, of which a territory has hundreds,
# lists that a query brings along, and indexes over what has not ended yet alone.
_SHORT = re.compile(
    r"SCAN ((worker|bundle|authorisation)( USING INDEX \S+)?$|CONSTANT ROW|\(subquery-\d+\)|"
    r"anon_\d+$|\S+ USING (COVERING )?INDEX (unit_moving|unit_to_lease|attempt_of_worker|"
    r"attempt_expiry|log_to_do|campaign_moving|sqlite_autoindex_worker_1)(?!\w))"
)
_IN_ORDER = {"SCAN log_checkpoint"}  # its key is the row's own number
FEW, MANY = 1_000, 10_000
STEP = 50  # instructions of SQLite's machine between two counts
STEPS_GROW_BY = 1.3
Read = Callable[[], Any]


def statements(grid: Grid, read: Read) -> list[tuple[str, Any]]:
    """What `read` asks the database, with its parameters."""
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
    return asked


def plans(grid: Grid, read: Read) -> list[str]:
    """How SQLite goes about every query of `read`."""
    asked = statements(grid, read)
    with grid.world.desk.store._engine.connect() as connection:
        return [
            row[3]
            for statement, parameters in asked
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
        ]


def whole_tables(found: list[str]) -> list[str]:
    """The lines of a plan that read something long from end to end."""
    return [line for line in found if line.startswith("SCAN ") and not _SHORT.match(line)]


@pytest.mark.parametrize("reverse", [False, True])
def test_every_page_enters_an_index_at_its_cursor(grid: Grid, reverse: bool) -> None:
    desk, now = grid.world.desk, grid.world.clock.now()
    of_units, of_log = (
        Slice(51, key, reverse=reverse)
        for key in ((1, grid.late_unit), (7,))  # type: ignore[arg-type]
    )
    of_runs = Slice(51, (now, grid.moving), reverse=reverse)
    of_all = Slice(51, (now, grid.late_unit), reverse=reverse)
    worker = grid.workers[0].name
    reads: dict[str, Read] = {
        "rounds": lambda: stages.stages(desk, grid.moving, Slice(51, (1,), reverse=reverse)),
        "units": lambda: units.units(desk, grid.moving, of_units),
        "units of a state": lambda: units.units(desk, grid.moving, of_units, state="failed"),
        "units of a round": lambda: units.units(desk, grid.moving, of_units, number=1),
        "both": lambda: units.units(desk, grid.moving, of_units, state="failed", number=1),
        "all units": lambda: every_unit(desk, of_all),
        "failed ones of them": lambda: every_unit(desk, of_all, state="failed"),
        "ready ones": lambda: every_unit(desk, of_all, state="ready"),
        "done ones": lambda: every_unit(desk, of_all, state="satisfied"),
        "those of a worker": lambda: every_unit(desk, of_all, worker=worker),
        "its failed ones": lambda: every_unit(desk, of_all, worker=worker, state="failed"),
        "campaigns": lambda: runs.runs(desk, of_runs),
        "campaigns of a state": lambda: runs.runs(desk, of_runs, state="failed"),
        "log": lambda: ledger.lines(desk, of_log),
        "kind": lambda: ledger.lines(desk, of_log, kind="plan"),
        "campaign": lambda: ledger.lines(desk, of_log, campaign=grid.moving),
    }
    for name, read in reads.items():
        found = plans(grid, read)
        assert not whole_tables(found), (name, found)
        assert not any("ORDER BY" in line for line in found), (name, found)


def test_each_filter_of_all_units_has_its_index(grid: Grid) -> None:
    """And what leases or finds the late ones is not led to any of these."""
    desk, worker = grid.world.desk, str(grid.workers[0].name)
    cut = Slice(51, (grid.world.clock.now(), grid.late_unit))
    asked: dict[str, tuple[dict[str, Any], str]] = {
        "all": ({}, "unit_listed ("),
        "state": ({"state": "failed"}, "unit_listed_of_state (state=?"),
        "worker": ({"worker": worker}, "unit_listed_of_worker (worker=?"),
        "late": ({"late": True}, "unit_moving"),
        "late of a worker": ({"late": True, "worker": worker}, "unit_moving"),
        "id": ({"prefix": "unit_0123", "state": "failed"}, "sqlite_autoindex_unit_1 (id>?"),
    }
    for name, (filters, index) in asked.items():
        found = plans(grid, lambda filters=filters: every_unit(desk, cut, **filters))  # type: ignore[misc]
        assert any(index in line for line in found if " unit " in line), (name, found)
        assert not whole_tables(found), (name, found)

    def lease() -> None:
        desk.store.read("t", lambda tx: tx.session.exec(_READY, params={"worker": worker}).all())

    assert any("unit_to_lease" in line for line in plans(grid, lease)), plans(grid, lease)
    late = plans(grid, lambda: desk.store.read("t", count_late))
    assert any("unit_moving" in line for line in late), late
    assert not any("unit_listed" in line for line in late), late


def test_what_sorts_sorts_what_one_index_narrowed(grid: Grid) -> None:
    """A page of one thing, and lists by the beginning of an id: few rows, found by an index."""
    desk = grid.world.desk
    reads: dict[str, Read] = {
        "campaign": lambda: runs.run(desk, grid.moving),
        "unit": lambda: units.unit(desk, grid.late_unit),
        "entry": lambda: ledger.entry(desk, "3"),
        "campaigns by id": lambda: runs.runs(desk, Slice(51), prefix="camp_0123"),
        "log by digest": lambda: ledger.lines(desk, Slice(51), digest="01234567"),
        "workers": lambda: machines.machines(desk),
        "workers of the command": lambda: desk.store.read("list", roster.live_capsules),
    }
    for name, read in reads.items():
        assert not whole_tables(plans(grid, read)), (name, plans(grid, read))
    counted = plans(grid, reads["workers"])
    # Of the owners' decisions, which grow with every owner, the rows themselves are not read.
    assert any("SEARCH consent USING COVERING INDEX consent_live" in line for line in counted)


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


def sample(schema: dict[str, Any]) -> str | None:
    """A value that a list's parameter takes; None for one that has no short example."""
    kind = schema.get("anyOf", [schema])[0]
    if options := kind.get("enum"):
        return str(options[-1])
    if kind.get("type") == "integer":
        return "2"
    if examples := kind.get("examples"):
        return str(examples[0])
    tried = ("camp_0123", "sha256:0123", "0123", "1", "ville")
    return next((one for one in tried if re.search(kind.get("pattern", ""), one)), None)


def test_every_list_of_the_api_reads_no_table_from_end_to_end(grid: Grid) -> None:
    """Also of those that nobody thought of here, and by each of their filters and orders."""
    browser = grid.enter(*Role)
    document = browser.get("/api/v1/openapi.json", headers={"accept": "application/json"}).json
    lists = {
        path: {
            one["name"]: sample(one["schema"])
            for one in methods["get"].get("parameters", [])
            if one["in"] == "query"
        }
        for path, methods in document["paths"].items()
        if path.startswith("/api/v1/") and "get" in methods
    }
    lists = {path: names for path, names in lists.items() if "cursor" in names}
    assert len(lists) >= 4
    asked = 0
    for path, names in lists.items():
        address = path.replace("{prefix}", grid.moving)
        if "{" in address:
            continue  # of something that this territory has none of
        for name, value in [("size", "2"), *names.items()]:
            if not value or name == "cursor":
                continue
            query = f"?{name}={value}"
            answers: list[int] = []

            def ask(address: str = address + query, answers: list[int] = answers) -> None:
                answers.append(browser.get(address, headers={"accept": "application/json"}).status)

            found = plans(grid, ask)
            asked += answers == [200]
            # 404: it filters by something that has to exist, and found by an index that it doesn't.
            assert answers[0] in {200, 404}, (address, query)
            read = whole_tables(found)
            if name in {"size", "sort", "dir"}:
                # Nothing is left out: the first rows of an index are the page.
                read = [line for line in read if " USING " not in line and line not in _IN_ORDER]
            assert not read, (address, query, found)
    assert asked > 15


def test_health_looks_at_what_moves_and_not_at_what_has_ended(grid: Grid) -> None:
    found = plans(grid, lambda: health.health(grid.world.desk, tuple))
    assert any("unit_moving" in line for line in found), found
    assert any("unit_failed" in line for line in found), found
    assert any("campaign_changed (state=? AND updated_at>?)" in line for line in found), found
    assert not whole_tables(found), found
    # It is rendered every second: nothing of it may cost more with every owner who joins.
    assert not any("consent" in line for line in found), found


@dataclass
class Shelf:
    """A filled store, and how many steps reading it takes."""

    filled: Filled
    store: Store

    def __post_init__(self) -> None:
        self._counted = 0
        event.listen(self.store._engine, "connect", self._watch)
        self.store._engine.dispose()

    @property
    def desk(self) -> Desk:
        """As much of a desk as the views of lists use."""
        return _Reading(self.store)  # type: ignore[return-value]

    def steps(self, read: Read) -> int:
        """The thousands of instructions that `read` takes, once everything is compiled."""
        read()
        before = self._counted
        read()
        return self._counted - before

    def _watch(self, connection: sqlite3.Connection, _record: object) -> None:
        def count() -> int:
            self._counted += 1
            return 0

        connection.set_progress_handler(count, STEP)


@dataclass(frozen=True)
class _Reading:
    store: Store


@contextmanager
def shelf(folder: Path, count: int) -> Iterator[Shelf]:
    clock = SystemClock()
    filled = fill(folder, count, clock, seeded(b"long lists"))
    store = open_database(filled.state, clock, Meters())
    with closing(store):
        yield Shelf(filled, store)


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shelf, Shelf]]:
    """The same territory after a thousand units and after ten times as many."""
    home = tmp_path_factory.mktemp("shelves")
    with shelf(home / "few", FEW) as few, shelf(home / "many", MANY) as many:
        yield few, many


PAGES: dict[str, Callable[[Shelf], Any]] = {
    "units": lambda it: units.units(it.desk, it.filled.running, Slice(51, reverse=True)),
    "units, deep in": lambda it: units.units(
        it.desk, it.filled.running, Slice(51, (it.filled.middle, it.filled.unit), reverse=True)
    ),
    "units of a round": lambda it: units.units(
        it.desk, it.filled.running, Slice(51), number=it.filled.middle
    ),
    "units of a state": lambda it: units.units(
        it.desk, it.filled.running, Slice(5, reverse=True), state="leased"
    ),
    "a unit": lambda it: units.unit(it.desk, it.filled.unit),
    "campaigns": lambda it: runs.runs(it.desk, Slice(51, reverse=True)),
    "a campaign": lambda it: runs.run(it.desk, it.filled.running),
    "rounds, deep in": lambda it: stages.stages(
        it.desk, it.filled.running, Slice(5, (it.filled.middle + 3,), reverse=True)
    ),
    "log": lambda it: ledger.lines(it.desk, Slice(51, (200,), reverse=True)),
    "log of a campaign": lambda it: ledger.lines(
        it.desk, Slice(5, reverse=True), campaign=it.filled.running
    ),
    "workers": lambda it: machines.machines(it.desk),
    "all units": lambda it: every_unit(it.desk, Slice(51, reverse=True)),
    "failed ones of them": lambda it: every_unit(it.desk, Slice(5, reverse=True), state="failed"),
    "those of a worker": lambda it: every_unit(
        it.desk, Slice(9, reverse=True), worker="wrk_00000000000000000000000003"
    ),
    "late ones": lambda it: every_unit(it.desk, Slice(51), late=True),
    "one by its id": lambda it: every_unit(it.desk, Slice(51), prefix=it.filled.unit[:20]),
    "how many are late": lambda it: it.store.read("t", count_late),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_takes_as_many_steps_over_ten_times_the_units(
    shelves: tuple[Shelf, Shelf], name: str
) -> None:
    few, many = (one.steps(lambda one=one: PAGES[name](one)) for one in shelves)  # type: ignore[misc]
    assert many <= STEPS_GROW_BY * few + 2, f"{few * STEP} steps became {many * STEP}"


def test_following_next_shows_every_unit_once(shelves: tuple[Shelf, Shelf]) -> None:
    """All 5,000 units of one campaign, page by page to the end, and back over one edge."""
    _, many = shelves
    seen: list[tuple[int, str]] = []
    while True:
        after = seen[-1] if seen else None
        page = units.units(many.desk, many.filled.running, Slice(500, after, reverse=True))
        if not page:
            break
        seen += [(row.round, row.unit) for row in page]
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == MANY // 2
    back = units.units(many.desk, many.filled.running, Slice(10, seen[2_000]))
    assert [(row.round, row.unit) for row in back] == seen[1_990:2_000][::-1]


@pytest.mark.parametrize(("reverse", "around"), [(False, 7), (True, 7)])
def test_a_cursor_of_another_round_is_before_or_behind_this_one(
    shelves: tuple[Shelf, Shelf], reverse: bool, around: int
) -> None:
    _, many = shelves
    shown = {
        place: len(
            units.units(
                many.desk,
                many.filled.running,
                Slice(500, (place, "unit_5"), reverse=reverse),
                number=around,
            )
        )
        for place in (around - 1, around + 1)
    }
    ahead, behind = shown[around + 1], shown[around - 1]
    assert (ahead, behind) == ((25, 0) if reverse else (0, 25))


def test_the_pages_cursor_is_the_views(grid: Grid) -> None:
    """What the page hands on as `next` is what the view takes; through the API, to the end."""
    browser = grid.enter(Role.VIEWER)
    address = f"/api/v1/campaigns/{grid.moving}/units?size=1"
    seen: list[str] = []
    cursor: str | None = ""  # an empty parameter counts as left out
    while cursor is not None:
        page = browser.get(
            f"{address}&cursor={cursor}", headers={"accept": "application/json"}
        ).json
        seen += [row["unit"] for row in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) > 1
