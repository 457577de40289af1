"""One field that finds what the log holds: by index, hash, bundle, author or anything's id.

Every way of finding enters an index and stops after a few rows: what is typed never makes the
store look at everything. Only what the log or its public objects show anyway is found.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from scheduler.service.desk import Desk
from scheduler.service.finding import LEAST_PREFIX
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    ActionRow,
    AuthorisationRow,
    BundleRow,
    CampaignRow,
    LogRow,
    MemberRow,
)
from scheduler.views.slices import Slice

LONGEST = 200  # letters of a question
MOST = 20  # hits of one sort; more are told by their number alone
_INDEX = re.compile(r"[0-9]{1,18}", re.ASCII)
_HEX = re.compile(rf"(?:sha256:)?([0-9a-f]{{{LEAST_PREFIX},64}})", re.ASCII)
_ID = re.compile(rf"(camp_|auth_|unit_|wrk_|deed_|)([0-9a-z]{{{LEAST_PREFIX},26}})", re.ASCII)
# Entries that name a worker, a unit or a deed: by the tables that know which document does.
_NAMED: Mapping[str, Sequence[tuple[Any, Any]]] = {
    "wrk_": ((MemberRow.enrolment, MemberRow.name), (ActionRow.digest, ActionRow.worker)),
    "unit_": ((ActionRow.digest, ActionRow.unit),),
    "deed_": ((ActionRow.digest, ActionRow.id),),
}
_KEY = re.compile(rf"ed25519:[0-9A-Za-z_-]{{{LEAST_PREFIX},43}}", re.ASCII)


class HitKind(enum.StrEnum):
    """What was found."""

    ENTRY = "entry"
    CAMPAIGN = "campaign"
    VOTE = "vote"
    BUNDLE = "bundle"
    AUTHOR = "author"


@dataclass(frozen=True)
class Hit:
    """Something that the question may have meant. `index` is the entry that it stands in."""

    kind: HitKind
    name: str  # the whole id, digest or key
    title: str = ""  # as voted or as its author calls it
    index: int | None = None
    entry: str = ""  # the kind of entry


@dataclass(frozen=True)
class Hits:
    """At most `MOST` of each sort; `more` when there are others behind them."""

    found: tuple[Hit, ...]
    more: bool


@dataclass(frozen=True)
class Work:
    """A bundle of an author, as submitted."""

    bundle: str
    name: str
    version: str
    author: str
    submitted_at: datetime


def search(desk: Desk, text: str) -> Hits:
    """What `text` may mean: nothing, one thing or several."""
    asked = text.strip()[:LONGEST]

    def gather(tx: Transaction) -> Hits:
        found: list[Hit] = []
        more = False
        for part in _parts(tx, asked):
            more = more or len(part) > MOST
            found += part[:MOST]
        return Hits(tuple(dict.fromkeys(found)), more)

    return desk.store.read("search-log", gather)


def works(desk: Desk, author: str, cut: Slice) -> list[Work]:
    """The bundles that the key `author` signed, by when they were submitted."""

    def gather(tx: Transaction) -> list[Work]:
        table = BundleRow.__table__.c  # type: ignore[attr-defined]
        query = select(BundleRow).where(BundleRow.author == author)
        return [
            Work(row.digest, row.name, row.version, row.author, row.submitted_at)
            for row in tx.session.exec(cut.cut(query, [table["submitted_at"], table["digest"]]))
        ]

    return desk.store.read("author-works", gather)


def _parts(tx: Transaction, asked: str) -> Iterable[list[Hit]]:
    if _INDEX.fullmatch(asked):
        yield _entries(tx, LogRow.position == int(asked))
    if found := _HEX.fullmatch(asked):
        letters = found[1]
        yield _entries(tx, *_begins(LogRow.digest, f"sha256:{letters}"))
        yield _entries(tx, *_begins(LogRow.leaf, letters))
        yield _bundles(tx, *_begins(BundleRow.digest, f"sha256:{letters}"))
        if len(letters) <= 16:
            yield _authors(tx, BundleRow.fingerprint, letters)
    if found := _ID.fullmatch(asked):
        yield from _of_id(tx, *found.groups())
    if _KEY.fullmatch(asked):
        yield _authors(tx, BundleRow.author, asked)


def _of_id(tx: Transaction, prefix: str, letters: str) -> Iterable[list[Hit]]:
    if prefix in {"", "camp_"}:
        yield _campaigns(tx, f"camp_{letters}")
    if prefix in {"", "auth_"}:
        yield _votes(tx, f"auth_{letters}")
    for which, columns in _NAMED.items():
        if prefix in {"", which}:
            for digest, name in columns:
                named = select(digest).where(*_begins(name, f"{which}{letters}"))
                yield _entries(tx, col(LogRow.digest).in_(named))


def _begins(column: Any, letters: str) -> tuple[Any, Any]:
    """A range that enters the column's index; a pattern would look at every row."""
    return col(column) >= letters, col(column) < f"{letters}~"


def _entries(tx: Transaction, *where: Any) -> list[Hit]:
    query = select(LogRow).where(*where, col(LogRow.position).is_not(None)).limit(MOST + 1)
    return [
        Hit(HitKind.ENTRY, row.digest, index=row.position, entry=row.kind)
        for row in tx.session.exec(query)
    ]


def _campaigns(tx: Transaction, letters: str) -> list[Hit]:
    query = select(CampaignRow, AuthorisationRow.title)
    query = query.join(AuthorisationRow, col(AuthorisationRow.id) == CampaignRow.authorisation)
    query = query.where(*_begins(CampaignRow.id, letters)).limit(MOST + 1)
    return [
        Hit(HitKind.CAMPAIGN, row.id, title)
        for row, title in tx.session.exec(query)
        if _logged(tx, LogRow.campaign == row.id) is not None  # a draft is nobody's business yet
    ]


def _votes(tx: Transaction, letters: str) -> list[Hit]:
    query = select(AuthorisationRow).where(*_begins(AuthorisationRow.id, letters)).limit(MOST + 1)
    found = []
    for row in tx.session.exec(query):
        index = _logged(tx, LogRow.digest == row.digest)
        if index is not None:
            found.append(Hit(HitKind.VOTE, row.id, row.title, index))
    return found


def _logged(tx: Transaction, where: Any) -> int | None:
    query = select(LogRow.position).where(where, col(LogRow.position).is_not(None))
    return tx.session.exec(query.limit(1)).first()


def _bundles(tx: Transaction, *where: Any) -> list[Hit]:
    query = select(BundleRow).where(*where).limit(MOST + 1)
    return [
        Hit(HitKind.BUNDLE, row.digest, f"{row.name} {row.version}")
        for row in tx.session.exec(query)
    ]


def _authors(tx: Transaction, column: Any, letters: str) -> list[Hit]:
    """Authors are few, their bundles may be many: from one author to the next, by the index."""
    found: list[Hit] = []
    edge = col(column) >= letters
    while len(found) <= MOST:
        query = select(BundleRow).where(edge, col(column) < f"{letters}~")
        row = tx.session.exec(query.order_by(col(column)).limit(1)).first()
        if row is None:
            break
        found.append(Hit(HitKind.AUTHOR, row.author, row.fingerprint))
        edge = col(column) > getattr(row, column.key)
    return found
