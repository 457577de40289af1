"""Bundles, the college's authorisations of them, and its suspensions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from jobs import archive
from scheduler.domain.reasons import Reason, quote, sentence
from scheduler.domain.states import CAMPAIGN_STEPS, CampaignState
from scheduler.errors import Conflict, InputRefused, NotAuthorised, Unknown
from scheduler.service import endings, outbox
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, BundleRow, CampaignRow
from trust.documents import signed
from trust.documents.governance import Authorisation, Suspension
from trust.documents.membership import BundleStatement
from trust.documents.root import Duty
from trust.ids import Digest
from trust.log.entry import Kind

LIST_LIMIT = 1000


@dataclass(frozen=True)
class BundleSummary:
    """A bundle and where it stands."""

    bundle: str
    name: str
    version: str
    author: str
    authorisation: str
    standing: str  # "submitted" | "authorised" | "suspended" | "expired"


async def submit(desk: Desk, digest: Digest, statement: bytes) -> BundleSummary:
    """Register a bundle whose archive was put as a blob. Idempotent.

    Raises BlobMissing, and whatever the archive or the statement does not meet.
    """
    checked = signed.verify_self_named(BundleStatement, statement, "author")
    document = checked.document
    bundle = await asyncio.to_thread(lambda: archive.read(desk.blobs.get(digest), digest))
    if (document.bundle, document.manifest) != (digest, bundle.manifest_digest):
        raise Conflict(
            "the statement is about other bytes than the archive",
            remedy="sign the archive that you submit: `cadastre bundle sign`",
        )

    def insert(tx: Transaction) -> BundleSummary:
        known = tx.session.get(BundleRow, str(digest))
        if known is not None and known.author != str(document.author):
            raise Conflict("another author submitted the same bytes before")
        if known is None:
            outbox.register_blob(tx, digest, len(bundle.raw), public=True, giver="")
            tx.session.add(
                BundleRow(
                    digest=digest,
                    statement=outbox.keep_blob(tx, desk, statement),
                    manifest=document.manifest,
                    name=quote(document.name),
                    version=quote(document.version),
                    author=str(document.author),
                    submitted_at=tx.now,
                    fingerprint=document.author.keyid,
                )
            )
            tx.session.flush()
        return _summary(tx, digest)

    return await desk.run("submit-bundle", insert)


async def authorise(desk: Desk, raw: bytes) -> BundleSummary:
    """Take in an authorisation. Raises SignatureInvalid, NotAuthorised, Unknown, Conflict."""
    checked = desk.root.verify(Authorisation, raw, Duty.COLLEGE)
    document = checked.document
    desk.require_territory(document.territory)
    if document.not_before >= document.not_after or document.campaigns < 1:
        raise InputRefused("the authorisation allows no campaign or no time")

    def insert(tx: Transaction) -> BundleSummary:
        bundle = tx.session.get(BundleRow, str(document.bundle))
        if bundle is None:
            raise Unknown(
                f"the bundle {document.bundle} was not submitted here",
                remedy="its author submits it first: `cadastre bundle submit`",
            )
        if bundle.manifest != document.manifest:
            raise NotAuthorised("the vote read another manifest than the bundle's")
        if tx.now >= document.not_after:
            raise NotAuthorised("the authorisation has expired")
        known = tx.session.get(AuthorisationRow, str(document.id))
        if known is not None and known.digest != checked.digest:
            raise Conflict(f"{document.id} is known with other content")
        if known is None:
            tx.session.add(
                AuthorisationRow(
                    id=document.id,
                    bundle=document.bundle,
                    digest=outbox.publish(tx, desk, Kind.AUTHORISATION, checked),
                    title=quote(document.title),
                    purpose=document.purpose,
                    campaigns=document.campaigns,
                    not_before=document.not_before,
                    not_after=document.not_after,
                    received_at=tx.now,
                )
            )
            tx.session.flush()
        return _summary(tx, document.bundle)

    return await desk.run("authorise-bundle", insert)


async def suspend(desk: Desk, raw: bytes) -> BundleSummary:
    """Stop an authorisation and every campaign that rests on it. Idempotent."""
    checked = desk.root.verify(Suspension, raw, Duty.COLLEGE)
    document = checked.document
    desk.require_territory(document.territory)

    def stop(tx: Transaction) -> BundleSummary:
        row = tx.session.get(AuthorisationRow, str(document.authorisation))
        if row is None:
            raise Unknown(f"no authorisation {document.authorisation} is known here")
        outbox.publish(tx, desk, Kind.SUSPENSION, checked)
        stop_authorisation(tx, desk, row, document.reason)
        return _summary(tx, row.bundle)

    return await desk.run("suspend-authorisation", stop)


def stop_authorisation(tx: Transaction, desk: Desk, row: AuthorisationRow, reason: str) -> None:
    """Mark `row` suspended and fail its campaigns; doing it again changes nothing."""
    if row.suspended_at is None:
        row.suspended_at, row.suspended_because = tx.now, quote(reason)
        tx.session.flush()
    moving = [state.value for state, steps in CAMPAIGN_STEPS.items() if steps]
    query = select(CampaignRow).where(
        CampaignRow.authorisation == row.id, col(CampaignRow.state).in_(moving)
    )
    why = sentence(Reason.AUTHORISATION_SUSPENDED, what=row.suspended_because)
    for campaign in tx.session.exec(query).all():
        endings.end(
            tx, desk, campaign, CampaignState.FAILED, reason=Reason.AUTHORISATION_SUSPENDED, why=why
        )


async def list_all(desk: Desk) -> list[BundleSummary]:
    """Every bundle, newest first."""

    def gather(tx: Transaction) -> list[BundleSummary]:
        query = select(BundleRow).order_by(col(BundleRow.submitted_at).desc()).limit(LIST_LIMIT)
        return [_summary(tx, row.digest) for row in tx.session.exec(query).all()]

    return await desk.look("list-bundles", gather)


def current_authorisation(tx: Transaction, bundle: str) -> AuthorisationRow | None:
    """The newest authorisation of `bundle` that holds now, if any."""
    rows = _authorisations(tx, bundle)
    return next((row for row in rows if _standing(row, tx.now) == "authorised"), None)


def _authorisations(tx: Transaction, bundle: str) -> list[AuthorisationRow]:
    query = select(AuthorisationRow).where(AuthorisationRow.bundle == bundle)
    return list(tx.session.exec(query.order_by(col(AuthorisationRow.received_at).desc())))


def _standing(row: AuthorisationRow, now: datetime) -> str:
    if row.suspended_at is not None:
        return "suspended"
    if now >= row.not_after:
        return "expired"
    return "authorised" if now >= row.not_before else "submitted"


def _summary(tx: Transaction, digest: str) -> BundleSummary:
    row = tx.session.get(BundleRow, str(digest))
    assert row is not None
    newest = current_authorisation(tx, row.digest) or next(
        iter(_authorisations(tx, row.digest)), None
    )
    return BundleSummary(
        bundle=row.digest,
        name=row.name,
        version=row.version,
        author=row.author,
        authorisation="" if newest is None else newest.id,
        standing="submitted" if newest is None else _standing(newest, tx.now),
    )
