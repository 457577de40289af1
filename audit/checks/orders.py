"""Orders, for accredited auditors: each what its logged plan says, no promise contradicted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from audit.checks.commitments import ORDERS, Opened
from audit.checks.helpers import protection_of
from audit.checks.objects import Objects
from audit.checks.plans import SUSPENSION_REACHES
from audit.errors import AuditFailure
from audit.records import Records
from protection.batch import Batch
from trust import dsse, schema
from trust.documents.aggregation import AcceptList
from trust.documents.campaign import Acknowledgement, Order, OrderBatch, UnitKind
from trust.documents.reporting import Partial
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.errors import SignatureInvalid, TrustError
from trust.ids import AttemptId, Digest, FencingToken, ReportId, UnitId, WorkerId
from trust.root import TrustedRoot

# An exchange that was open at an exclusion ends long before (wire.limits: connection age).
EXCLUSION_REACHES = timedelta(hours=1)
# Who says which reports it would open: no key has two duties (trust.root).
_ACCEPTING = (Duty.HELPER, Duty.KEYHOLDER)


@dataclass
class Ordered:
    """Every order by attempt and every accepted acknowledgement by unit, with their workers."""

    orders: dict[AttemptId, tuple[WorkerId, Order]] = field(default_factory=dict)
    accepted: dict[UnitId, tuple[WorkerId, Acknowledgement]] = field(default_factory=dict)
    given_at: dict[AttemptId, datetime] = field(default_factory=dict)  # for the first time


def read(records: Records, objects: Objects, opened: Sequence[Opened]) -> tuple[Ordered, str]:
    """Every committed batch of orders, signed by the order key, for enrolled workers."""
    ordered = Ordered()
    batches = 0
    for item in opened:
        if item.kind != ORDERS:
            continue
        for digest in item.envelopes:
            raw = objects.get(digest, "the order batch")
            batch = _signed(records, raw, item.commitment.index)
            if batch.territory != records.root_at(item.commitment.index).document.territory:
                raise AuditFailure("an order batch is of another territory")
            records.key(batch.worker, item.commitment.index)
            _require_member(records, batch)
            for order in batch.orders:
                _keep(ordered, batch.worker, order, batch.issued_at)
            for answer in batch.acknowledgements:
                _acknowledge(ordered, batch.worker, answer)
            batches += 1
    return ordered, f"{len(ordered.orders)} orders in {batches} signed batches"


def given(ordered: Ordered, kind: UnitKind) -> frozenset[tuple[UnitId, WorkerId, Digest]]:
    """(unit, worker, plan) of every order of one kind."""
    return frozenset(
        (order.unit, worker, order.plan)
        for worker, order in ordered.orders.values()
        if order.kind is kind
    )


def match_plans(records: Records, ordered: Ordered) -> str:
    """Every order repeats its plan and respects suspensions; no two attempts share a token."""
    stops = {
        logged.document.authorisation: logged.document.issued_at + SUSPENSION_REACHES
        for logged in records.suspensions
    }
    tokens: dict[FencingToken, AttemptId] = {}
    for attempt, (_, order) in ordered.orders.items():
        plan = records.plan(order.plan).document
        if (order.campaign, order.round, order.bundle, order.authorisation, order.parameters) != (
            plan.campaign,
            plan.round,
            plan.bundle,
            plan.authorisation,
            plan.parameters,
        ):
            raise AuditFailure(f"order {attempt} does not say what its plan says")
        if order.number < 1 or tokens.setdefault(order.token, attempt) != attempt:
            raise AuditFailure(f"order {attempt} reuses a fencing token or has no number")
        stop = stops.get(order.authorisation)
        if stop is not None and ordered.given_at[attempt] > stop:
            raise AuditFailure(
                f"order {attempt} was given over 24 h after {order.authorisation} was suspended"
            )
        opening = records.opening_of(order.plan)
        reads = (
            None if order.kind is UnitKind.CONTRIBUTE else (opening and opening.document.aggregate)
        )
        if order.aggregate != reads:
            raise AuditFailure(f"order {attempt} reads another aggregate than was opened")
    return f"{len(ordered.orders)} orders match their plans"


def left_out(
    records: Records, objects: Objects, batches: Mapping[Digest, Batch]
) -> tuple[dict[Digest, frozenset[ReportId]], str]:
    """By plan, the reports that helper or keyholder left out: of the helper's list is the batch."""
    found: dict[tuple[Digest, Duty], frozenset[ReportId]] = {}
    opened = {logged.document.plan: logged for logged in records.openings}
    committed = {logged.document.plan: logged for logged in records.batches}
    for digest in objects:
        raw = objects.get(digest, "object")
        if not _is_accept_list(raw):
            continue
        batch = committed.get(_read_accept_list(records, raw).plan)
        if batch is None:
            continue  # of a round that was never committed
        # By those of that time, not by one that came or went.
        answer, duty = _accepted_by(records.root_at(batch.index), raw)
        about = (answer.campaign, answer.round)
        if about != (batch.document.campaign, batch.document.round) or (answer.plan, duty) in found:
            raise AuditFailure(f"{answer.campaign} has an accept list of another round, or two")
        vote = records.voted(records.plan(answer.plan).document)
        if duty is Duty.KEYHOLDER and protection_of(vote) is not Protection.ENCRYPTED:
            raise AuditFailure(
                f"{answer.campaign} has a list of a keyholder that has no part in it"
            )
        opening = opened.get(answer.plan)
        if opening is not None:
            reports = tuple(line.report for line in batches[opening.digest].lines)
            # The helper is asked about what the keyholder accepted, and may take less of it.
            fits = set(reports) <= set(answer.accepted)
            if not fits or (duty is Duty.HELPER and answer.accepted != reports):
                raise AuditFailure(f"{answer.campaign} was opened over other reports than accepted")
        found[answer.plan, duty] = frozenset(item.report for item in answer.dropped)
    left: dict[Digest, frozenset[ReportId]] = {}
    for (plan, _), dropped in found.items():
        left[plan] = left.get(plan, frozenset()) | dropped
    return left, _lists_of(found) + f", {sum(map(len, left.values()))} reports left out"


def receipts(
    records: Records,
    ordered: Ordered,
    batches: Mapping[Digest, Batch],
    objects: Objects,
    dropped: Mapping[Digest, frozenset[ReportId]],
) -> str:
    """What a worker was told was accepted is what was opened: nothing swapped or left out.

    Except by helper or keyholder, whose signed accept list says so.
    """
    in_batch = {
        logged.document.plan: {line.partial for line in batches[logged.digest].lines}
        for logged in records.openings
    }
    checked = 0
    told: set[Digest] = set()
    for unit, (worker, answer) in ordered.accepted.items():
        found = ordered.orders.get(answer.attempt)
        if found is None:
            continue  # of a campaign whose orders are not in this export
        leased_by, order = found
        if (leased_by, order.unit) != (worker, unit):
            raise AuditFailure(
                f"attempt {answer.attempt} was acknowledged for another unit or worker"
            )
        if answer.statement is not None:
            told.add(answer.statement)
        if order.kind is UnitKind.CONTRIBUTE and order.plan in in_batch:
            if answer.statement not in in_batch[order.plan] and (
                _report(objects, answer.statement) not in dropped.get(order.plan, frozenset())
            ):
                raise AuditFailure(
                    f"attempt {answer.attempt} was accepted, but its partial was not opened"
                )
        elif order.kind is UnitKind.CONCLUDE:
            _require_released(records, order, answer)
        checked += 1
    untold = sum(
        partial not in told
        for plan in {order.plan for _, order in ordered.orders.values()}
        for partial in in_batch.get(plan, ())
    )
    # Not a failure: a worker that was lost after its report never fetched the answer.
    return f"{checked} acknowledgements kept; {untold} opened partials without one"


def _is_accept_list(raw: bytes) -> bool:
    if AcceptList.TYPE.encode() not in raw:
        return False
    try:
        return dsse.Envelope.parse(raw).payload_type == AcceptList.TYPE
    except TrustError:
        return False


def _read_accept_list(records: Records, raw: bytes) -> AcceptList:
    """The list, signed by one of any time: nothing unsigned is unfolded in memory."""
    refusal: TrustError | None = None
    for _, root in reversed(records.roots):
        try:
            return _accepted_by(root, raw)[0]
        except TrustError as error:
            refusal = refusal or error
    raise refusal or AuditFailure("an accept list is here, and no territory root")


def _accepted_by(root: TrustedRoot, raw: bytes) -> tuple[AcceptList, Duty]:
    """The list and whose it is, under this root. Raises TrustError."""
    refusal: TrustError | None = None
    for duty in _ACCEPTING:
        try:
            return root.verify(AcceptList, raw, duty).document, duty
        except TrustError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _lists_of(found: Collection[tuple[Digest, Duty]]) -> str:
    keyholders = sum(duty is Duty.KEYHOLDER for _, duty in found)
    lists = f"{len(found) - keyholders} accept lists of the helper"
    return f"{lists}, {keyholders} of the keyholder" if keyholders else lists


def _report(objects: Objects, statement: Digest | None) -> ReportId | None:
    """The report id in an accepted partial, None where that partial is not here."""
    if statement is None or statement not in objects:
        return None
    raw = objects.get(statement, "the partial")
    return schema.decode(Partial, dsse.Envelope.parse(raw).payload).report


def _require_released(records: Records, order: Order, answer: Acknowledgement) -> None:
    """The accepted conclusion is what the next round started with, or what was released."""
    for logged in records.plans:
        plan = logged.document
        if (plan.campaign, plan.round) == (order.campaign, order.round + 1):
            if plan.after != answer.statement:
                raise AuditFailure(
                    f"round {plan.round} of {plan.campaign} follows another conclusion than the "
                    "accepted one"
                )
            return
    for logged_release in records.releases:
        release = logged_release.document
        if release.campaign == order.campaign and release.conclusion != answer.statement:
            raise AuditFailure(
                f"{order.campaign} was released from another conclusion than the accepted one"
            )


def _keep(ordered: Ordered, worker: WorkerId, order: Order, at: datetime) -> None:
    # A lost answer is sent again, so a batch may repeat an order, but never change it.
    known = ordered.orders.setdefault(order.attempt, (worker, order))
    if known != (worker, order):
        raise AuditFailure(f"attempt {order.attempt} was ordered in two different ways")
    ordered.given_at[order.attempt] = min(at, ordered.given_at.get(order.attempt, at))


def _require_member(records: Records, batch: OrderBatch) -> None:
    excluded = records.excluded_at(batch.worker)
    if batch.orders and excluded is not None and batch.issued_at > excluded + EXCLUSION_REACHES:
        raise AuditFailure(f"{batch.worker} was given orders after its exclusion")


def _signed(records: Records, raw: bytes, index: int) -> OrderBatch:
    """The batch, signed with the orders key in force at its commitment or with an earlier one.

    It was answered before it was committed, and the key may have been replaced in between; the
    commitment, signed with the later key, stands for it.
    """
    refusal: SignatureInvalid | None = None
    for place, root in reversed(records.roots):
        if place <= index:
            try:
                return root.verify(OrderBatch, raw, Duty.ORDERS).document
            except SignatureInvalid as error:
                refusal = refusal or error
    raise refusal or AuditFailure(f"no territory root is in force at entry {index}")


def _acknowledge(ordered: Ordered, worker: WorkerId, answer: Acknowledgement) -> None:
    if not answer.accepted:
        return
    if answer.statement is None:
        raise AuditFailure(f"attempt {answer.attempt} was accepted without a statement")
    _, known = ordered.accepted.setdefault(answer.unit, (worker, answer))
    if known.statement != answer.statement:
        raise AuditFailure(f"two different statements were accepted for unit {answer.unit}")
