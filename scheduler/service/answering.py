"""The outgoing half of an exchange: orders with their exhibits, cancellations, consents."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlmodel import col, select

from protos.cadastre.v1 import work_pb2
from scheduler.domain.events import Lease
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import LIVE_ATTEMPT, UnitState
from scheduler.service import committing, consents, images, outbox
from scheduler.service.desk import Desk
from scheduler.service.facts import facts_of
from scheduler.service.units import apply, quota_of, store_quota
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AttemptRow,
    AuthorisationRow,
    BundleRow,
    CampaignRow,
    MemberRow,
    RoundRow,
    UnitRow,
    WorkerRow,
)
from trust import schema
from trust.documents import signed
from trust.documents.campaign import Acknowledgement, Cancellation, Order, OrderBatch, UnitKind
from trust.documents.reporting import ReportBatch
from trust.dsse import Envelope
from trust.errors import SignatureInvalid
from trust.ids import AttemptId, AuthorisationId, CampaignId, Digest, FencingToken, UnitId, WorkerId
from trust.problem import Problem
from wire.limits import INLINE_BYTES

# Ready units that one answer looks at: a worker has one for each round that it takes part in.
LOOK = 64
_ITS = col(UnitRow.worker) == bindparam("worker")
_ASKER = select(WorkerRow, MemberRow).join(MemberRow).where(WorkerRow.name == bindparam("worker"))
_IS_READY = UnitRow.state == UnitState.READY.value
_READY = select(UnitRow).where(_IS_READY, _ITS).limit(LOOK)
_READY_TO_CONCLUDE = (
    select(UnitRow)
    .where(_IS_READY, col(UnitRow.worker).is_(None), UnitRow.kind == UnitKind.CONCLUDE.value)
    .limit(LOOK)
)
_LATER = select(UnitRow.why).where(_ITS, UnitRow.state == UnitState.WAITING.value).limit(16)
_SHOWN = (
    select(CampaignRow, RoundRow, AuthorisationRow, BundleRow)
    .join(RoundRow, col(RoundRow.campaign) == col(CampaignRow.id))
    .join(AuthorisationRow, col(AuthorisationRow.id) == col(CampaignRow.authorisation))
    .join(BundleRow, col(BundleRow.digest) == col(CampaignRow.bundle))
    .where(CampaignRow.id == bindparam("campaign"), RoundRow.number == bindparam("round"))
)


@dataclass(frozen=True)
class _Acknowledgements:
    items: tuple[Acknowledgement, ...]


def has_news(tx: Transaction, desk: Desk, document: ReportBatch) -> bool:
    """Whether an answer now would say anything."""
    found = tx.session.exec(_ASKER, params={"worker": str(document.worker)}).first()
    if found is None or found[0].sequence != document.sequence:
        return True
    worker, member = found
    if member.banned_at is not None:
        return True  # it is excluded: the poll ends with a refusal
    if consents.has_undelivered(tx, worker.name) or _cancellations(tx, document):
        return True
    # Only what `_lease` would really give: otherwise the poll of a worker without quota would be
    # answered at once, again and again.
    open_to_work = not worker.draining and worker.drained_at is None
    may_take = worker.slots > 0 and open_to_work and quota_of(worker, tx.now).left > 0
    return may_take and any(_exhibits(tx, desk, unit) for unit in _leasable(tx, desk, worker))


def answer(
    tx: Transaction, desk: Desk, document: ReportBatch, worker: WorkerRow, acknowledged: bytes
) -> bytes:
    """The serialised ExchangeResponse: leases what fits, collects everything else."""
    acknowledgements = schema.decode(_Acknowledgements, b'{"items":' + acknowledged + b"}").items
    orders, waiting = _lease(tx, desk, worker)
    batch = OrderBatch(
        territory=desk.territory,
        worker=document.worker,
        answers=document.sequence,
        issued_at=tx.now,
        orders=tuple(order for order, _ in orders),
        cancellations=tuple(_cancellations(tx, document)),
        acknowledgements=acknowledgements,
        waiting=tuple(waiting),
    )
    envelope = signed.sign(batch, [desk.orders]).envelope
    response = work_pb2.ExchangeResponse(orders=envelope.raw)
    shown: dict[str, work_pb2.Exhibit] = {}
    for _, exhibits in orders:
        shown.update(exhibits)
    response.exhibits.extend(shown.values())
    response.blobs.extend(_small_blobs(desk, [order for order, _ in orders]))
    with tx.session.no_autoflush:  # nothing that is asked for here was changed above
        for row, raw in consents.undelivered(tx, worker.name):
            response.consents.append(raw)
            row.delivering = document.sequence
        _keep(tx, desk, batch, envelope.raw, committing.keep_new)
    return response.SerializeToString(deterministic=True)


def is_current(desk: Desk, stored: bytes) -> bool:
    """Whether a stored answer was signed with the orders key of today."""
    orders = work_pb2.ExchangeResponse.FromString(stored).orders
    try:
        signed.verify(OrderBatch, orders, {desk.orders.public})
    except SignatureInvalid:
        return False
    return True


def sign_again(tx: Transaction, desk: Desk, stored: bytes) -> bytes:
    """The same answer under the present orders key: workers refuse the one it replaced."""
    response = work_pb2.ExchangeResponse.FromString(stored)
    batch = schema.decode(OrderBatch, Envelope.parse(response.orders).payload)
    envelope = signed.sign(batch, [desk.orders]).envelope
    # Perhaps not for the first time: a key that was replaced may have come back.
    _keep(tx, desk, batch, envelope.raw, committing.keep)
    response.orders = envelope.raw
    return response.SerializeToString(deterministic=True)


def _keep(
    tx: Transaction,
    desk: Desk,
    batch: OrderBatch,
    envelope: bytes,
    keep: Callable[[Transaction, Desk, str, bytes, str | None], object],
) -> None:
    """Keep a batch that orders or acknowledges something, in its campaign's restricted list.

    One about several campaigns goes into the list of no campaign, which every campaign's auditor
    gets whole: no list then lacks a receipt because it stands in another campaign's.
    """
    about = {str(order.campaign) for order in batch.orders}
    for answered in batch.acknowledgements:
        unit = tx.session.get(UnitRow, str(answered.unit))
        if unit is not None:  # a report about a unit that never was is about no campaign
            about.add(unit.campaign)
    if about:
        campaign = about.pop() if len(about) == 1 else None
        keep(tx, desk, committing.ORDERS, envelope, campaign)


def _cancellations(tx: Transaction, document: ReportBatch) -> list[Cancellation]:
    """Leases that the worker believes it holds and does not."""
    found: list[Cancellation] = []
    live = {state.value for state in LIVE_ATTEMPT}
    reported = {item.attempt for item in document.reports}
    for identity in document.held:
        row = tx.session.get(AttemptRow, str(identity))
        if identity in reported:
            continue
        if row is None or row.worker != document.worker:
            # Its unit is unknown here: any well-formed name does, the attempt's is what counts.
            unit = UnitId.from_bytes(bytes(16)) if row is None else UnitId(row.unit)
            found.append(Cancellation(unit, identity, Reason.UNKNOWN_ATTEMPT.value))
        elif row.state not in live:
            reason = row.reason or Reason.LEASE_LOST.value
            found.append(Cancellation(UnitId(row.unit), identity, reason))
    return found


def _leasable(tx: Transaction, desk: Desk, worker: WorkerRow) -> list[UnitRow]:
    """Ready units for this worker; cost independent of the backlog."""
    found: list[UnitRow] = []
    if worker.contributes:
        found += tx.session.exec(_READY, params={"worker": worker.name}).all()
    if _may_conclude(tx, worker) and len(found) < LOOK:
        rows = tx.session.exec(_READY_TO_CONCLUDE).all()[: LOOK - len(found)]
        found += [row for row in rows if _can_conclude(tx, desk, worker, row)]
    now = tx.now
    return [row for row in found if row.deadline > now]


def _may_conclude(tx: Transaction, worker: WorkerRow) -> bool:
    """It says that it does, and the operator named it: who concludes writes the release."""
    member = tx.session.get(MemberRow, worker.name)
    return worker.concludes and member is not None and member.concludes


def _can_conclude(tx: Transaction, desk: Desk, worker: WorkerRow, unit: UnitRow) -> bool:
    """Whether this worker has what the bundle needs, in an image that was voted."""
    campaign = tx.session.get(CampaignRow, unit.campaign)
    assert campaign is not None
    authorisation = tx.session.get(AuthorisationRow, campaign.authorisation)
    assert authorisation is not None
    try:
        facts = facts_of(desk, authorisation.digest, campaign.bundle)
    except Problem:
        return False  # damaged here: its own round says so, other campaigns go on
    libraries = facts.bundle.manifest.needs.libraries
    image = images.image_for(worker, libraries)
    return image in facts.authorisation.images and set(libraries) <= set(worker.libraries.split())


def _lease(
    tx: Transaction, desk: Desk, worker: WorkerRow
) -> tuple[list[tuple[Order, dict[str, work_pb2.Exhibit]]], list[str]]:
    """Orders with their exhibits, all of one campaign; and why there are not more."""
    quota = quota_of(worker, tx.now)
    if worker.draining:
        return [], [sentence(Reason.WORKER_DRAINING)]
    if worker.drained_at is not None:
        return [], [sentence(Reason.WORKER_DRAINED)]
    units = _leasable(tx, desk, worker)
    exhibits: dict[str, work_pb2.Exhibit] = {}
    # Orders of one campaign per batch: so it is committed in that campaign's restricted list.
    while units and not (exhibits := _exhibits(tx, desk, units[0])):
        _wait_for_repair(units[0])
        units = [unit for unit in units if unit.campaign != units[0].campaign]
    if not units:
        return [], [sentence(Reason.NOTHING_TO_DO), *_why_nothing(tx, worker)]
    if worker.slots == 0:
        return [], [sentence(Reason.WAITING_FOR_SLOT)]
    if quota.left == 0:
        return [], [sentence(Reason.WORKER_QUOTA, quota=quota.daily)]
    orders: list[tuple[Order, dict[str, work_pb2.Exhibit]]] = []
    for row in [unit for unit in units if unit.campaign == units[0].campaign]:
        if len(orders) >= min(worker.slots, quota.left):
            break
        token, attempt = FencingToken.draw(desk.entropy), AttemptId.draw(desk.entropy)
        apply(tx, desk, row, Lease(WorkerId(worker.name), attempt, token))
        tx.session.flush()
        stored = tx.session.get(AttemptRow, str(attempt))
        if stored is None:
            continue
        quota = quota.spend()
        orders.append((_order(tx, row, stored), exhibits))
    store_quota(worker, quota)
    worker.slots = max(0, worker.slots - len(orders))
    return orders, []


def _order(tx: Transaction, unit: UnitRow, attempt: AttemptRow) -> Order:
    campaign = tx.session.get(CampaignRow, unit.campaign)
    rounds = tx.session.get(RoundRow, (unit.campaign, unit.round))
    assert campaign is not None
    assert rounds is not None
    concluding = unit.kind == UnitKind.CONCLUDE.value
    return Order(
        unit=UnitId(unit.id),
        attempt=AttemptId(attempt.id),
        number=attempt.number,
        token=FencingToken(attempt.token),
        kind=UnitKind(unit.kind),
        campaign=CampaignId(campaign.id),
        round=rounds.number,
        bundle=Digest(campaign.bundle),
        authorisation=AuthorisationId(campaign.authorisation),
        plan=Digest(rounds.plan),
        parameters=Digest(rounds.parameters),
        aggregate=Digest(rounds.aggregate) if concluding and rounds.aggregate else None,
        lease_seconds=max(1, int((attempt.expires_at - tx.now).total_seconds())),
    )


def _exhibits(tx: Transaction, desk: Desk, unit: UnitRow) -> dict[str, work_pb2.Exhibit]:
    """What an order of this unit's campaign rests on; nothing where a part of it is gone.

    One campaign's loss must not keep its workers from others, or from reporting at all.
    """
    named = {"campaign": unit.campaign, "round": unit.round}
    campaign, rounds, authorisation, bundle = tx.session.exec(_SHOWN, params=named).one()
    logged = (authorisation.digest, rounds.plan, campaign.helper, campaign.epoch)
    try:
        shown = outbox.proofs_of(tx, [key for key in logged if key is not None])
        return {
            digest: work_pb2.Exhibit(envelope=desk.blobs.get(Digest(digest)), proof=proof)
            for digest, proof in [*shown.items(), (bundle.statement, "")]
        }
    except Problem:
        return {}


def _small_blobs(desk: Desk, orders: Sequence[Order]) -> list[bytes]:
    """What the orders name and is small enough to go with them; the rest is fetched."""
    named = {order.parameters for order in orders}
    named |= {order.aggregate for order in orders if order.aggregate is not None}
    found: list[bytes] = []
    for digest in sorted(named):
        size = desk.blobs.size(digest)
        if size is not None and size <= INLINE_BYTES:
            # Damaged here, it is fetched in vain: then the fetch is refused, in its own words.
            with contextlib.suppress(Problem):
                found.append(desk.blobs.get(digest))
    return found


def _wait_for_repair(unit: UnitRow) -> None:
    unit.reason = Reason.WAITING_FOR_REPAIR.value
    what = "a document that the order rests on cannot be read"
    unit.why = sentence(Reason.WAITING_FOR_REPAIR, what=what)


def _why_nothing(tx: Transaction, worker: WorkerRow) -> list[str]:
    """Reasons of the units that this worker will get later."""
    found = tx.session.exec(_LATER, params={"worker": worker.name})
    return sorted({why for why in found if why})
