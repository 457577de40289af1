"""Opening an `encrypted` batch: the leader adds ciphertexts without a key, two others open them.

1. The frozen list goes to the keyholder, then what it accepts to the helper. One transaction
   stores both accept lists, the batch, the leader's sum of masked ciphertexts, and queues the
   BatchCommitment and the leader's AggregateShare for the log.
2. Once both are witnessed the helper answers with the sum of the masks; one transaction stores it.
3. The keyholder is asked to open, again and again, until enough trustees gave their shares.
4. One transaction stores what it opened (noised whole steps) with the Opening.
If we crash between two steps, the next turn repeats the one that was not stored; helper and
keyholder give the same bytes again. The two sums are columns of the round, never blobs: together
with the epoch's key they open the batch without noise, so they leave for the keyholder only and
go with the round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobs import aggregate
from jobs.errors import AggregateRefused
from protection import accounting
from protection.batch import Batch
from protection.ckks import residues
from protection.ckks.addition import ResidueSum
from protection.ckks.errors import CkksError
from protection.ckks.profile import Profile, profile_named
from protection.products import released
from scheduler.domain.reasons import Reason
from scheduler.domain.states import RoundState
from scheduler.errors import (
    BatchUnfit,
    HelperDenied,
    HelperUnavailable,
    KeyholderDenied,
    KeyholderUnavailable,
    NotLogged,
)
from scheduler.service import batching, helping, keyholding, outbox
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts, epoch_of
from scheduler.service.members import Member
from scheduler.service.waiting import wait
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, RoundRow
from trust.documents import signed
from trust.documents.aggregation import AcceptList, AggregateShare, BatchQuestion, Side
from trust.documents.custody import AggregateOpened, EpochKey, ShareRequest, ShareReturned
from trust.documents.root import Duty
from trust.errors import TrustError
from trust.ids import CampaignId, Digest
from trust.keys import PublicKey
from trust.log.entry import Kind
from trust.problem import Problem
from wire.aggregation import CommitAnswer
from wire.custody import OpeningAnswer, OpeningPreparation, OpeningRequest, content_of


@dataclass(frozen=True)
class CiphertextsOpened:
    """What the keyholder opened, verified, ready to be stored with the Opening."""

    aggregate: bytes
    partials: int
    answer: OpeningAnswer
    opened: signed.Signed[AggregateOpened]

    def store(self, tx: Transaction, desk: Desk, row: RoundRow) -> tuple[Digest, ...]:
        """Log who opened it and on whose shares; (leader's, helper's share, what was opened)."""
        campaign = row.campaign
        outbox.publish_raw(tx, desk, Kind.SHARE_REQUEST, self.answer.request, campaign)
        for raw in self.answer.returned:
            outbox.publish_raw(tx, desk, Kind.TRUSTEE_SHARE, raw, campaign)
        outbox.keep_blob(tx, desk, self.answer.values)
        opened = outbox.publish(tx, desk, Kind.OPENED, self.opened, campaign)
        return (Digest(row.leader or ""), Digest(row.helper or ""), opened)


async def collect(
    desk: Desk, key: tuple[str, int], facts: CampaignFacts, members: Sequence[Member]
) -> CiphertextsOpened | None:
    """One step further; the opened batch once there is nothing left to ask. Raises BatchUnfit."""
    campaign, number = key
    row, entry = await batching.read_rows(desk, key)
    assert entry.epoch is not None
    try:
        epoch = await asyncio.to_thread(_epoch, desk, entry.epoch)
        if row.commitment is None:
            await _prepare(desk, (row, entry), facts, epoch, members)
        elif row.masks is None:
            await _keep_masks(desk, row, facts)
        elif keyholding.too_soon(desk, campaign):
            await wait(desk, campaign, Reason.WAITING_FOR_TRUSTEES, _told(row))
        else:
            return await _open(desk, (row, entry), facts, epoch)
    except HelperDenied as denied:
        await helping.refused(desk, campaign, number, denied)
    except KeyholderDenied as denial:
        await keyholding.refused(desk, campaign, number, denial)
    except KeyholderUnavailable as problem:
        await keyholding.note(desk, campaign, problem)
    except HelperUnavailable as problem:
        await wait(desk, campaign, Reason.WAITING_FOR_HELPER, problem.sentence)
    except NotLogged as problem:
        await wait(desk, campaign, Reason.WAITING_FOR_WITNESSES, problem.sentence)
    return None


async def _prepare(
    desk: Desk,
    rows: tuple[RoundRow, CampaignRow],
    facts: CampaignFacts,
    epoch: EpochKey,
    members: Sequence[Member],
) -> None:
    row, entry = rows
    examined = await _ask_keyholder(desk, row, entry, members)
    taken = batching.accepted(members, examined.document.accepted)
    rules = facts.authorisation.rules
    committed = await batching.ask_helper(desk, row, entry, rules, taken)
    left = batching.left_out("keyholder", members, examined.document)
    committed = replace(committed, left_out=committed.left_out | left)
    profile = profile_named(epoch.profile)
    total = await asyncio.to_thread(add_ciphertexts, desk, profile, committed.members)
    said = committed.commitment.document
    share = AggregateShare(
        territory=desk.territory,
        campaign=said.campaign,
        round=said.round,
        plan=said.plan,
        parameters=said.parameters,
        batch=said.batch,
        side=Side.LEADER,
        values=Digest.of(total),
        variances={rule.output: "0" for rule in rules},
        made_at=said.committed_at,
    )
    leader = signed.sign(share, [desk.orders])

    def store(tx: Transaction) -> None:
        stored = tx.session.get(RoundRow, (row.campaign, row.number))
        assert stored is not None
        if stored.commitment is not None or stored.state != RoundState.PREPARING.value:
            return  # done before, or the campaign ended while the others were asked
        outbox.keep_blob(tx, desk, examined.envelope.raw, public=False)
        stored.examined = examined.digest
        committed.store(tx, desk, stored)
        stored.leader = outbox.publish(tx, desk, Kind.SHARE, leader, row.campaign)
        stored.ciphertext = total

    await desk.run("commit-sum", store)


async def _ask_keyholder(
    desk: Desk, row: RoundRow, entry: CampaignRow, members: Sequence[Member]
) -> signed.Signed[AcceptList]:
    """Which reports the keyholder would open. Raises KeyholderDenied, KeyholderUnavailable."""
    assert entry.epoch is not None
    key = entry.epoch

    def question(tx: Transaction) -> OpeningPreparation:
        plan, epoch = batching.exhibit(tx, desk, row.plan), batching.exhibit(tx, desk, key)
        partials = tuple(member.envelope for member in members)
        enrolments = batching.enrolments(tx, desk, members)
        asked = BatchQuestion(
            desk.territory,
            CampaignId(row.campaign),
            row.number,
            content_of(plan, epoch, partials, enrolments),
        )
        envelope = signed.sign(asked, [desk.orders]).envelope.raw
        return OpeningPreparation(envelope, plan, epoch, partials, enrolments)

    request = await desk.look("read-question", question)
    raw = await asyncio.to_thread(desk.keyholder.prepare, request)
    accept = _verified(desk, AcceptList, raw)
    document = accept.document
    if (document.campaign, document.round, document.plan) != (row.campaign, row.number, row.plan):
        raise KeyholderUnavailable("the keyholder's accept list is for another round")
    if len(batching.accepted(members, document.accepted)) != len(document.accepted):
        raise KeyholderUnavailable("the keyholder accepted reports that it was not given")
    return accept


def add_ciphertexts(desk: Desk, profile: Profile, members: Sequence[Member]) -> bytes:
    """The sum of the members' masked ciphertexts, from bytes that are checked once more.

    No key and no TenSEAL: residues modulo the profile's primes. Raises BatchUnfit.
    """
    total = ResidueSum(profile)
    try:
        for partial in batching.partials(members):
            total.add(residues.parse(desk.blobs.get(partial.values), profile))
        return residues.write(total.total())
    except CkksError as error:
        raise BatchUnfit(error.sentence) from error


async def _keep_masks(desk: Desk, row: RoundRow, facts: CampaignFacts) -> None:
    """Ask the helper for the sum of the masks, for a commitment that everybody can see."""
    leader = row.leader or ""
    # Helper and keyholder ask for both; neither is told of a sum that is not logged yet.
    await desk.look("read-proof", lambda tx: outbox.proof_of(tx, leader))
    silent = {rule.output: "0" for rule in facts.authorisation.rules}
    answer = await batching.ask_helper_sum(desk, row, silent)

    def store(tx: Transaction) -> None:
        stored = tx.session.get(RoundRow, (row.campaign, row.number))
        assert stored is not None
        if stored.masks is not None or stored.ciphertext is None:
            return  # kept before, or the campaign ended meanwhile
        stored.helper = outbox.publish(tx, desk, Kind.SHARE, answer.share, row.campaign)
        stored.masks = answer.masks

    await desk.run("keep-masks", store)


async def _open(
    desk: Desk,
    rows: tuple[RoundRow, CampaignRow],
    facts: CampaignFacts,
    epoch: EpochKey,
) -> CiphertextsOpened:
    row, _ = rows
    assert row.leader is not None
    assert row.helper is not None
    assert row.ciphertext is not None
    assert row.masks is not None
    leader, helper = row.leader, Digest(row.helper)
    batch, lines = await batching.committed_batch(desk, row)
    request = OpeningRequest(
        batch=batch,
        lines=lines,
        leader=await desk.look("read-proof", lambda tx: batching.exhibit(tx, desk, leader)),
        sum=row.ciphertext,
        helper=CommitAnswer(await asyncio.to_thread(desk.blobs.get, helper), row.masks),
    )
    answer = await asyncio.to_thread(desk.keyholder.open, request)
    opened = _verified(desk, AggregateOpened, answer.opened)
    _require_ours(rows, facts, opened.document, answer)
    _require_trustees(desk, rows, epoch, answer)
    rules = facts.authorisation.rules
    try:
        values = aggregate.decode_partial(rules, answer.values)
        part = aggregate.Part(values, opened.document.variances)
        blob = await asyncio.to_thread(aggregate.combine, rules, [part])
    except AggregateRefused as error:
        raise BatchUnfit(error.sentence) from error
    return CiphertextsOpened(blob, Batch.decode(lines).reports, answer, opened)


def _require_ours(
    rows: tuple[RoundRow, CampaignRow],
    facts: CampaignFacts,
    opened: AggregateOpened,
    answer: OpeningAnswer,
) -> None:
    row, entry = rows
    rounds = facts.bundle.manifest.rounds.maximum
    pairs: tuple[tuple[str, object, object], ...] = (
        ("campaign", opened.campaign, row.campaign),
        ("round", opened.round, row.number),
        ("plan", opened.plan, row.plan),
        ("parameters", opened.parameters, row.parameters),
        ("epoch", opened.epoch, entry.epoch),
        ("batch", opened.batch, row.batch),
        ("sum", opened.leader, row.leader),
        ("sum of masks", opened.helper, row.helper),
        ("values", opened.values, Digest.of(answer.values)),
        (
            "noise",
            opened.variances,
            accounting.variances_of(released(facts.authorisation.rules), rounds),
        ),
    )
    for name, said, expected in pairs:
        if said != expected:
            raise KeyholderUnavailable(f"what the keyholder opened is for another {name}")


def _require_trustees(
    desk: Desk, rows: tuple[RoundRow, CampaignRow], epoch: EpochKey, answer: OpeningAnswer
) -> None:
    """Enough trustees gave their share for exactly this opening, each by their own signature.

    It is checked before it is logged. Raises KeyholderUnavailable.
    """
    row, entry = rows
    assert row.ciphertext is not None
    assert row.masks is not None
    request = _verified(desk, ShareRequest, answer.request)
    said = request.document
    about = (said.campaign, said.round, said.epoch, said.batch, said.sum, said.masks)
    sums = (Digest.of(row.ciphertext), Digest.of(row.masks))
    if about != (row.campaign, row.number, entry.epoch, row.batch, *sums):
        raise KeyholderUnavailable("the keyholder asked the trustees about another opening")
    signers: set[PublicKey] = set()
    for raw in answer.returned:
        try:
            share = signed.verify(ShareReturned, raw, desk.root.keys(Duty.TRUSTEE).keys)
        except Problem as problem:
            raise KeyholderUnavailable(
                f"a trustee's share does not verify: {problem.sentence}"
            ) from problem
        if share.document.request != request.digest:
            raise KeyholderUnavailable("a trustee's share was given for another opening")
        signers |= share.signers
    if len(signers) < epoch.threshold:
        raise KeyholderUnavailable(
            f"{len(signers)} of {epoch.threshold} trustees gave their share for this opening"
        )


def _epoch(desk: Desk, digest: str) -> EpochKey:
    try:
        return epoch_of(desk, digest)
    except TrustError as error:
        # The root may name another keyholder by now: this campaign waits, the others go on.
        raise KeyholderUnavailable(
            f"the campaign's key epoch does not verify any more: {error.sentence}",
            remedy="cancel the campaign and start another one under the present root",
        ) from error


def _told(row: RoundRow) -> str:
    """What the round said last, without the words around it."""
    return row.why.partition(": ")[2]


def _verified(desk: Desk, cls: type[signed.D], raw: bytes) -> signed.Signed[signed.D]:
    try:
        return desk.root.verify(cls, raw, Duty.KEYHOLDER)
    except Problem as problem:
        raise KeyholderUnavailable(
            f"the keyholder's {cls.__name__} does not verify: {problem.sentence}",
            remedy="check that --keyholder is the address of this territory's keyholder",
        ) from problem
