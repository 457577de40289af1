"""The lists: columns, orders and filters, once for pages, CSV, JSON and the API's description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from scheduler.views.machines import Machine
from scheduler.views.runs import Run
from scheduler.views.slices import Slice
from scheduler.views.units import Work
from scheduler.web import words
from scheduler.web.reasons import told
from web.cells import Ident, Link, Status
from web.listing import Choice, Column, ListState, Sort, Table, Text
from web.sentences import Sentence, say

CAMPAIGN = r"(camp_)?[0-9a-z]{1,64}"
# What begins alike is sorted: of a million units, a few at most begin with the same four letters.
UNIT = r"(unit_)?[0-9a-z]{4,64}"
WORKER = r"(wrk_)?[0-9a-z]{4,64}"


def cut(state: ListState) -> Slice:
    """What a list's address asks of a store."""
    return Slice(state.limit, state.cursor.key if state.cursor else None, state.reverse)


def _options(known: Mapping[str, Status]) -> list[tuple[str, Sentence]]:
    return [(code, one.word) for code, one in known.items()]


def campaign_ident(campaign: str) -> Ident:
    """A campaign's id, with the way to its page."""
    return Ident(campaign, f"/campaigns/{campaign}", 8)


def unit_ident(unit: str) -> Ident:
    """A unit's id, with the way to its page."""
    return Ident(unit, f"/units/{unit}", 8)


def worker_ident(worker: str) -> Ident:
    """A worker's name, with the way to its page."""
    return Ident(worker, f"/workers/{worker}", 8)


RUNS: Table[Run] = Table(
    name="campaigns",
    caption=say("Campaigns"),
    columns=[
        Column("title", say("Title"), lambda row: Link(f"/campaigns/{row.campaign}", row.title)),
        Column("campaign", say("Campaign"), lambda row: campaign_ident(row.campaign)),
        Column("state", say("State"), lambda row: words.CAMPAIGNS[row.state]),
        Column("reason", say("Why"), lambda row: told(row.why, row.reason)),
        Column("round", say("Round"), lambda row: row.round, number=True, schema="integer"),
        Column("rounds", say("of"), lambda row: row.rounds, number=True, schema="integer"),
        Column("created_at", say("Started"), lambda row: row.created_at, sort="created_at"),
        Column("updated_at", say("Last change"), lambda row: row.updated_at),
    ],
    sorts=[
        Sort(
            "created_at",
            lambda row: (row.created_at, row.campaign),
            (datetime, str),
            descending=True,
        )
    ],
    filters=[
        Choice("state", say("State"), options=_options(words.CAMPAIGNS)),
        Text("campaign", say("Id begins with"), pattern=CAMPAIGN, hint=say("camp_…")),
    ],
)
WORK: Table[Work] = Table(
    name="units",
    caption=say("Work units"),
    columns=[
        Column("unit", say("Work unit"), lambda row: unit_ident(row.unit)),
        Column("round", say("Round"), lambda row: row.round, "unit", number=True, schema="integer"),
        Column("kind", say("Task"), lambda row: words.UNIT_KINDS[row.kind]),
        Column("state", say("State"), lambda row: words.UNITS[row.state]),
        Column(
            "worker", say("Worker"), lambda row: worker_ident(row.worker) if row.worker else None
        ),
        Column("reason", say("Why"), lambda row: told(row.why, row.reason)),
        Column(
            "capsules",
            say("Capsules, in tens"),
            lambda row: row.capsules,
            number=True,
            schema="integer",
        ),
        Column("deadline", say("Deadline"), lambda row: row.deadline),
    ],
    sorts=[Sort("unit", lambda row: (row.round, row.unit), (int, str), descending=True)],
    filters=[
        Choice("state", say("State"), options=_options(words.UNITS)),
        Text("round", say("Round"), most=6, pattern="[1-9][0-9]{0,5}"),
    ],
)
_OF_WORK = {one.name: one for one in WORK.columns}
EVERY_UNIT: Table[Work] = Table(
    name="all-units",
    caption=say("Work units of all campaigns"),
    columns=[
        replace(WORK.columns[0], sort=""),
        Column("campaign", say("Campaign"), lambda row: campaign_ident(row.campaign)),
        *(
            replace(_OF_WORK[name], sort="deadline" if name == "deadline" else "")
            for name in ("state", "worker", "reason", "deadline", "round", "kind")
        ),
    ],
    sorts=[
        Sort("deadline", lambda row: (row.deadline, row.unit), (datetime, str), descending=True)
    ],
    filters=[
        WORK.filters[0],
        Choice("late", say("Late"), options=[("yes", say("those that should be further"))]),
        Text("worker", say("Worker"), pattern=WORKER, hint=say("wrk_…")),
        Text("unit", say("Id begins with"), pattern=UNIT, hint=say("unit_…")),
    ],
)
MACHINES: Table[Machine] = Table(
    name="workers",
    caption=say("Workers"),
    columns=[
        Column("worker", say("Worker"), lambda row: worker_ident(row.worker)),
        Column("state", say("State"), lambda row: words.WORKERS[row.freshness], sort="state"),
        Column("work", say("New work"), lambda row: words.TAKES[row.takes]),
        Column("last_seen", say("Last sign"), lambda row: row.last_seen, sort="last_seen"),
        Column("operator", say("Answers for it"), lambda row: row.operator, sort="operator"),
        Column("site", say("Site"), lambda row: row.site),
        Column("level", say("Sandbox"), lambda row: row.level),
        Column("libraries", say("Libraries"), lambda row: ", ".join(row.libraries) or None),
        Column(
            "capsules",
            say("Capsules, in tens"),
            lambda row: row.capsules,
            number=True,
            schema="integer",
        ),
        Column("leases", say("At work"), lambda row: row.leases, number=True, schema="integer"),
        Column(
            "slots",
            say("Free slots"),
            lambda row: row.slots,
            number=True,
            schema="integer",
            page=False,
        ),
    ],
    sorts=[
        Sort("operator", lambda row: (row.operator, row.worker), (str, str)),
        Sort("state", lambda row: (row.freshness, row.worker), (str, str), descending=True),
        Sort(
            "last_seen",
            lambda row: (row.last_seen.isoformat() if row.last_seen else "", row.worker),
            (str, str),
            descending=True,
        ),
    ],
    filters=[
        Choice("state", say("State"), options=_options(words.WORKERS)),
        Choice("work", say("New work"), options=_options(words.TAKES)),
        Text("operator", say("Answers for it"), most=80),
        Text("site", say("Site"), most=80),
        Text("library", say("Has the library"), most=40, pattern="[a-z0-9_.-]+"),
    ],
)
