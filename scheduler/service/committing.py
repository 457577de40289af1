"""Restricted documents: kept verbatim for auditors, committed publicly as padded salted roots."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam
from sqlmodel import col, select

from scheduler.domain.commitments import SALT_BYTES, Member, seal
from scheduler.domain.states import FINAL_CAMPAIGN
from scheduler.service import outbox
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, CommitmentRow, RestrictedRow
from trust.documents import signed
from trust.documents.campaign import Commitment
from trust.ids import CampaignId, Digest
from trust.log.entry import Kind

ORDERS, PARTIALS, CONSENTS = "orders", "partials", "consents"
_KEPT = select(RestrictedRow.digest).where(
    col(RestrictedRow.digest).in_(bindparam("digests", expanding=True))
)
_LOGGED_AS = {ORDERS: Kind.ORDERS, PARTIALS: Kind.ORDERS, CONSENTS: Kind.CONSENTS}


def keep(tx: Transaction, desk: Desk, kind: str, envelope: bytes, campaign: str | None) -> Digest:
    """Keep a restricted document; keeping it again changes nothing."""
    digest = Digest.of(envelope)
    for row in keep_all(tx, desk, kind, {digest: envelope}, campaign):
        tx.session.add(row)
    return digest


def keep_new(tx: Transaction, desk: Desk, kind: str, envelope: bytes, campaign: str | None) -> None:
    """Keep a restricted document of our own that was signed in this transaction, so for once."""
    tx.session.add(_row(tx, desk, kind, envelope, campaign))


def keep_all(
    tx: Transaction, desk: Desk, kind: str, envelopes: Mapping[str, bytes], campaign: str | None
) -> list[RestrictedRow]:
    """Rows for those of `envelopes` (by digest) that are not kept yet; the caller adds them."""
    known = set(tx.session.exec(_KEPT, params={"digests": list(envelopes)}))
    return [
        _row(tx, desk, kind, envelope, campaign)
        for digest, envelope in envelopes.items()
        if digest not in known
    ]


def _row(
    tx: Transaction, desk: Desk, kind: str, envelope: bytes, campaign: str | None
) -> RestrictedRow:
    return RestrictedRow(
        digest=Digest.of(envelope),
        kind=kind,
        campaign=campaign,
        envelope=envelope,
        salt=desk.entropy(SALT_BYTES),
        created_at=tx.now,
    )


def commit_campaign(tx: Transaction, desk: Desk, campaign: str) -> None:
    """Commit to a campaign's orders and partials when it ends.

    Also to the newest consents, and to the batches that are about several campaigns.
    """
    for kind in (ORDERS, PARTIALS):
        commit(tx, desk, kind, campaign)
    for kind in (ORDERS, CONSENTS):
        commit(tx, desk, kind, None)


def commit(tx: Transaction, desk: Desk, kind: str, campaign: str | None) -> Digest | None:
    """Commit to what is not committed yet. Returns the commitment's digest, None when idle."""
    query = select(RestrictedRow).where(
        RestrictedRow.kind == kind,
        RestrictedRow.campaign == campaign,
        col(RestrictedRow.commitment).is_(None),
    )
    rows = tx.session.exec(query.order_by(col(RestrictedRow.digest))).all()
    if not rows:
        return None
    sealed = seal([Member(row.salt, Digest(row.digest)) for row in rows], desk.entropy)
    document = Commitment(
        territory=desk.territory,
        kind=kind,
        campaign=None if campaign is None else CampaignId(campaign),
        root=sealed.root,
        size=sealed.size,
        committed_at=tx.now,
    )
    envelope = signed.sign(document, [desk.orders])
    digest = outbox.publish(tx, desk, _LOGGED_AS[kind], envelope, campaign)
    tx.session.add(
        CommitmentRow(
            digest=digest,
            kind=kind,
            campaign=campaign,
            leaves=sealed.to_json(digest),
            created_at=tx.now,
        )
    )
    for row in rows:
        row.commitment = digest
    return digest


async def commit_waiting(desk: Desk) -> int:
    """The periodic commitments. Returns how many were made.

    Over consents that came in since the last one, and over answers given after their campaign
    ended: the receipt for a conclusion may be signed after the release that it led to.
    """

    def commit_lists(tx: Transaction) -> int:
        ended = select(CampaignRow.id).where(
            col(CampaignRow.state).in_([state.value for state in FINAL_CAMPAIGN])
        )
        query = select(RestrictedRow.kind, RestrictedRow.campaign).where(
            col(RestrictedRow.commitment).is_(None),
            col(RestrictedRow.campaign).is_(None) | col(RestrictedRow.campaign).in_(ended),
        )
        lists = tx.session.exec(query.distinct()).all()
        made = [commit(tx, desk, kind, campaign) for kind, campaign in lists]
        return sum(digest is not None for digest in made)

    return await desk.run("commit-waiting", commit_lists)
