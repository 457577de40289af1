"""Rounds: prepared with one list of reports, answered for one batch."""

from __future__ import annotations

from governance.batches.errors import BatchDiffers, PlanMismatch
from governance.batches.reports import (
    Left,
    Terms,
    dropped_of,
    enrolled_in,
    require_large_enough,
)
from governance.batches.standing import live_consents
from governance.batches.votes import (
    opened_already,
    require_first,
    require_plan,
    require_timely,
)
from governance.helper import opening
from governance.helper.campaigns import Campaigns, Engaged
from governance.helper.judging import Taken, judge
from governance.helper.office import Office
from governance.helper.profiles import profile_of
from governance.helper.schema import Kept, Round
from protection.batch import Batch
from protection.ckks.profile import Profile, profile_named
from trust.documents.aggregation import AcceptList, BatchCommitment, BatchQuestion
from trust.documents.campaign import Plan
from trust.documents.signed import Signed
from trust.ids import Digest
from trust.log.entry import Kind
from wire.aggregation import (
    CommitAnswer,
    CommitRequest,
    LoggedDocument,
    PrepareRequest,
    content_of,
)


class Rounds:
    """Prepares and commits; every answer is durable before it is returned."""

    def __init__(self, office: Office, campaigns: Campaigns) -> None:
        self._office = office
        self._campaigns = campaigns

    def prepare(self, request: PrepareRequest) -> bytes:
        """The accept list of a round; one list of reports per round. Raises Denied."""
        # Before anything costs anything: all else that is shown is public or anybody's to make.
        question = self._office.leader(BatchQuestion, request.question).document
        plan = self._office.leader(Plan, request.plan.envelope)
        campaign, number = plan.document.campaign, plan.document.round
        content = content_of(request.plan, request.reports, request.enrolments)
        self._office.require_asked(question, plan.document, content)
        with self._office.denying(campaign, number):
            asked = opening.name_of_question(plan.digest, request.reports)
            known = self._office.memory.round(campaign, number)
            if known is not None and known.asked == asked:
                return known.accept
            if known is not None and known.share is not None:
                raise opened_already()
            if known is not None:
                raise BatchDiffers(
                    "the round was prepared with another list of reports",
                    remedy="the leader asks with the list that it froze, or aborts the round",
                )
            engaged = self._campaigns.engaged(campaign)
            vote = engaged.vote
            self._require_plan(plan, request.plan, engaged)
            profile = profile_of(self._office, plan.document, vote)
            status = self._office.standing.require(vote)
            terms = Terms(
                plan=plan,
                authorisation=vote,
                enrolled=dict(
                    enrolled_in(request.enrolments, self._office.root, self._office.history)
                ),
                live=lambda worker: live_consents(status, vote, worker),
            )
            taken, left = judge(terms, engaged.secret, request.reports)
            require_large_enough(vote.rules, taken)
            return self._keep(plan, (asked, profile), taken, left)

    def commit(self, request: CommitRequest) -> CommitAnswer:
        """The helper's noised share of the one batch of a round. Raises Denied."""
        batch = self._office.leader(BatchCommitment, request.batch.envelope)
        document = batch.document
        with self._office.denying(document.campaign, document.round):
            known = self._office.memory.round(document.campaign, document.round)
            if known is None:
                raise BatchDiffers(
                    "the round was not prepared here",
                    remedy="the leader prepares first; a restored helper is prepared again",
                )
            opening.require_same(batch, request.lines, known)
            if known.share is not None and known.masks is not None:
                return CommitAnswer(known.share, known.masks)
            engaged = self._campaigns.engaged(document.campaign)
            if document.helper != Digest.of(engaged.entry.certificate):
                raise BatchDiffers("the batch names another helper key")
            require_timely(known.accept, self._office.now())
            self._office.standing.require(engaged.vote)
            require_first(self._office.history, batch, request.batch, engaged.entry.logged)
            # Again, now that the log was read as far as the batch's own proof shows it.
            engaged = self._campaigns.engaged(document.campaign)
            reports = self._office.memory.reports(document.campaign, document.round)
            share, masks = opening.open_batch(
                opening.Question(
                    batch,
                    engaged.vote.rules,
                    engaged.entry.rounds,
                    engaged.secret,
                    None if known.profile is None else profile_named(known.profile),
                ),
                [(report.partial, report.sealed) for report in reports],
                self._office.key,
            )
            kept = self._office.memory.answer(document.campaign, document.round, share, masks)
            assert kept.share is not None
            assert kept.masks is not None
            return CommitAnswer(kept.share, kept.masks)

    def _require_plan(
        self,
        plan: Signed[Plan],
        exhibit: LoggedDocument,
        engaged: Engaged,
    ) -> None:
        entry, vote = engaged.entry, engaged.vote
        self._office.history.require(Kind.PLAN, exhibit.envelope, exhibit.proof)
        document = plan.document
        if document.helper != Digest.of(entry.certificate):
            raise PlanMismatch("the plan is for another helper key")
        require_plan(document, vote, entry.rounds)

    def _keep(
        self,
        plan: Signed[Plan],
        question: tuple[Digest, Profile | None],
        taken: list[Taken],
        left: list[Left],
    ) -> bytes:
        asked, profile = question
        batch = Batch.of(item.member for item in taken)
        document = plan.document
        accept = AcceptList(
            territory=self._office.territory,
            campaign=document.campaign,
            round=document.round,
            plan=plan.digest,
            accepted=tuple(line.report for line in batch.lines),
            dropped=dropped_of(left),
            prepared_at=self._office.now(),
        )
        prepared = self._office.memory.prepare(
            Round(
                campaign=document.campaign,
                number=document.round,
                asked=asked,
                plan=plan.digest,
                parameters=document.parameters,
                accept=self._office.sign(accept),
                batch=batch.encode(),
                profile=None if profile is None else profile.name,
            ),
            [Kept(item.member.report, item.report.partial, item.report.sealed) for item in taken],
        )
        return prepared.accept
