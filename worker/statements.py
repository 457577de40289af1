"""What this worker states about an order that every policy permitted: it runs, then it signs.

Nothing is kept here: until the caller has put the statement into the journal, nothing was said,
and a crash leaves the capsules charged and the round open.
"""

from __future__ import annotations

from datetime import datetime

from capsule_runtime.broker.errors import ConsentWithdrawn
from capsule_runtime.broker.messages import Contribute, Ready
from trust import clock as clocks
from trust.clock import Clock
from trust.documents import signed
from trust.documents.reporting import Conclusion, Partial
from trust.documents.rules import Protection
from trust.ids import Digest, ReportId
from trust.policy import Permit
from trust.problem import Problem
from worker.errors import ExhibitMissing
from worker.journal import Statement
from worker.ports import OnProgress
from worker.sealing import sealing_of
from worker.workshop import Workshop

# A cohort in which owners keep withdrawing is tried this often before the unit is given up.
MAXIMUM_RESTARTS = 8


async def contribute(
    workshop: Workshop,
    permit: Permit,
    inputs: tuple[bytes, bytes, bytes | None, Ready],
    progress: OnProgress,
) -> Statement:
    """The partial of the capsules hosted here, signed.

    `inputs` are bundle, parameters, the epoch's public key if the protection has one, and what
    the broker proved. Raises what the broker refuses; ConsentWithdrawn when owners kept
    withdrawing while it ran.
    """
    order, purpose = permit.request.order, permit.authorisation.document.purpose
    bundle, parameters, public, ready = inputs
    report = ReportId.draw(workshop.entropy)
    sealing = sealing_of(permit, report)
    for restart in range(MAXIMUM_RESTARTS + 1):
        try:
            answer, values, sealed = await workshop.broker.contribute(
                Contribute(0, order.campaign, order.round, purpose, sealing),
                bundle,
                parameters,
                progress,
                public,
            )
            break
        except Problem as problem:
            # Charged capsules stay charged; the repetition costs nobody anything more.
            if problem.code != ConsentWithdrawn.code or restart == MAXIMUM_RESTARTS:
                raise
    partial = Partial(
        territory=workshop.identity.names.territory,
        campaign=order.campaign,
        round=order.round,
        unit=order.unit,
        worker=workshop.identity.worker,
        report=report,
        bundle=order.bundle,
        plan=permit.plan.digest,
        parameters=order.parameters,
        capsules=answer.capsules,
        contributors=answer.contributors,
        values=Digest.of(values),
        protection=_protection(permit),
        variances=answer.variances,
        rho=answer.rho,
        image=ready.image,
        level=ready.level,
        made_at=_whole_seconds(workshop.clock),
        sealed=None if sealed is None else Digest.of(sealed),
    )
    envelope = signed.sign(partial, [workshop.identity.keys.node]).envelope
    return Statement(permit.plan.digest, envelope.raw, values, sealed)


async def conclude(
    workshop: Workshop, permit: Permit, inputs: tuple[bytes, bytes, Ready]
) -> Statement:
    """The conclusion of a round, signed.

    `inputs` are bundle, parameters and what the broker proved. Raises ExhibitMissing where the
    order names no aggregate, and what the fetch or the broker refuses.
    """
    order = permit.request.order
    bundle, parameters, ready = inputs
    if order.aggregate is None:
        raise ExhibitMissing(
            f"the order to conclude {order.campaign} names no aggregate",
            remedy="tell the scheduler's operator",
            attempt=order.attempt,
        )
    aggregate = await workshop.fetch(order.aggregate)
    result = await workshop.broker.conclude(bundle, parameters, aggregate)
    conclusion = Conclusion(
        territory=workshop.identity.names.territory,
        campaign=order.campaign,
        round=order.round,
        unit=order.unit,
        worker=workshop.identity.worker,
        bundle=order.bundle,
        plan=permit.plan.digest,
        aggregate=order.aggregate,
        result=Digest.of(result),
        image=ready.image,
        level=ready.level,
        made_at=_whole_seconds(workshop.clock),
    )
    envelope = signed.sign(conclusion, [workshop.identity.keys.node]).envelope
    return Statement(permit.plan.digest, envelope.raw, result)


def _protection(permit: Permit) -> Protection:
    """The one protection of a bundle's releases, which the vote repeats."""
    (protection,) = {rule.protection for rule in permit.request.facts.rules}
    return protection


def _whole_seconds(clock: Clock) -> datetime:
    return clocks.from_text(clocks.to_text(clock.now()))
