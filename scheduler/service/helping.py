"""The leader's conversation with the helper about campaigns: engage before a plan, end after.

Every answer is verified under the helper's duty and logged. If we crash between an answer and
its transaction, the next turn asks again and gets the same bytes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select

from scheduler.domain.reasons import Reason, own_code, quote, sentence
from scheduler.domain.states import FINAL_CAMPAIGN, CampaignState
from scheduler.errors import HelperDenied, HelperUnavailable, NotLogged
from scheduler.service import endings, outbox
from scheduler.service.desk import Desk
from scheduler.service.waiting import wait
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, CampaignRow
from trust.documents import signed
from trust.documents.aggregation import (
    CampaignEnded,
    Engagement,
    HelperKey,
    HelperRefusal,
    KeyDestroyed,
)
from trust.documents.root import Duty
from trust.ids import AuthorisationId, CampaignId, Digest
from trust.log.entry import Kind
from trust.problem import Problem
from wire.aggregation import EndRequest, EngageRequest, LoggedDocument

# Helper and keyholder destroy a key by themselves 30 days after they made it, which was before its
# campaign ended. One that was silent for longer is asked no more.
KEYS_END = timedelta(days=31)
# The helper's code for a campaign that it has no key of.
KEY_UNKNOWN = "helper-key-unknown"


@dataclass(frozen=True)
class Draft:
    """A campaign that has no plan yet, and the logged vote it rests on."""

    row: CampaignRow
    authorisation: LoggedDocument

    @property
    def what(self) -> str:
        """What it waited for last, without the words around it."""
        return self.row.why.partition(": ")[2]

    def document(self, desk: Desk) -> Engagement:
        """What helper and keyholder are asked with; the same however often."""
        return Engagement(
            territory=desk.territory,
            campaign=CampaignId(self.row.id),
            bundle=Digest(self.row.bundle),
            authorisation=AuthorisationId(self.row.authorisation),
            asked_at=self.row.created_at.replace(microsecond=0),
        )

    def envelope(self, desk: Desk) -> bytes:
        """The same, signed."""
        return signed.sign(self.document(desk), [desk.orders]).envelope.raw


def read_draft(tx: Transaction, desk: Desk, campaign: str) -> Draft | None:
    """The campaign, while it is a draft. Raises NotLogged."""
    row = tx.session.get(CampaignRow, campaign)
    if row is None or row.state != CampaignState.DRAFT.value:
        return None
    vote = tx.session.get(AuthorisationRow, row.authorisation)
    assert vote is not None
    proof = outbox.proof_of(tx, vote.digest)
    return Draft(row, LoggedDocument(desk.blobs.get(Digest(vote.digest)), proof.encode()))


async def engage(desk: Desk, campaign: str) -> bool:
    """Whether the campaign has its helper's key; asks for it where it has none.

    A helper that is down makes the draft wait, with its reason; one that says no ends it.
    """
    try:
        found = await desk.look("read-draft", lambda tx: read_draft(tx, desk, campaign))
    except NotLogged:
        await wait(desk, campaign, Reason.WAITING_FOR_WITNESSES)
        return False
    if found is None or found.row.helper is not None:
        return found is not None
    request = EngageRequest(found.envelope(desk), found.authorisation)
    try:
        raw = await asyncio.to_thread(desk.helper.engage, request)
        key = desk.root.verify(HelperKey, raw, Duty.HELPER)
        _require_ours(key.document, found.document(desk))
    except HelperDenied as denied:
        await refused(desk, campaign, 0, denied)
        return False
    except Problem as problem:
        await wait(desk, campaign, Reason.WAITING_FOR_HELPER, problem.sentence)
        return False
    await desk.run("engage-helper", lambda tx: _engaged(tx, desk, campaign, key))
    return True


async def end_all(desk: Desk) -> None:
    """Let the helper destroy the keys of campaigns that ended; asked again while they last."""

    def ended(tx: Transaction) -> list[tuple[str, str, datetime]]:
        query = select(CampaignRow.id, CampaignRow.helper, CampaignRow.updated_at).where(
            col(CampaignRow.state).in_([state.value for state in FINAL_CAMPAIGN]),
            col(CampaignRow.helper).is_not(None),
            col(CampaignRow.destroyed).is_(None),
            CampaignRow.updated_at > tx.now - KEYS_END,
        )
        return [(a, key, at) for a, key, at in tx.session.exec(query) if key is not None]

    for campaign, key, moment in await desk.look("list-ended", ended):
        document = CampaignEnded(
            territory=desk.territory,
            campaign=CampaignId(campaign),
            ended_at=moment.replace(microsecond=0),  # the same question however often it is asked
        )
        envelope = signed.sign(document, [desk.orders]).envelope.raw
        request = EndRequest(envelope, Digest(key))
        try:
            raw = await asyncio.to_thread(desk.helper.end, request)
            notice = desk.root.verify(KeyDestroyed, raw, Duty.HELPER)
            if (notice.document.campaign, notice.document.helper) != (campaign, key):
                raise HelperUnavailable("the helper destroyed another campaign's key")
        except HelperDenied as denied:
            # It knows of no such key: there is nothing to destroy, and the log says so. Any other
            # refusal, and one about another campaign, leaves the key where it is.
            refusal = _verified_refusal(desk, denied)
            if refusal is not None and (refusal.document.campaign, refusal.document.code) == (
                campaign,
                KEY_UNKNOWN,
            ):
                await _settle(desk, campaign, denied.envelope, Kind.REFUSAL)
        except Problem:
            continue  # asked again at the next turn; the helper destroys it by itself in time
        else:
            await _settle(desk, campaign, notice.envelope.raw, Kind.KEY_DESTROYED)


async def refused(desk: Desk, campaign: str, number: int, denied: HelperDenied) -> None:
    """Log the helper's refusal and end the campaign, with the helper's own code as its reason.

    A refusal that does not verify is no answer: the campaign waits.
    """
    refusal = _verified_refusal(desk, denied)
    if refusal is None:
        await wait(desk, campaign, Reason.WAITING_FOR_HELPER, "its refusal does not verify")
        return
    document = refusal.document
    if (document.campaign, document.round) != (campaign, number):
        await wait(desk, campaign, Reason.WAITING_FOR_HELPER, "it refused something else")
        return
    why = sentence(Reason.HELPER_REFUSED, code=document.code, what=quote(document.sentence))
    code = own_code(document.code, Reason.HELPER_REFUSED)

    def stop(tx: Transaction) -> None:
        outbox.publish(tx, desk, Kind.REFUSAL, refusal, campaign)
        row = tx.session.get(CampaignRow, campaign)
        assert row is not None
        reason = Reason.HELPER_REFUSED
        endings.end(tx, desk, row, CampaignState.FAILED, reason=reason, why=why, code=code)

    await desk.run("helper-refused", stop)


def _verified_refusal(desk: Desk, denied: HelperDenied) -> signed.Signed[HelperRefusal] | None:
    try:
        return desk.root.verify(HelperRefusal, denied.envelope, Duty.HELPER)
    except Problem:
        return None


def _engaged(tx: Transaction, desk: Desk, campaign: str, key: signed.Signed[HelperKey]) -> None:
    row = tx.session.get(CampaignRow, campaign)
    if row is None or row.state != CampaignState.DRAFT.value or row.helper is not None:
        return
    row.helper = outbox.publish(tx, desk, Kind.HELPER_KEY, key, campaign)
    row.updated_at, row.updated_by = tx.now, tx.name


async def _settle(desk: Desk, campaign: str, envelope: bytes, kind: Kind) -> None:
    def settle(tx: Transaction) -> None:
        row = tx.session.get(CampaignRow, campaign)
        assert row is not None
        row.destroyed = outbox.publish_raw(tx, desk, kind, envelope, campaign)

    await desk.run("settle-helper-key", settle)


def _require_ours(key: HelperKey, asked: Engagement) -> None:
    ours = (asked.territory, asked.campaign, asked.bundle, asked.authorisation)
    if (key.territory, key.campaign, key.bundle, key.authorisation) != ours:
        raise HelperUnavailable(
            "the helper answered with the key of another campaign",
            remedy="check that --helper is the address of this territory's helper",
        )
