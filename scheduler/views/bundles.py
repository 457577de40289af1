"""Bundles and the votes about them: a page of them, and one with its votes and campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import col, exists, func, select

from scheduler.service.desk import Desk
from scheduler.service.finding import bundle_by
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, BlobRow, BundleRow, CampaignRow, LogRow
from scheduler.views.runs import Run, lines_of
from scheduler.views.slices import Slice
from scheduler.views.voted import Contents, Documents, Terms
from trust.log.entry import Kind

RUNS = 50  # of one bundle's page; the list of campaigns has them all
VOTES = 20  # of one bundle, the newest ones
STANDINGS = ("submitted", "early", "authorised", "spent", "suspended", "expired")


@dataclass(frozen=True)
class Vote:
    """One authorisation. `standing` is one of STANDINGS, never "submitted"."""

    authorisation: str
    bundle: str
    title: str
    purpose: str
    standing: str
    campaigns: int
    used: int
    not_before: datetime
    not_after: datetime
    received_at: datetime
    suspended_at: datetime | None
    suspended_because: str
    log_index: int | None
    terms: Terms | None

    @property
    def left(self) -> int:
        """Campaigns that may still be started under it."""
        return max(0, self.campaigns - self.used) if self.standing in {"authorised", "early"} else 0


@dataclass(frozen=True)
class BundleLine:
    """A bundle with the vote that says most about it: the one that holds, else the newest."""

    bundle: str
    name: str
    version: str
    author: str
    submitted_at: datetime
    standing: str
    vote: Vote | None
    contents: Contents | None


@dataclass(frozen=True)
class BundleDetail:
    """A bundle with its votes and campaigns, the newest first."""

    line: BundleLine
    size: int  # bytes of its archive
    votes: tuple[Vote, ...]
    runs: tuple[Run, ...]


def bundles(
    desk: Desk, documents: Documents, cut: Slice, *, standing: str = "", author: str = ""
) -> list[BundleLine]:
    """Bundles by when they were submitted.

    `standing` is "submitted" for those without a vote, "authorised" for those that may run now,
    "ended" for those whose votes are all over; `author` is the beginning of a key.
    """

    def gather(tx: Transaction) -> list[BundleLine]:
        query = select(BundleRow)
        if standing:
            query = query.where(_stands(standing, tx.now))
        if author:
            query = query.where(
                col(BundleRow.author) >= author, col(BundleRow.author) < author + "\x7f"
            )
        columns = [BundleRow.__table__.c[name] for name in ("submitted_at", "digest")]  # type: ignore[attr-defined]
        rows = list(tx.session.exec(cut.cut(query, columns)).all())
        votes = _votes(tx, documents, [row.digest for row in rows])
        return [_line(row, votes.get(row.digest, []), documents) for row in rows]

    return desk.store.read("view-bundles", gather)


def bundle(desk: Desk, documents: Documents, text: str) -> BundleDetail:
    """The bundle with the digest or unique prefix `text`. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> BundleDetail:
        row = bundle_by(tx, text)
        blob = tx.session.get(BlobRow, row.digest)
        votes = _votes(tx, documents, [row.digest]).get(row.digest, [])[:VOTES]
        runs = tx.session.exec(
            select(CampaignRow)
            .where(col(CampaignRow.authorisation).in_([vote.authorisation for vote in votes]))
            .order_by(col(CampaignRow.created_at).desc(), col(CampaignRow.id))
            .limit(RUNS)
        ).all()
        return BundleDetail(
            line=_line(row, votes, documents),
            size=0 if blob is None else blob.size,
            votes=tuple(votes),
            runs=tuple(lines_of(tx, list(runs))),
        )

    return desk.store.read("view-bundle", gather)


def _stands(standing: str, now: datetime) -> ColumnElement[bool]:
    of_it = col(AuthorisationRow.bundle) == col(BundleRow.digest)
    live: Any = exists().where(
        of_it,
        col(AuthorisationRow.suspended_at).is_(None),
        col(AuthorisationRow.not_before) <= now,
        col(AuthorisationRow.not_after) > now,
    )
    voted: Any = exists().where(of_it)
    found: ColumnElement[bool] = {
        "submitted": ~voted,
        "authorised": live,
        "ended": voted & ~live,
    }[standing]
    return found


def _votes(tx: Transaction, documents: Documents, bundles: Sequence[str]) -> dict[str, list[Vote]]:
    """The votes about `bundles`, the newest first."""
    rows = tx.session.exec(
        select(AuthorisationRow)
        .where(col(AuthorisationRow.bundle).in_(bundles))
        .order_by(col(AuthorisationRow.received_at).desc(), col(AuthorisationRow.id))
    ).all()
    found: dict[str, list[Vote]] = {}
    for vote in votes_of(tx, documents, rows):
        found.setdefault(vote.bundle, []).append(vote)
    return found


def votes_of(tx: Transaction, documents: Documents, rows: Sequence[AuthorisationRow]) -> list[Vote]:
    """How the votes of `rows` stand now, in their order."""
    used: dict[str, int] = dict(
        tx.session.exec(
            select(CampaignRow.authorisation, func.count())
            .where(col(CampaignRow.authorisation).in_([row.id for row in rows]))
            .group_by(CampaignRow.authorisation)
        ).all()
    )
    places: dict[str, int | None] = dict(
        tx.session.exec(
            select(LogRow.digest, LogRow.position).where(
                col(LogRow.digest).in_([row.digest for row in rows]),
                LogRow.kind == Kind.AUTHORISATION.value,
            )
        ).all()
    )
    return [
        Vote(
            authorisation=row.id,
            bundle=row.bundle,
            title=row.title,
            purpose=row.purpose,
            standing=_standing(row, used.get(row.id, 0), tx.now),
            campaigns=row.campaigns,
            used=used.get(row.id, 0),
            not_before=row.not_before,
            not_after=row.not_after,
            received_at=row.received_at,
            suspended_at=row.suspended_at,
            suspended_because=row.suspended_because or "",
            log_index=places.get(row.digest),
            terms=documents.terms(row.digest),
        )
        for row in rows
    ]


def _standing(row: AuthorisationRow, used: int, now: datetime) -> str:
    if row.suspended_at is not None:
        return "suspended"
    if now >= row.not_after:
        return "expired"
    if now < row.not_before:
        return "early"
    return "authorised" if used < row.campaigns else "spent"


def _line(row: BundleRow, votes: Sequence[Vote], documents: Documents) -> BundleLine:
    first = next((vote for vote in votes if vote.standing == "authorised"), None)
    vote = first or next(iter(votes), None)
    return BundleLine(
        bundle=row.digest,
        name=row.name,
        version=row.version,
        author=row.author,
        submitted_at=row.submitted_at,
        standing="submitted" if vote is None else vote.standing,
        vote=vote,
        contents=documents.contents(row.digest),
    )
