"""The list of deeds, once for page, CSV, JSON and the API's description."""

from __future__ import annotations

from datetime import datetime

from scheduler.views.deeds import Deed
from scheduler.web.actions.words import ACTS
from trust.documents.actions import Act
from web.cells import Cell, Ident, Link
from web.listing import Choice, Column, Sort, Table, Text
from web.sentences import say


def subject(row: Deed) -> Cell:
    """What it was done to, with the way there."""
    if row.unit:
        return Ident(row.unit, f"/units/{row.unit}", 8)
    if row.worker:
        return Ident(row.worker, f"/workers/{row.worker}", 8)
    return Ident(row.campaign or "", f"/campaigns/{row.campaign}", 8)


def entry(row: Deed) -> Cell:
    """Where it stands in the log."""
    if row.index is None:
        return say("not in the log yet")
    return Link(f"/log/{row.index}", say("entry {index}", index=str(row.index)))


DEEDS: Table[Deed] = Table(
    name="actions",
    caption=say("Actions of operators"),
    columns=[
        Column(
            "action",
            say("Action"),
            lambda row: Ident(row.action, f"/actions/{row.action}", 8),
        ),
        Column("act", say("What was done"), lambda row: ACTS[row.act]),
        Column("subject", say("To what"), subject),
        Column("reason", say("Reason"), lambda row: row.reason or None),
        Column("account", say("By whom"), lambda row: Ident(row.account, letters=8)),
        Column("acted_at", say("When"), lambda row: row.acted_at, sort="acted_at"),
        Column("entry", say("In the log"), entry),
    ],
    sorts=[
        Sort("acted_at", lambda row: (row.acted_at, row.action), (datetime, str), descending=True)
    ],
    filters=[
        Choice("act", say("What was done"), options=[(one.value, ACTS[one].word) for one in Act]),
        Text("campaign", say("Campaign"), pattern=r"(camp_)?[0-9a-z]{1,64}", hint=say("camp_…")),
        Text("worker", say("Worker"), pattern=r"(wrk_)?[0-9a-z]{1,64}", hint=say("wrk_…")),
    ],
)
