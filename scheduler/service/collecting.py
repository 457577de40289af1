"""Opening a `shared` batch with the helper: ask which reports count, commit in public, open once.

1. The frozen list goes to the helper, which answers with its accept list.
2. One transaction stores the list, the batch's bytes and the BatchCommitment, queued for the log.
3. Once that is witnessed, the helper is shown it and answers with its share.
4. One transaction stores both shares and the Opening: the leader's noise, drawn just before, is
   kept with them or never seen by anybody.
If we crash between two steps, the next turn repeats the one that was not stored; the helper
gives the same bytes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from jobs import aggregate
from jobs.errors import AggregateRefused
from protection import accounting
from protection.aggregators import draw_noise
from protection.errors import ProtectionError
from protection.layout import Layout, Role, Vector
from protection.shares import ShareSum
from scheduler.domain.planning import round_down
from scheduler.domain.reasons import Reason
from scheduler.domain.states import RoundState
from scheduler.errors import BatchUnfit, HelperDenied, HelperUnavailable, NotLogged
from scheduler.service import batching, helping, outbox
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts
from scheduler.service.members import Member
from scheduler.service.waiting import wait
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, RoundRow
from trust.documents import signed
from trust.documents.aggregation import AggregateShare, Side
from trust.ids import Digest
from trust.log.entry import Kind


@dataclass(frozen=True)
class SharesOpened:
    """What one turn found: both halves, ready to be stored with the Opening."""

    aggregate: bytes
    leader: bytes  # the leader's sum of shares, its noise inside
    helper: batching.HelperSum

    @property
    def partials(self) -> int:
        """Over how many partials the sums go."""
        return self.helper.batch.reports

    def store(self, tx: Transaction, desk: Desk, row: RoundRow) -> tuple[Digest, ...]:
        """Keep and log both shares; (leader's, helper's) digest for the Opening."""
        document = self.helper.share.document
        leader = AggregateShare(
            territory=desk.territory,
            campaign=document.campaign,
            round=document.round,
            plan=document.plan,
            parameters=Digest(row.parameters),
            batch=document.batch,
            side=Side.LEADER,
            values=outbox.keep_blob(tx, desk, self.leader),
            variances=document.variances,
            made_at=tx.now.replace(microsecond=0),
        )
        outbox.keep_blob(tx, desk, self.helper.masks)
        envelope = signed.sign(leader, [desk.orders])
        return (
            outbox.publish(tx, desk, Kind.SHARE, envelope, row.campaign),
            outbox.publish(tx, desk, Kind.SHARE, self.helper.share, row.campaign),
        )


async def collect(
    desk: Desk, key: tuple[str, int], facts: CampaignFacts, members: Sequence[Member]
) -> SharesOpened | None:
    """One step further; the opened batch once there is nothing left to ask. Raises BatchUnfit."""
    campaign, number = key
    row, entry = await batching.read_rows(desk, key)
    try:
        if row.commitment is None:
            await _prepare(desk, row, entry, facts, members)
            return None
        return await _commit(desk, row, facts, members)
    except HelperDenied as denied:
        await helping.refused(desk, campaign, number, denied)
    except NotLogged as problem:
        await wait(desk, campaign, Reason.WAITING_FOR_WITNESSES, problem.sentence)
    except HelperUnavailable as problem:
        await wait(desk, campaign, Reason.WAITING_FOR_HELPER, problem.sentence)
    return None


async def _prepare(
    desk: Desk,
    row: RoundRow,
    entry: CampaignRow,
    facts: CampaignFacts,
    members: Sequence[Member],
) -> None:
    committed = await batching.ask_helper(desk, row, entry, facts.authorisation.rules, members)

    def store(tx: Transaction) -> None:
        stored = tx.session.get(RoundRow, (row.campaign, row.number))
        assert stored is not None
        # Ended meanwhile: then nobody commits to anything any more.
        if stored.commitment is None and stored.state == RoundState.PREPARING.value:
            committed.store(tx, desk, stored)

    await desk.run("commit-batch", store)


async def _commit(
    desk: Desk, row: RoundRow, facts: CampaignFacts, members: Sequence[Member]
) -> SharesOpened:
    rules, rounds = facts.authorisation.rules, facts.bundle.manifest.rounds.maximum
    helper = await batching.ask_helper_sum(desk, row, accounting.variances_of(rules, rounds))
    chosen = batching.members_in(members, helper.batch)
    leader, opened = await asyncio.to_thread(_open, desk, facts, chosen, helper.masks)
    return SharesOpened(opened, leader, helper)


def _open(
    desk: Desk, facts: CampaignFacts, members: Sequence[Member], masks: bytes
) -> tuple[bytes, bytes]:
    """(the leader's noised sum, the aggregate), from bytes that are verified once more."""
    rules, rounds = facts.authorisation.rules, facts.bundle.manifest.rounds.maximum
    layout = Layout.of(rules, rounds)
    total = ShareSum(layout)
    try:
        for partial in batching.partials(members):
            total.add(Vector.decode(layout, Role.SHARE, desk.blobs.get(partial.values)))
        leader = total.answer(draw_noise(rules, rounds, desk.entropy)).encode()
        most = sum(member.attempt.contributors for member in members)
        opened = aggregate.open_shares(
            rules, leader, masks, rounds=rounds, contributors=round_down(most) + 9
        )
    except (ProtectionError, AggregateRefused) as error:
        raise BatchUnfit(error.sentence) from error
    return leader, opened
