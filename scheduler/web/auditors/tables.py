"""The public lists: entries of the log, an author's bundles."""

from __future__ import annotations

from datetime import datetime

from scheduler.views.checkpoints import Published
from scheduler.views.ledger import Line
from scheduler.views.search import Work
from scheduler.web import words
from scheduler.web.tables import CAMPAIGN
from trust.log.entry import Kind
from web.cells import Dated, Ident, Link, Status, Tone
from web.listing import Choice, Column, Sort, Table, Text
from web.sentences import say

_HOLDS = Status("holds", say("holds"), Tone.GOOD)
_FAILS = Status("fails", say("does not hold"), Tone.BAD)
WHOLE = 71  # letters of a digest that is compared with another one, letter by letter
_DIGEST = "(sha256:)?[0-9a-f]{1,64}"


def cosigners(row: Published) -> Dated | None:
    """The witnesses of a checkpoint, each with the moment that it states; None without any."""
    return Dated(tuple((one.witness, one.at) for one in row.cosigned)) if row.cosigned else None


def public_campaign(campaign: str) -> Ident:
    """A campaign's id, with the way to what the log holds about it: its own page asks who reads."""
    return Ident(campaign, f"/log?campaign={campaign}", 8)


LINES: Table[Line] = Table(
    name="log",
    caption=say("Entries of the log"),
    columns=[
        Column(
            "index",
            say("Index"),
            lambda row: Link(f"/log/{row.index}", str(row.index)),
            sort="index",
        ),
        Column("kind", say("What it is"), lambda row: words.entry_word(row.kind)),
        Column("digest", say("Document"), lambda row: Ident(row.digest, f"/log/{row.index}")),
        Column(
            "campaign",
            say("Campaign"),
            lambda row: public_campaign(row.campaign) if row.campaign else None,
        ),
        Column("proof", say("Proof"), lambda row: words.PROOFS[row.proven]),
    ],
    sorts=[Sort("index", lambda row: (row.index,), (int,), descending=True)],
    filters=[
        Choice(
            "kind", say("What it is"), options=[(one.value, words.entry_word(one)) for one in Kind]
        ),
        Text("campaign", say("Campaign"), pattern=CAMPAIGN, hint=say("camp_…")),
        Text("digest", say("Document"), pattern=_DIGEST, hint=say("sha256:…")),
        Text("bundle", say("Bundle"), pattern=_DIGEST, hint=say("sha256:…")),
    ],
    exported=1_000,  # anybody may ask, as often as they like
)
WORKS: Table[Work] = Table(
    name="bundles",
    caption=say("Bundles of this author"),
    columns=[
        Column("name", say("Bundle"), lambda row: Link(f"/log?bundle={row.bundle}", row.name)),
        Column("version", say("Version"), lambda row: row.version),
        Column("bundle", say("Digest"), lambda row: Ident(row.bundle, f"/log?bundle={row.bundle}")),
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
CHECKPOINTS: Table[Published] = Table(
    name="checkpoints",
    caption=say("Checkpoints"),
    columns=[
        Column(
            "size",
            say("Entries"),
            lambda row: Link(f"/log/checkpoints/{row.size}", str(row.size)),
            sort="size",
        ),
        Column("root", say("Root of the tree"), lambda row: Ident(row.root, letters=16)),
        Column("seen_at", say("Published"), lambda row: row.seen_at),
        Column("signed", say("The log's signature"), lambda row: _HOLDS if row.signed else _FAILS),
        Column("cosigned", say("Cosigned by"), cosigners),
    ],
    sorts=[Sort("size", lambda row: (row.size,), (int,), descending=True)],
    exported=1_000,  # every signature of each row is verified, and anybody may ask
)
