"""From an accepted conclusion to the signed, logged release - once per campaign."""

from __future__ import annotations

import asyncio

from sqlmodel import col, select

from jobs import report
from jobs.errors import ReportRefused
from protection import accounting
from scheduler.domain.planning import round_down
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import AttemptState, CampaignState, RoundState, UnitState
from scheduler.service import committing, endings, outbox
from scheduler.service.apart import apart
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts, facts_of
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AttemptRow,
    AuthorisationRow,
    CampaignRow,
    RoundRow,
    UnitRow,
)
from trust.documents import signed
from trust.documents.campaign import Release, UnitKind
from trust.ids import AuthorisationId, CampaignId, Digest
from trust.log.entry import Kind


async def release_concluded(desk: Desk) -> None:
    """Release or fail every campaign whose conclude unit has ended."""

    def ended(tx: Transaction) -> list[tuple[str, str, str, str, str, str | None]]:
        query = (
            select(CampaignRow, AuthorisationRow.digest, UnitRow)
            .join(AuthorisationRow)
            .join(UnitRow, col(UnitRow.campaign) == col(CampaignRow.id))
            .where(
                CampaignRow.state == CampaignState.CONCLUDING.value,
                UnitRow.kind == UnitKind.CONCLUDE.value,
                col(UnitRow.state).in_([UnitState.SATISFIED.value, UnitState.FAILED.value]),
            )
        )
        return [
            (campaign.id, digest, campaign.bundle, unit.state, unit.why, _result(tx, unit))
            for campaign, digest, unit in tx.session.exec(query).all()
        ]

    for campaign, authorisation, bundle, state, why, result in await desk.look(
        "list-concluded", ended
    ):
        if state == UnitState.FAILED.value or result is None:
            step = _fail(desk, campaign, Reason.CONCLUSION_FAILED, why)
        else:
            step = _release_one(desk, campaign, (authorisation, bundle), Digest(result))
        await apart(desk, campaign, step)


async def _release_one(desk: Desk, campaign: str, rests: tuple[str, str], result: Digest) -> None:
    """`rests` are the digests of the vote and of the bundle."""
    facts = await asyncio.to_thread(facts_of, desk, *rests)
    try:
        blob = await asyncio.to_thread(_render, desk, facts, result)
    except ReportRefused as error:
        await _fail(desk, campaign, Reason.REPORT_REFUSED, error.sentence)
        return
    await desk.run("release-campaign", lambda tx: _release(tx, desk, campaign, facts, blob))


def _render(desk: Desk, facts: CampaignFacts, result: Digest) -> bytes:
    return report.render(facts.bundle.manifest, desk.blobs.get(result))


def _result(tx: Transaction, unit: UnitRow) -> str | None:
    query = select(AttemptRow.values_digest).where(
        AttemptRow.unit == unit.id, AttemptRow.state == AttemptState.ACCEPTED.value
    )
    return tx.session.exec(query).first()


async def _fail(desk: Desk, campaign: str, reason: Reason, what: str) -> None:
    def fail(tx: Transaction) -> None:
        row = tx.session.get(CampaignRow, campaign)
        assert row is not None
        endings.end(
            tx, desk, row, CampaignState.FAILED, reason=reason, why=sentence(reason, what=what)
        )

    await desk.run("fail-campaign", fail)


def _release(tx: Transaction, desk: Desk, campaign: str, facts: CampaignFacts, blob: bytes) -> None:
    row = tx.session.get(CampaignRow, campaign)
    assert row is not None
    if row.state != CampaignState.CONCLUDING.value:
        return  # cancelled or released meanwhile
    opened = tx.session.exec(
        select(RoundRow)
        .where(RoundRow.campaign == campaign, RoundRow.state == RoundState.OPENED.value)
        .order_by(col(RoundRow.number))
    ).all()
    conclusion = tx.session.exec(
        select(AttemptRow.statement)
        .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
        .where(
            UnitRow.campaign == campaign,
            UnitRow.kind == UnitKind.CONCLUDE.value,
            AttemptRow.state == AttemptState.ACCEPTED.value,
        )
    ).one()
    assert conclusion is not None
    document = Release(
        territory=desk.territory,
        campaign=CampaignId(campaign),
        bundle=Digest(row.bundle),
        authorisation=AuthorisationId(row.authorisation),
        openings=tuple(Digest(entry.opening) for entry in opened if entry.opening),
        conclusion=Digest(conclusion),
        report=outbox.keep_blob(tx, desk, blob),
        contributors_rounded=round_down(sum(entry.contributors for entry in opened)),
        rho=accounting.to_text(accounting.rho_of(facts.authorisation.rules)),
        released_at=tx.now,
    )
    # First what auditors need, so that a logged release implies a committed batch.
    committing.commit_campaign(tx, desk, campaign)
    envelope = signed.sign(document, [desk.orders])
    row.release = outbox.publish(tx, desk, Kind.RELEASE, envelope, campaign)
    endings.move(tx, row, CampaignState.RELEASED, Reason.NONE, "")
