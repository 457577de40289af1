"""What follows an accepted conclusion: the next round's parameters, or the campaign's release."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from sqlmodel import col, func, select

from jobs import conclusion, report, state
from jobs.errors import ReportRefused
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import CampaignState, UnitState
from scheduler.service import conclusions, endings, outbox, release
from scheduler.service.apart import apart
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts, facts_of
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, CampaignRow, RoundRow, UnitRow
from trust.documents.campaign import UnitKind
from trust.ids import Digest

_CONCLUDES = frozenset({CampaignState.RUNNING, CampaignState.CONCLUDING})
_ENDED = frozenset({UnitState.SATISFIED, UnitState.FAILED})


_NEWEST = (
    select(func.max(RoundRow.number))
    .where(col(RoundRow.campaign) == col(CampaignRow.id))
    .correlate(CampaignRow)
    .scalar_subquery()
)
_NEWEST_ENDED = (
    select(CampaignRow, AuthorisationRow.digest, UnitRow)
    .join(AuthorisationRow)
    .join(UnitRow, col(UnitRow.campaign) == col(CampaignRow.id))
    .where(
        col(CampaignRow.state).in_([found.value for found in _CONCLUDES]),
        col(CampaignRow.following).is_(None),
        UnitRow.kind == UnitKind.CONCLUDE.value,
        col(UnitRow.state).in_([found.value for found in _ENDED]),
        col(UnitRow.round) == _NEWEST,
    )
)


@dataclass(frozen=True)
class _Ended:
    """A round whose conclude unit has ended; `result` is its blob's digest, None if it failed."""

    campaign: str
    number: int
    settings: str
    authorisation: str
    bundle: str
    result: Digest | None
    why: str


async def settle(desk: Desk) -> None:
    """Go on with, release or fail every campaign whose newest round has been concluded."""
    for ended in await desk.look("list-concluded", _ended):
        await apart(desk, ended.campaign, _settle(desk, ended))


async def _settle(desk: Desk, ended: _Ended) -> None:
    if ended.result is None:
        await _fail(desk, ended.campaign, Reason.CONCLUSION_FAILED, ended.why)
        return
    facts = await asyncio.to_thread(facts_of, desk, ended.authorisation, ended.bundle)
    try:
        await _settle_one(desk, ended, ended.result, facts)
    except ReportRefused as error:
        await _fail(desk, ended.campaign, Reason.REPORT_REFUSED, error.sentence)


def _ended(tx: Transaction) -> list[_Ended]:
    return [
        _Ended(
            campaign=row.id,
            number=unit.round,
            settings=row.parameters,
            authorisation=digest,
            bundle=row.bundle,
            result=None
            if unit.state == UnitState.FAILED.value
            else conclusions.result_of(tx, row.id, unit.round),
            why=unit.why,
        )
        for row, digest, unit in tx.session.exec(_NEWEST_ENDED).all()
    ]


async def _settle_one(desk: Desk, ended: _Ended, result: Digest, facts: CampaignFacts) -> None:
    manifest = facts.bundle.manifest

    def compute() -> tuple[bytes, bool, str]:
        """(the report, True) or (the next round's parameter blob, False); and what is told."""
        blob = desk.blobs.get(result)
        found = conclusion.read(manifest, blob)
        told = json.dumps(conclusion.singles(manifest, found))
        if found.stop or ended.number >= manifest.rounds.maximum:
            return report.render(manifest, blob), True, told
        assert found.state is not None
        settings = desk.blobs.get(Digest(ended.settings))
        return state.following(settings, ended.number + 1, found.state), False, told

    blob, last, told = await asyncio.to_thread(compute)

    def follow(tx: Transaction) -> None:
        _tell(tx, ended, told)
        _follow(tx, desk, ended, blob)

    def conclude(tx: Transaction) -> None:
        _tell(tx, ended, told)
        release.release(tx, desk, ended.campaign, facts, blob)

    if last:
        await desk.run("release-campaign", conclude)
    else:
        await desk.run("follow-round", follow)


def _tell(tx: Transaction, ended: _Ended, told: str) -> None:
    row = tx.session.get(RoundRow, (ended.campaign, ended.number))
    assert row is not None
    row.told = told


def _follow(tx: Transaction, desk: Desk, ended: _Ended, blob: bytes) -> None:
    """If we crash after this, the next round is planned from the blob that was kept here."""
    row = tx.session.get(CampaignRow, ended.campaign)
    assert row is not None
    if row.state != CampaignState.RUNNING.value or row.following is not None:
        return  # cancelled, or done by an earlier turn
    row.following = outbox.keep_blob(tx, desk, blob)
    row.plan_before = tx.now + desk.limits.planning
    why = f"round {ended.number + 1} is being planned"
    endings.move(tx, row, CampaignState.RUNNING, Reason.WAITING_FOR_WORKERS, why)


async def _fail(desk: Desk, campaign: str, reason: Reason, what: str) -> None:
    def fail(tx: Transaction) -> None:
        row = tx.session.get(CampaignRow, campaign)
        assert row is not None
        endings.end(
            tx, desk, row, CampaignState.FAILED, reason=reason, why=sentence(reason, what=what)
        )

    await desk.run("fail-campaign", fail)
