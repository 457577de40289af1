"""Rounds: prepared with one list of partials, opened once, over one pair of sums."""

from __future__ import annotations

from collections.abc import Iterable

from governance.batches.errors import (
    AlreadyOpened,
    BatchDiffers,
)
from governance.batches.reports import (
    Counted,
    Terms,
    dropped_of,
    enrolled_in,
    require_large_enough,
)
from governance.batches.standing import live_consents
from governance.batches.votes import (
    opened_already,
    require_first,
    require_first_sum,
    require_key,
    require_plan,
    require_timely,
)
from governance.keyholder import opening
from governance.keyholder.epochs import Epochs, Live
from governance.keyholder.errors import (
    EpochIsRetired,
    EpochMismatch,
    OpeningRefused,
    SharesAwaited,
)
from governance.keyholder.judging import judge
from governance.keyholder.office import Office
from governance.keyholder.schema import Kept, Round
from governance.keyholder.sessions import Asked, Session, Sessions
from protection.batch import Batch, BatchMember
from protection.errors import BatchRefused
from trust import dsse, schema
from trust.documents.aggregation import AcceptList, BatchCommitment, BatchQuestion
from trust.documents.campaign import Plan
from trust.documents.reporting import Partial
from trust.documents.signed import Signed
from trust.ids import Digest
from trust.log.entry import Kind
from wire.aggregation import LoggedDocument
from wire.custody import OpeningAnswer, OpeningPreparation, OpeningRequest, content_of


class Rounds:
    """Prepares and opens; every answer is durable before it is returned."""

    def __init__(self, office: Office, epochs: Epochs, sessions: Sessions) -> None:
        self._office = office
        self._epochs = epochs
        self._sessions = sessions

    def prepare(self, request: OpeningPreparation) -> bytes:
        """The accept list of a round; one list of partials per round. Raises Denied.

        Consents are counted now, not when the trustees have come together: a consent that is
        withdrawn acts until the batch is fixed.
        """
        office = self._office
        # Before anything costs anything: all else that is shown is public or anybody's to make.
        question = office.leader(BatchQuestion, request.question).document
        plan = office.leader(Plan, request.plan.envelope)
        campaign, number = plan.document.campaign, plan.document.round
        content = content_of(request.plan, request.epoch, request.partials, request.enrolments)
        office.require_asked(question, plan.document, content)
        with office.denying(campaign, number):
            asked = _name_of_question(plan.digest, request.partials)
            known = office.memory.round(campaign, number)
            if known is not None and known.asked == asked:
                return known.accept
            if known is not None and known.opened is not None:
                raise opened_already()
            if known is not None:
                raise BatchDiffers(
                    "the round was prepared with another list of reports",
                    remedy="the leader asks with the list that it froze, or aborts the round",
                )
            live = self._epochs.live(campaign)
            index = self._require_plan(plan, request, live)
            status = office.standing.require(live.vote)
            terms = Terms(
                plan=plan,
                authorisation=live.vote,
                enrolled=dict(enrolled_in(request.enrolments, office.root, office.history)),
                live=lambda worker: live_consents(status, live.vote, worker),
            )
            taken, left = judge(terms, request.partials)
            require_large_enough(live.vote.rules, [counted for counted, _ in taken])
            accept = AcceptList(
                territory=office.territory,
                campaign=campaign,
                round=number,
                plan=plan.digest,
                accepted=tuple(sorted(counted.member.report for counted, _ in taken)),
                dropped=dropped_of(left),
                prepared_at=office.now(),
            )
            prepared = Round(
                campaign=campaign,
                number=number,
                asked=asked,
                plan=request.plan.envelope,
                proof=request.plan.proof,
                epoch_proof=request.epoch.proof,
                logged=index,
                accept=office.sign(accept),
            )
            kept = [Kept(item.member.report, raw, item.operator) for item, raw in taken]
            return office.memory.prepare(prepared, kept).accept

    def open(self, request: OpeningRequest) -> OpeningAnswer:
        """The noised steps of the one batch of a round.

        Asked again until enough trustees have contributed. Raises SharesAwaited, Denied.
        """
        office = self._office
        batch = office.leader(BatchCommitment, request.batch.envelope)
        document = batch.document
        with office.denying(document.campaign, document.round):
            known = office.memory.round(document.campaign, document.round)
            if known is None:
                raise BatchDiffers(
                    "the round was not prepared here",
                    remedy="the leader prepares first; a restored keyholder is prepared again",
                )
            question = opening.name_of_opening(request)
            if known.question not in {None, question}:
                raise AlreadyOpened(
                    "the round may only be opened over the batch and the sums of the first asking",
                    remedy="ask with exactly those; otherwise the round gives no release",
                )
            if known.opened is not None and known.values is not None:
                return self._answered(known)
            live = self._epochs.live(document.campaign)
            if known.question is None:
                # Once it is asked the batch is fixed, and trustees may take their time.
                require_timely(known.accept, office.now())
            waiting = self._sessions.waiting(document.campaign, document.round, question)
            if waiting is not None and not waiting.enough:
                # Everything was checked when it began, and is again before it is opened.
                raise _awaited(waiting)
            members = self._require_batch(batch, request.lines, known, live)
            office.standing.require(live.vote)
            require_first(office.history, batch, request.batch, known.logged)
            sums = opening.read_sums(request, document, live, office.root)
            require_first_sum(office.history, sums.leader, request.leader, known.logged)
            # Again, now that the log was read as far as the sum's own proof shows it.
            live = self._epochs.live(document.campaign)
            # Before any trustee is asked: a second question about this round comes too late.
            if office.memory.bind(document.campaign, document.round, question) != question:
                raise opened_already()
            session = self._sessions.of(
                Asked(
                    live=live,
                    question=question,
                    plan=LoggedDocument(known.plan, known.proof),
                    epoch=LoggedDocument(live.epoch.certificate, known.epoch_proof),
                    batch=batch,
                    batch_proof=request.batch.proof,
                    leader=sums.leader,
                    leader_proof=request.leader.proof,
                    helper=request.helper,
                )
            )
            if not session.enough:
                raise _awaited(session)
            return self._answered(self._opened(session, batch.document, sums, members))

    def _opened(
        self,
        session: Session,
        batch: BatchCommitment,
        sums: opening.Sums,
        members: list[BatchMember],
    ) -> Round:
        office, live = self._office, session.live
        entrusted = office.memory.entrusted(batch.campaign)
        assert live.epoch.wrapped is not None
        try:
            values = opening.open_sums(
                live,
                (live.epoch.wrapped, [item.sealed or b"" for item in entrusted]),
                list(session.shares.values()),
                sums,
                reports=len(members),
                contributors=sum(member.contributors for member in members),
            )
        except OpeningRefused as refusal:
            # Before anybody hears of it: an oracle that answers once is no oracle.
            self._epochs.retire(batch.campaign, refusal.code)
            raise
        finally:
            # Whatever happened, the shares have done their work; a crash before the answer is
            # kept means that the trustees are asked again, for the same sums.
            self._sessions.drop(batch.campaign)
        opened = office.sign(opening.statement(live, batch, sums, values))
        kept = office.memory.answer(batch.campaign, batch.round, opened, values, session.records())
        if kept.opened is None:
            raise EpochIsRetired(
                "the campaign's key epoch was retired while its round was opened",
                remedy="start another campaign",
            )
        return kept

    def _answered(self, known: Round) -> OpeningAnswer:
        assert known.opened is not None
        assert known.values is not None
        request, *returned = self._office.memory.records(known.campaign, known.number)
        return OpeningAnswer(known.opened, known.values, request, tuple(returned))

    def _require_plan(self, plan: Signed[Plan], request: OpeningPreparation, live: Live) -> int:
        """Where the epoch's key stands first in the log, before the plan that names it."""
        history = self._office.history
        if plan.document.epoch != live.certificate:
            raise EpochMismatch("the plan is for another key epoch")
        if request.epoch.envelope != live.epoch.certificate:
            raise EpochMismatch("the exhibited key is not this campaign's")
        if plan.document.helper is None:
            raise EpochMismatch("the plan names no helper: partials would not be masked")
        key, first = require_key(history, Kind.EPOCH_KEY, request.epoch)
        logged = history.require(Kind.PLAN, request.plan.envelope, request.plan.proof)
        if logged.index < key.index:
            raise EpochMismatch("the plan was logged before the key that it names")
        require_plan(plan.document, live.vote, live.campaign.rounds)
        return first

    def _require_batch(
        self, batch: Signed[BatchCommitment], lines: bytes, known: Round, live: Live
    ) -> list[BatchMember]:
        """The members of the committed batch: reports that were all accepted here.

        It may be smaller than what was accepted (the helper drops what it cannot open), as long
        as the voted minima hold for what is left.
        """
        office, document = self._office, batch.document
        plan = office.leader(Plan, known.plan)
        kept = office.memory.reports(document.campaign, document.round)
        try:
            claimed = Batch.decode(lines)
            counted = [_counted(kept[line.report]) for line in claimed.lines]
            ours = Batch.of(item.member for item in counted)
        except (BatchRefused, KeyError) as error:
            raise BatchDiffers(
                "the batch holds a report that was not accepted here, or is none",
                remedy="the leader commits to reports that helper and keyholder both accepted",
            ) from error
        pairs: tuple[tuple[str, object, object], ...] = (
            ("list of reports", document.batch, ours.digest),
            ("list at hand", Digest.of(lines), ours.digest),
            ("plan", document.plan, plan.digest),
            ("parameters", document.parameters, plan.document.parameters),
            ("helper key", document.helper, plan.document.helper),
            ("number of partials", document.partials, ours.reports),
            ("number of contributors", document.contributors_rounded, ours.contributors_rounded),
        )
        for name, said, expected in pairs:
            if said != expected:
                raise BatchDiffers(f"the batch's {name} is not what was accepted here")
        require_large_enough(live.vote.rules, counted)
        return [item.member for item in counted]


def _awaited(session: Session) -> SharesAwaited:
    return SharesAwaited(
        f"{len(session.shares)} of {session.live.document.threshold} trustees have contributed",
        remedy="the other trustees run `cadastre trustee contribute`",
    )


def _counted(kept: Kept) -> Counted:
    # Verified when it was taken; what is kept is this process's own.
    partial = schema.decode(Partial, dsse.Envelope.parse(kept.partial).payload)
    return Counted(BatchMember.of(partial, Digest.of(kept.partial), partial.sealed), kept.operator)


def _name_of_question(plan: Digest, partials: Iterable[bytes]) -> Digest:
    lines = sorted(f"{Digest.of(raw)}\n" for raw in partials)
    return Digest.of(f"{plan}\n{''.join(lines)}".encode())
