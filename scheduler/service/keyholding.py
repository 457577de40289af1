"""The leader's conversation with the keyholder about campaigns: a key before a plan, none after.

Every answer is verified under its duty and logged. If we crash between an answer and its
transaction, the next turn asks again and gets the same bytes.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlmodel import col, select

from protection.ckks.profile import check_admission, profile_named
from scheduler.domain.reasons import Reason, own_code, quote, sentence
from scheduler.domain.states import FINAL_CAMPAIGN, CampaignState
from scheduler.errors import KeyholderDenied, KeyholderUnavailable, NotLogged
from scheduler.service import endings, helping, outbox
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts
from scheduler.service.helping import KEYS_END
from scheduler.service.waiting import wait
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow
from trust.documents import signed
from trust.documents.aggregation import CampaignEnded, Engagement
from trust.documents.custody import EpochKey, EpochRetired, KeyholderRefusal, TrusteeKey
from trust.documents.root import Duty
from trust.documents.rules import DataClass
from trust.documents.signed import Signed
from trust.ids import CampaignId, Digest
from trust.log.entry import Kind
from trust.problem import Problem
from wire.aggregation import EngageRequest
from wire.custody import EndOfEpoch, EpochAnswer

# The keyholder's code for a campaign that it has no key of.
EPOCH_UNKNOWN = "epoch-unknown"
# What the keyholder says that it waits for, when that is people.
_PEOPLE = {
    Reason.WAITING_FOR_CEREMONY.value: Reason.WAITING_FOR_CEREMONY,
    Reason.WAITING_FOR_TRUSTEES.value: Reason.WAITING_FOR_TRUSTEES,
}


async def engage(desk: Desk, campaign: str, facts: CampaignFacts) -> bool:
    """Whether the campaign has its key epoch; asks for it where it has none.

    A keyholder that is down, or whose ceremony was not held, makes the draft wait, with its
    reason; one that says no ends it.
    """
    try:
        found = await desk.look("read-draft", lambda tx: helping.read_draft(tx, desk, campaign))
    except NotLogged:
        await wait(desk, campaign, Reason.WAITING_FOR_WITNESSES)
        return False
    if found is None or found.row.epoch is not None:
        return found is not None
    if too_soon(desk, campaign):
        # Its time may be over meanwhile.
        await wait(desk, campaign, Reason(found.row.reason), found.what)
        return False
    request = EngageRequest(found.envelope(desk), found.authorisation)
    try:
        answer = await asyncio.to_thread(desk.keyholder.engage, request)
        key = _verified_key(desk, answer, found.document(desk), facts)
    except KeyholderDenied as denied:
        await refused(desk, campaign, 0, denied)
        return False
    except KeyholderUnavailable as problem:
        await note(desk, campaign, problem)
        return False
    await desk.run("engage-keyholder", lambda tx: _engaged(tx, desk, campaign, key, answer))
    return True


async def end_all(desk: Desk) -> None:
    """Let the keyholder retire the epochs of campaigns that ended; asked again while they last."""

    def ended(tx: Transaction) -> list[tuple[str, str, datetime]]:
        query = select(CampaignRow.id, CampaignRow.epoch, CampaignRow.updated_at).where(
            col(CampaignRow.state).in_([state.value for state in FINAL_CAMPAIGN]),
            col(CampaignRow.epoch).is_not(None),
            col(CampaignRow.retired).is_(None),
            CampaignRow.updated_at > tx.now - KEYS_END,
        )
        return [(a, key, at) for a, key, at in tx.session.exec(query) if key is not None]

    for campaign, epoch, moment in await desk.look("list-ended", ended):
        document = CampaignEnded(
            territory=desk.territory,
            campaign=CampaignId(campaign),
            ended_at=moment.replace(microsecond=0),  # the same question however often it is asked
        )
        envelope = signed.sign(document, [desk.orders]).envelope.raw
        try:
            raw = await asyncio.to_thread(desk.keyholder.end, EndOfEpoch(envelope))
            notice = _verified_notice(desk, raw, campaign, epoch)
        except KeyholderDenied as denied:
            # It knows of no such epoch: there is nothing to retire, and the log says so. Any other
            # refusal (an old one, played back) leaves the key where it is.
            refusal = _verified_refusal(desk, denied, campaign, 0)
            if refusal is not None and refusal.document.code == EPOCH_UNKNOWN:
                await _settle(desk, campaign, denied.envelope, Kind.REFUSAL)
        except Problem:
            continue  # asked again at the next turn; the keyholder retires it by itself in time
        else:
            await _settle(desk, campaign, notice, Kind.EPOCH_RETIRED)
    await _end_drafts(desk)


async def _end_drafts(desk: Desk) -> None:
    """Tell the keyholder of drafts that ended before their ceremony: it need not be held.

    As far as this process remembers that it asked; the keyholder forgets the others in time.
    """

    def ended(tx: Transaction) -> list[tuple[str, datetime]]:
        rows = [tx.session.get(CampaignRow, campaign) for campaign in [*desk.asked]]
        final = {state.value for state in FINAL_CAMPAIGN}
        return [(row.id, row.updated_at) for row in rows if row is not None and row.state in final]

    for campaign, moment in await desk.look("list-ended-drafts", ended):
        document = CampaignEnded(
            territory=desk.territory,
            campaign=CampaignId(campaign),
            ended_at=moment.replace(microsecond=0),
        )
        envelope = signed.sign(document, [desk.orders]).envelope.raw
        try:
            await asyncio.to_thread(desk.keyholder.end, EndOfEpoch(envelope))
        except KeyholderDenied:
            pass  # as it should: it has no key of it
        except Problem:
            continue  # asked again at the next turn
        desk.asked.pop(campaign, None)


async def refused(desk: Desk, campaign: str, number: int, denied: KeyholderDenied) -> None:
    """Log the keyholder's refusal, and its retirement; end the campaign, its code as the reason.

    A refusal that does not verify is no answer: the campaign waits.
    """
    refusal = _verified_refusal(desk, denied, campaign, number)
    if refusal is None:
        await wait(desk, campaign, Reason.WAITING_FOR_KEYHOLDER, "its refusal is of no use here")
        return
    document = refusal.document
    why = sentence(Reason.KEYHOLDER_REFUSED, code=document.code, what=quote(document.sentence))
    code = own_code(document.code, Reason.KEYHOLDER_REFUSED)

    def stop(tx: Transaction) -> None:
        row = tx.session.get(CampaignRow, campaign)
        assert row is not None
        outbox.publish(tx, desk, Kind.REFUSAL, refusal, campaign)
        if denied.retired is not None and row.epoch is not None and row.retired is None:
            try:
                notice = _verified_notice(desk, denied.retired, campaign, row.epoch)
            except Problem:
                pass  # asked for again when the campaign has ended
            else:
                row.retired = outbox.publish_raw(tx, desk, Kind.EPOCH_RETIRED, notice, campaign)
        reason = Reason.KEYHOLDER_REFUSED
        endings.end(tx, desk, row, CampaignState.FAILED, reason=reason, why=why, code=code)

    await desk.run("keyholder-refused", stop)


async def note(desk: Desk, campaign: str, problem: KeyholderUnavailable) -> None:
    """Say what a campaign waits for, and ask people's part less often than a machine's."""
    reason = _PEOPLE.get(problem.awaits, Reason.WAITING_FOR_KEYHOLDER)
    if problem.awaits in _PEOPLE:
        # In memory: after a restart it is asked at once, which harms nobody.
        desk.asked[campaign] = desk.now()
    await wait(desk, campaign, reason, problem.sentence)


def too_soon(desk: Desk, campaign: str) -> bool:
    """Whether the keyholder said just now that it waits for people."""
    last: datetime | None = desk.asked.get(campaign)
    if last is not None and desk.now() < last + desk.limits.patience:
        return True
    desk.asked.pop(campaign, None)
    return False


def _verified_key(
    desk: Desk, answer: EpochAnswer, asked: Engagement, facts: CampaignFacts
) -> Signed[EpochKey]:
    """The epoch's certificate and all that it names. Raises KeyholderUnavailable."""
    try:
        key = desk.root.verify(EpochKey, answer.key, Duty.KEYHOLDER)
        holders = desk.root.keys(Duty.TRUSTEE)
        trustees = [signed.verify(TrusteeKey, raw, holders.keys) for raw in answer.trustees]
        manifest = facts.bundle.manifest
        public = set(manifest.needs.classes) == {DataClass.PUBLIC}
        check_admission(
            profile_named(key.document.profile),
            facts.authorisation.rules,
            DataClass.PUBLIC if public else DataClass.PERSONAL,
        )
    except Problem as problem:
        raise KeyholderUnavailable(
            f"the key epoch does not hold: {problem.sentence}",
            remedy="check that --keyholder is the address of this territory's keyholder",
        ) from problem
    document = key.document
    ours = (asked.territory, asked.campaign, asked.bundle, asked.authorisation)
    about = (document.territory, document.campaign, document.bundle, document.authorisation)
    signers = {signer for trustee in trustees for signer in trustee.signers}
    pairs: tuple[tuple[str, object, object], ...] = (
        ("campaign", about, ours),
        ("public context", document.public, Digest.of(answer.public)),
        ("trustees", document.trustees, tuple(trustee.digest for trustee in trustees)),
        ("number of trustees", len(document.trustees), len(holders.keys)),
        ("set of trustees", signers, set(holders.keys)),
        ("threshold", document.threshold, holders.threshold),
    )
    for name, said, expected in pairs:
        if said != expected:
            raise KeyholderUnavailable(
                f"the key epoch is for another {name}",
                remedy="check that --keyholder is the address of this territory's keyholder",
            )
    if desk.now() >= document.not_after:
        raise KeyholderUnavailable(
            "the key epoch is over", remedy="start another campaign, and hold its ceremony"
        )
    return key


def _engaged(
    tx: Transaction, desk: Desk, campaign: str, key: Signed[EpochKey], answer: EpochAnswer
) -> None:
    """Store the epoch: in the log the trustees' keys, the epoch's key, then the plan."""
    row = tx.session.get(CampaignRow, campaign)
    if row is None or row.state != CampaignState.DRAFT.value or row.epoch is not None:
        return
    for trustee in answer.trustees:
        outbox.publish_raw(tx, desk, Kind.TRUSTEE_KEY, trustee)
    outbox.keep_blob(tx, desk, answer.public)
    row.epoch = outbox.publish(tx, desk, Kind.EPOCH_KEY, key, campaign)
    row.plan_before = tx.now + desk.limits.planning
    row.updated_at, row.updated_by = tx.now, tx.name


def _verified_refusal(
    desk: Desk, denied: KeyholderDenied, campaign: str, number: int
) -> Signed[KeyholderRefusal] | None:
    try:
        refusal = desk.root.verify(KeyholderRefusal, denied.envelope, Duty.KEYHOLDER)
    except Problem:
        return None
    about = (refusal.document.territory, refusal.document.campaign, refusal.document.round)
    return refusal if about == (desk.territory, campaign, number) else None


def _verified_notice(desk: Desk, raw: bytes, campaign: str, epoch: str) -> bytes:
    """The notice that this epoch is retired. Raises SignatureInvalid, KeyholderUnavailable."""
    notice = desk.root.verify(EpochRetired, raw, Duty.KEYHOLDER).document
    if (notice.campaign, notice.epoch) != (campaign, epoch):
        raise KeyholderUnavailable("the keyholder retired another campaign's epoch")
    return raw


async def _settle(desk: Desk, campaign: str, envelope: bytes, kind: Kind) -> None:
    def settle(tx: Transaction) -> None:
        row = tx.session.get(CampaignRow, campaign)
        assert row is not None
        row.retired = outbox.publish_raw(tx, desk, kind, envelope, campaign)

    await desk.run("settle-epoch", settle)
