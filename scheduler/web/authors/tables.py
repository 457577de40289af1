"""The authors' lists: columns, orders and filters, once for pages, CSV, JSON and the API."""

from __future__ import annotations

from datetime import datetime

from scheduler.domain.states import CampaignState
from scheduler.views.dossiers import Dossier
from scheduler.views.own_runs import OwnRun
from scheduler.web import words
from scheduler.web.authors.words import STANDINGS, blocked
from scheduler.web.reasons import told
from web.cells import Ident, Link
from web.listing import Choice, Column, Sort, Table, Text
from web.sentences import say


def bundle_ident(bundle: str) -> Ident:
    """A bundle's digest, with the way to its page."""
    return Ident(bundle, f"/mine/{bundle}", 8)


def run_ident(campaign: str) -> Ident:
    """A campaign's id, with the way to its author's page about it."""
    return Ident(campaign, f"/runs/{campaign}", 8)


def release_link(row: OwnRun) -> Link | None:
    """The way to a campaign's release."""
    if row.state != CampaignState.RELEASED.value:
        return None
    return Link(f"/releases/{row.campaign}", say("its release"))


BUNDLES: Table[Dossier] = Table(
    name="bundles",
    caption=say("Bundles"),
    columns=[
        Column("name", say("Name"), lambda row: Link(f"/mine/{row.bundle}", row.name)),
        Column("version", say("Version"), lambda row: row.version),
        Column("standing", say("Dossier"), lambda row: STANDINGS[row.standing]),
        Column("blocked", say("What blocks it"), blocked),
        Column("not_after", say("Authorised until"), lambda row: row.not_after),
        Column("started", say("Campaigns"), lambda row: row.started, number=True, schema="integer"),
        Column("campaigns", say("of"), lambda row: row.campaigns, number=True, schema="integer"),
        Column("newest", say("Newest campaign"), lambda row: _newest(row.newest)),
        Column("bundle", say("Bundle"), lambda row: bundle_ident(row.bundle), page=False),
        Column("submitted_at", say("Submitted"), lambda row: row.submitted_at, sort="submitted_at"),
    ],
    sorts=[
        Sort(
            "submitted_at",
            lambda row: (row.submitted_at, row.bundle),
            (datetime, str),
            descending=True,
        )
    ],
)
OWN_RUNS: Table[OwnRun] = Table(
    name="runs",
    caption=say("Campaigns"),
    columns=[
        Column("title", say("Title"), lambda row: Link(f"/runs/{row.campaign}", row.title)),
        Column("campaign", say("Campaign"), lambda row: run_ident(row.campaign)),
        Column("bundle", say("Bundle"), lambda row: bundle_ident(row.bundle)),
        Column("state", say("State"), lambda row: words.CAMPAIGNS[row.state]),
        Column("reason", say("Why"), lambda row: told(row.why, row.reason)),
        Column("round", say("Round"), lambda row: row.round, number=True, schema="integer"),
        Column("rounds", say("of"), lambda row: row.rounds, number=True, schema="integer"),
        Column("created_at", say("Started"), lambda row: row.created_at, sort="created_at"),
        Column("updated_at", say("Last change"), lambda row: row.updated_at, page=False),
        Column("release", say("Release"), release_link),
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
        Choice(
            "state",
            say("State"),
            options=[(code, one.word) for code, one in words.CAMPAIGNS.items()],
        ),
        Text("bundle", say("Bundle"), pattern="(sha256:)?[0-9a-f]{8,64}", hint=say("sha256:…")),
    ],
)


def _newest(campaign: str) -> Ident | None:
    return run_ident(campaign) if campaign else None
