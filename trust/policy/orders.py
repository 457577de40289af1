"""Policies about what the scheduler signed: the order, its plan, its lease."""

from __future__ import annotations

from dataclasses import dataclass

from trust.documents.campaign import Order, OrderBatch, Plan
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.errors import RootRefused, TrustError
from trust.ids import Digest, WorkerId
from trust.policy.errors import (
    BundleAltered,
    LeaseExpired,
    OrderForged,
    OrderMisdirected,
    OrderReplayed,
    OrderUnknown,
    ParametersAltered,
    PlanExpired,
    PlanMismatch,
    RootExpired,
    TwoPlans,
)
from trust.policy.request import Held, RunRequest
from trust.root import TrustedRoot

# No honest lease is longer: HTCondor's default is 40 minutes, a round rarely waits for a day.
MAXIMUM_LEASE_SECONDS = 24 * 3600


def verify_orders(
    root: TrustedRoot, raw: bytes, worker: WorkerId, answers: int
) -> Signed[OrderBatch]:
    """The order batch in `raw`, for this worker and this exchange.

    Raises OrderForged, OrderMisdirected or OrderReplayed. A recorded answer to an earlier
    exchange is worth nothing: the sequence number only grows.
    """
    try:
        batch = root.verify(OrderBatch, raw, Duty.ORDERS)
    except TrustError as error:
        raise OrderForged(
            f"the orders do not verify under the territory root: {error.sentence}",
            remedy="somebody else than the territory's scheduler answered; check the network "
            "path, and whether the root on this worker is current",
        ) from error
    document = batch.document
    if document.territory != root.document.territory or document.worker != worker:
        raise OrderMisdirected(
            f"the orders are for {document.worker} of {document.territory[:80]}",
            remedy="orders of another worker were passed on; nothing was done with them",
        )
    if document.answers != answers:
        raise OrderReplayed(
            f"the orders answer exchange {document.answers}, this is exchange {answers}",
            remedy="an old answer was sent again; the next exchange asks afresh",
        )
    return batch


@dataclass(frozen=True)
class RootCurrent:
    """The territory root has not expired."""

    def require(self, request: RunRequest) -> Held:
        try:
            request.root.require_current(request.now)
        except RootRefused as error:
            raise RootExpired(error.sentence, remedy=error.remedy) from error
        return Held("root-current", f"root version {request.root.document.version}")


@dataclass(frozen=True)
class OrderAuthentic:
    """The order stands in a batch that the scheduler signed for this worker and exchange."""

    def require(self, request: RunRequest) -> Held:
        batch = verify_orders(request.root, request.orders, request.worker, request.answers)
        if request.order not in batch.document.orders:
            raise OrderUnknown(
                f"attempt {request.order.attempt} is not in the signed order batch",
                remedy="orders are taken from the signed batch only",
                attempt=request.order.attempt,
            )
        return Held("order-authentic", f"order batch {batch.digest}")


@dataclass(frozen=True)
class LeaseAlive:
    """The lease has not run out, counted on the boot clock from the orders' receipt."""

    def require(self, request: RunRequest) -> Held:
        lease = min(request.order.lease_seconds, MAXIMUM_LEASE_SECONDS)
        age = request.boottime - request.received_at
        if not 0 <= age < lease:
            raise LeaseExpired(
                f"the lease of {lease} s is {age:.0f} s old",
                remedy="the scheduler will hand the unit out again",
                attempt=request.order.attempt,
            )
        return Held("lease-alive", f"{lease - age:.0f} s left")


@dataclass(frozen=True)
class PlanMatches:
    """The plan is the one ordered, and the fetched bytes are the ones that it names."""

    def require(self, request: RunRequest) -> Held:
        plan, order = request.verified_plan, request.order
        _require_same(plan, order, request.root.document.territory)
        if request.now >= plan.document.deadline:
            raise PlanExpired(
                f"round {order.round} of {order.campaign} closed at "
                f"{plan.document.deadline:%Y-%m-%d %H:%M} UTC",
                remedy="nothing to do: the round goes on without this worker",
            )
        if request.facts.bundle != order.bundle:
            raise BundleAltered(
                f"the bundle at hand is {request.facts.bundle}, ordered is {order.bundle}",
                remedy="the bundle was changed on its way; only the voted bytes may run",
                bundle=order.bundle,
            )
        if Digest.of(request.parameters) != plan.document.parameters:
            raise ParametersAltered(
                "the parameters at hand are not the ones that the plan names",
                remedy="they were changed on their way; they will be fetched again",
                campaign=order.campaign,
            )
        return Held("plan-matches", f"plan {plan.digest}")


@dataclass(frozen=True)
class OnePlan:
    """One plan per round: a scheduler cannot send one victim other parameters than the rest."""

    def require(self, request: RunRequest) -> Held:
        plan = request.verified_plan
        if request.known_plan not in {None, plan.digest}:
            raise TwoPlans(
                f"round {request.order.round} of {request.order.campaign} was planned as "
                f"{request.known_plan}, this order says {plan.digest}",
                remedy="tell the cooperative: a round has one plan and one parameter blob",
                campaign=request.order.campaign,
            )
        return Held("one-plan", "the round's only plan")


def _require_same(plan: Signed[Plan], order: Order, territory: str) -> None:
    document = plan.document
    pairs = (
        ("plan", plan.digest, order.plan),
        ("territory", document.territory, territory),
        ("campaign", document.campaign, order.campaign),
        ("round", document.round, order.round),
        ("bundle", document.bundle, order.bundle),
        ("authorisation", document.authorisation, order.authorisation),
        ("parameters", document.parameters, order.parameters),
    )
    for name, planned, ordered in pairs:
        if planned != ordered:
            raise PlanMismatch(
                f"the order's {name} is {str(ordered)[:80]}, the plan's {str(planned)[:80]}",
                remedy="the scheduler contradicts its own logged plan: tell the cooperative",
                campaign=order.campaign,
            )
