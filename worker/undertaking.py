"""One order, from its documents to a signed statement in the journal.

Verification comes first and stops at the first "no"; then what was said before about the round
is said again; only then does anything run. If we crash at any line, the next attempt at the
same round finds in the journal either nothing (and nothing was released) or the statement.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

from capsule_runtime.broker.errors import BrokerLost
from capsule_runtime.broker.messages import Inspected, plain
from capsule_runtime.errors import SandboxUnavailable
from trust.documents.campaign import Order, UnitKind
from trust.documents.reporting import AttemptReport, Outcome
from trust.ids import Digest
from trust.policy import RUN_POLICIES, BundleFacts, RunRequest
from trust.policy.errors import BundleAltered, RunRefused, StatusStale
from trust.policy.standing import require_not_suspended
from trust.problem import Kind, Problem
from worker.errors import (
    CheckpointUnacknowledged,
    ExhibitMissing,
    TooManyOpenRounds,
    WorkerError,
)
from worker.exhibits import Received
from worker.journal import Statement
from worker.ports import OnProgress
from worker.readiness import NO_SANDBOX
from worker.sealing import named, public_key
from worker.statements import conclude, contribute
from worker.workshop import FetchBlob, Workshop

# A broker that dies is this machine's accident, hardly the algorithm's: nothing was released, what
# was charged stays charged, and its successor may do the unit within the same lease. Reported as
# a failure it would halve the worker's quota of the day, so that four of them end its work; but a
# unit that loses its third broker is ill itself, or its machine is, and that is worth saying.
MAXIMUM_BROKER_LOSSES = 2
# A round is charged before it runs. One that is begun and never answered (cancelled, lost, too few
# after all) has cost its owners for nothing, so only so many may stand open within OPEN_FOR: a
# scheduler that begins rounds in order to burn budgets gets no further.
MAXIMUM_OPEN_ROUNDS = 8
OPEN_FOR = timedelta(hours=24)
# A refusal's own words, cut so that a report batch stays small.
MAXIMUM_SENTENCE = 1000


async def undertake(workshop: Workshop, received: Received, progress: OnProgress) -> AttemptReport:
    """The report on one attempt, persisted with its statement.

    Whatever goes wrong becomes a report with the reason's own code, unless the report itself
    cannot be kept: that raises StorageFailed, and nothing is said.
    """
    order = received.order
    workshop = replace(workshop, fetch=_at_hand(received, workshop.fetch))
    try:
        statement = await _despite_losses(workshop, received, progress)
    except Problem as problem:
        report = AttemptReport(
            unit=order.unit,
            attempt=order.attempt,
            token=order.token,
            outcome=_outcome_of(problem),
            statement=None,
            reason=problem.code,
            sentence=plain(problem.sentence, MAXIMUM_SENTENCE),
        )
    else:
        contributed = order.kind is UnitKind.CONTRIBUTE
        report = AttemptReport(
            unit=order.unit,
            attempt=order.attempt,
            token=order.token,
            outcome=Outcome.CONTRIBUTED if contributed else Outcome.CONCLUDED,
            statement=statement.envelope,
            reason="",
            sentence="",
            sealed=statement.sealed,
        )
    workshop.journal.keep_report(report)
    return report


def _at_hand(received: Received, fetch: FetchBlob) -> FetchBlob:
    """`fetch` for what did not come with the order."""

    async def look_first(digest: Digest) -> bytes:
        came = received.blobs.get(digest)
        return await fetch(digest) if came is None else came

    return look_first


def _outcome_of(problem: Problem) -> Outcome:
    if isinstance(problem, CheckpointUnacknowledged | StatusStale):
        # Governance is away: nothing is wrong with the order, which is worth another attempt.
        return Outcome.NOT_READY
    refused = isinstance(problem, RunRefused | WorkerError) or problem.kind in {
        Kind.REFUSED,
        Kind.UNVERIFIED,
    }
    return Outcome.REFUSED if refused else Outcome.FAILED


async def _despite_losses(
    workshop: Workshop, received: Received, progress: OnProgress
) -> Statement:
    """The statement, from the beginning again when the broker was lost on the way."""
    losses = 0
    while True:
        try:
            return await _statement(workshop, received, progress)
        except BrokerLost:
            workshop.doubt()
            losses += 1
            if losses > MAXIMUM_BROKER_LOSSES:
                raise


async def _statement(workshop: Workshop, received: Received, progress: OnProgress) -> Statement:
    order = received.order
    bundle = await workshop.fetch_bundle(order.bundle)
    parameters = await workshop.fetch(order.parameters)
    if Digest.of(bundle) != order.bundle:
        # Before anybody reads it: only the ordered bytes are worth parsing.
        raise BundleAltered(
            f"the bundle at hand is {Digest.of(bundle)}, ordered is {order.bundle}",
            remedy="the bundle was changed on its way; only the voted bytes may run",
            bundle=order.bundle,
        )
    inspected = await workshop.broker.inspect(bundle)
    ready = await workshop.broker.ready()
    if ready.level == NO_SANDBOX:
        raise SandboxUnavailable(
            "this machine's sandbox did not pass its self-test: no native bundle runs here",
            remedy="run `cadastre doctor` and repair what it names; the self-test is repeated",
        )
    # What is claimed below is the image of the runtime that this bundle's libraries choose.
    ready = replace(ready, image=ready.image_for(inspected.libraries))
    permit = RUN_POLICIES.require(_request(workshop, received, inspected, parameters, ready.image))
    known = workshop.journal.statement(order.campaign, order.round, order.kind)
    if known is not None:
        # Said before, perhaps heard: the same bytes again, whatever the attempt.
        return known
    contributing = order.kind is UnitKind.CONTRIBUTE
    if contributing:
        _require_few_open(workshop, order)
        # A key that is not to be had, or is another's, is found before anybody is charged.
        public = await public_key(permit, workshop.fetch)
        # An old copy of this worker is found before it charges anybody.
        await _checkpoint(workshop, inspected)
    workshop.journal.begin_round(
        order.campaign,
        order.round,
        permit.plan.digest,
        order.authorisation,
        inspected.charge if contributing else None,
        now=workshop.clock.now(),
    )
    if contributing:
        work = contribute(workshop, permit, (bundle, parameters, public, ready), progress)
    else:
        work = conclude(workshop, permit, (bundle, parameters, ready))
    try:
        statement = await work
        if contributing:
            # What is said is known at the registry first: whoever restores this worker to before
            # the charge, and lets it draw its noise again, is found by the line above.
            await _checkpoint(workshop, inspected)
    finally:
        # A suspension that came meanwhile is the reason, whatever else ended the unit.
        _require_standing(workshop, order)
    return workshop.journal.keep_statement(order.campaign, order.round, order.kind, statement)


async def _checkpoint(workshop: Workshop, inspected: Inspected) -> None:
    """Raise what `Checkpoints.require` raises; where nothing is charged, nothing is asked.

    Without a price there is no noise that an old copy could draw a second time: public data.
    """
    if Fraction(inspected.charge) > 0:
        await workshop.checkpoint()


def _require_few_open(workshop: Workshop, order: Order) -> None:
    """Raise TooManyOpenRounds; a repetition of an open round is none more."""
    since = workshop.clock.now() - OPEN_FOR
    if workshop.journal.open_rounds(order.campaign, order.round, since) >= MAXIMUM_OPEN_ROUNDS:
        raise TooManyOpenRounds(
            f"{MAXIMUM_OPEN_ROUNDS} rounds were begun on this worker within "
            f"{OPEN_FOR.total_seconds() / 3600:.0f} h and none of them was answered",
            remedy="each charged its owners; find out from the worker's log why they end, and "
            "wait until a day has passed since",
        )


def _request(
    workshop: Workshop,
    received: Received,
    inspected: Inspected,
    parameters: bytes,
    image: Digest,
) -> RunRequest:
    order = received.order
    statement = received.statements.get(order.bundle)
    plan = received.exhibits.get(order.plan)
    authorisation = received.authorisations.get(order.authorisation)
    if statement is None or plan is None or authorisation is None:
        raise ExhibitMissing(
            f"the order for {order.unit} came without its plan, authorisation or author statement",
            remedy="the scheduler must exhibit what an order rests on; tell its operator",
            attempt=order.attempt,
        )
    return RunRequest(
        root=workshop.identity.root,
        worker=workshop.identity.worker,
        now=workshop.clock.now(),
        boottime=workshop.clock.boottime(),
        received_at=received.received_at,
        orders=received.orders,
        answers=received.answers,
        order=order,
        plan=plan,
        authorisation=authorisation,
        statement=statement,
        facts=BundleFacts(
            bundle=inspected.bundle,
            manifest=inspected.manifest,
            rules=inspected.rules,
            tables=inspected.tables,
            bounds=inspected.bounds,
            rounds=inspected.rounds,
            charge=Fraction(inspected.charge),
        ),
        parameters=parameters,
        image=image,
        known_plan=workshop.journal.plan(order.campaign, order.round),
        served=workshop.journal.served(order.authorisation, order.campaign, order.round),
        status=workshop.standing.recent(workshop.clock.boottime()),
        status_number=workshop.journal.status_number(),
        helper=named(plan, received.exhibits, lambda claimed: claimed.helper),
        epoch=named(plan, received.exhibits, lambda claimed: claimed.epoch),
    )


def _require_standing(workshop: Workshop, order: Order) -> None:
    status = workshop.standing.status
    if status is not None:
        require_not_suspended(status.document, order.authorisation)
