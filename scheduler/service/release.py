"""The signed, logged release - once per campaign."""

from __future__ import annotations

from sqlmodel import col, select

from protection import accounting
from scheduler.domain.planning import round_down
from scheduler.domain.reasons import Reason
from scheduler.domain.states import CampaignState, RoundState
from scheduler.service import committing, conclusions, endings, outbox
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, RoundRow
from trust.documents import signed
from trust.documents.campaign import Release
from trust.ids import AuthorisationId, CampaignId, Digest
from trust.log.entry import Kind


def release(tx: Transaction, desk: Desk, campaign: str, facts: CampaignFacts, blob: bytes) -> None:
    """Publish the report `blob` of the campaign's last conclusion, and what it cost."""
    row = tx.session.get(CampaignRow, campaign)
    assert row is not None
    if row.state not in {CampaignState.RUNNING.value, CampaignState.CONCLUDING.value}:
        return  # cancelled or released meanwhile
    opened = tx.session.exec(
        select(RoundRow)
        .where(RoundRow.campaign == campaign, RoundRow.state == RoundState.OPENED.value)
        .order_by(col(RoundRow.number))
    ).all()
    conclusion = conclusions.envelope_of(tx, campaign, opened[-1].number)
    assert conclusion is not None
    rounds = facts.bundle.manifest.rounds.maximum
    document = Release(
        territory=desk.territory,
        campaign=CampaignId(campaign),
        bundle=Digest(row.bundle),
        authorisation=AuthorisationId(row.authorisation),
        openings=tuple(Digest(entry.opening) for entry in opened if entry.opening),
        conclusion=conclusion,
        report=outbox.keep_blob(tx, desk, blob),
        contributors_rounded=round_down(sum(entry.contributors for entry in opened)),
        rho=accounting.spent(facts.authorisation.rules, len(opened), rounds),
        released_at=tx.now,
    )
    if row.state == CampaignState.RUNNING.value:  # it stopped before its last round
        endings.move(tx, row, CampaignState.CONCLUDING, Reason.NONE, "")
    # First what auditors need, so that a logged release implies a committed batch.
    committing.commit_campaign(tx, desk, campaign)
    envelope = signed.sign(document, [desk.orders])
    row.release = outbox.publish(tx, desk, Kind.RELEASE, envelope, campaign)
    endings.move(tx, row, CampaignState.RELEASED, Reason.NONE, "")
