"""Whether one opening deserves this trustee's share: everything is read from documents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from governance.batches.history import History
from governance.batches.standing import Standing
from governance.batches.votes import (
    gone_by_the_log,
    require_first,
    require_first_sum,
    require_key,
    require_plan,
    require_vote,
)
from governance.trustee.errors import BatchTooSmall, NotMine, SummonsRefused
from trust.documents.aggregation import AggregateShare, BatchCommitment, Side
from trust.documents.campaign import Plan
from trust.documents.custody import EpochKey, ShareRequest
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.documents.signed import Signed
from trust.errors import TrustError
from trust.ids import Digest
from trust.log.entry import Kind
from trust.root import TrustedRoot
from wire.custody import Summons

_TENS = 10


@dataclass(frozen=True)
class Opening:
    """A verified summons."""

    epoch: Signed[EpochKey]
    request: Signed[ShareRequest]

    @property
    def question(self) -> Digest:
        """What the share may be given for in this round, once and for all."""
        asked = self.request.document
        return Digest.of(f"{asked.epoch}\n{asked.batch}\n{asked.sum}\n{asked.masks}\n".encode())


@dataclass(frozen=True)
class Judge:
    """A trustee's own view of the territory."""

    root: TrustedRoot
    history: History
    standing: Standing

    def read(self, summons: Summons, mine: Digest, now: datetime) -> Opening:
        """The opening that a summons asks for, when all of it holds.

        `mine` is the digest of this trustee's TrusteeKey. Raises SummonsRefused, NotMine,
        BatchTooSmall, BatchDenied (not voted, suspended, not logged, not the first),
        HistoryUnreadable, StandingUnknown.
        """
        opening, plan, batch, leader = self._documents(summons)
        self._require_place(opening.epoch.document, summons, mine)
        asked, epoch = opening.request.document, opening.epoch
        _, since = require_key(self.history, Kind.EPOCH_KEY, summons.epoch)
        vote, _ = require_vote(
            self.root,
            self.history,
            summons.authorisation,
            asked=(epoch.document.authorisation, epoch.document.bundle),
            protections=frozenset({Protection.ENCRYPTED}),
        )
        self.history.require(Kind.PLAN, summons.plan.envelope, summons.plan.proof)
        require_plan(plan.document, vote)
        territory, said = self.root.document.territory, batch.document
        total = leader.document
        round_of = (said.campaign, said.round, said.plan, said.batch)
        pairs: tuple[tuple[str, object, object], ...] = (
            ("epoch's territory", epoch.document.territory, territory),
            ("request's territory", asked.territory, territory),
            ("batch's territory", said.territory, territory),
            ("request's epoch", asked.epoch, epoch.digest),
            ("plan's epoch", plan.document.epoch, epoch.digest),
            ("request's round", (asked.campaign, asked.round, asked.plan, asked.batch), round_of),
            ("sum's round", (total.campaign, total.round, total.plan, total.batch), round_of),
            ("plan's campaign", plan.document.campaign, epoch.document.campaign),
            ("batch's campaign", said.campaign, epoch.document.campaign),
            ("batch's round", said.round, plan.document.round),
            ("batch's plan", said.plan, plan.digest),
            ("sum's side", total.side, Side.LEADER),
            ("request's sum", asked.sum, total.values),
        )
        for name, found, expected in pairs:
            if found != expected:
                raise SummonsRefused(f"the {name} is not what the summons is about")
        if now >= min(asked.not_after, epoch.document.not_after):
            raise SummonsRefused(
                "the request's time is over", remedy="fetch the present request again"
            )
        _require_size(batch.document, vote)
        self.standing.require(vote)
        require_first(self.history, batch, summons.batch, since)
        require_first_sum(self.history, leader, summons.leader, since)
        if gone_by_the_log(self.history, Kind.EPOCH_KEY, epoch.envelope.raw):
            raise SummonsRefused(
                "the log says that this key epoch is retired",
                remedy="keep the share and tell the cooperative: its keyholder serves a key that "
                "it said was destroyed",
            )
        return opening

    def _documents(
        self, summons: Summons
    ) -> tuple[Opening, Signed[Plan], Signed[BatchCommitment], Signed[AggregateShare]]:
        try:
            epoch = self.root.verify(EpochKey, summons.epoch.envelope, Duty.KEYHOLDER)
            request = self.root.verify(ShareRequest, summons.request, Duty.KEYHOLDER)
            plan = self.root.verify(Plan, summons.plan.envelope, Duty.ORDERS)
            batch = self.root.verify(BatchCommitment, summons.batch.envelope, Duty.ORDERS)
            leader = self.root.verify(AggregateShare, summons.leader.envelope, Duty.ORDERS)
        except TrustError as error:
            raise SummonsRefused(
                f"the summons does not verify: {error.sentence}",
                remedy="tell the cooperative: somebody speaks in the keyholder's name",
            ) from error
        return Opening(epoch, request), plan, batch, leader

    def _require_place(self, epoch: EpochKey, summons: Summons, mine: Digest) -> None:
        places = epoch.trustees
        total = len(places)
        if not len(epoch.sealed) == len(epoch.shares) == total or not 2 <= epoch.threshold <= total:
            raise SummonsRefused("the epoch's places, shares and threshold do not fit together")
        if not 1 <= summons.place <= len(places) or places[summons.place - 1] != mine:
            raise NotMine("the place in the summons is another trustee's")
        if Digest.of(summons.sealed) != epoch.sealed[summons.place - 1]:
            raise NotMine("the sealed share is not the one that the ceremony announced")
        if epoch.threshold < self.root.keys(Duty.TRUSTEE).threshold:
            # The keyholder alone must not lower how many trustees it takes.
            raise SummonsRefused(
                f"the epoch opens with {epoch.threshold} trustees, fewer than the root asks for"
            )


def _require_size(batch: BatchCommitment, vote: Authorisation) -> None:
    """Raise BatchTooSmall where the commitment itself tells of fewer than voted.

    Counts in it are rounded down to tens; helper and keyholder have counted exactly.
    """
    for rule in vote.rules:
        least = rule.minimum_contributors // _TENS * _TENS
        if batch.partials < rule.minimum_workers or batch.contributors_rounded < least:
            raise BatchTooSmall(
                f"{rule.output}: the batch has {batch.partials} partials of about "
                f"{batch.contributors_rounded} contributors, fewer than voted"
            )
