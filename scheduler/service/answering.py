"""The outgoing half of an exchange: orders with their exhibits, cancellations, consents."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import col, select

from protos.cadastre.v1 import work_pb2
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import LIVE_ATTEMPT, UnitState
from scheduler.domain.units import Lease
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

# Ready conclusions that one answer looks at: a worker may lack what the first ones need.
CONCLUSIONS_LOOKED_AT = 64


@dataclass(frozen=True)
class _Acknowledgements:
    items: tuple[Acknowledgement, ...]


def has_news(tx: Transaction, desk: Desk, document: ReportBatch) -> bool:
    """Whether an answer now would say anything."""
    worker = tx.session.get(WorkerRow, str(document.worker))
    if worker is None or worker.sequence != document.sequence:
        return True
    member = tx.session.get(MemberRow, worker.name)
    if member is None or member.banned_at is not None:
        return True  # it is excluded: the poll ends with a refusal
    if consents.has_undelivered(tx, worker.name) or _cancellations(tx, document):
        return True
    # Only what `_lease` would really give: otherwise the poll of a worker without quota would be
    # answered at once, again and again.
    may_take = worker.slots > 0 and not worker.draining and quota_of(worker, tx.now).left > 0
    return may_take and bool(_leasable(tx, desk, worker, 1))


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
    _keep(tx, desk, batch, envelope.raw)
    response = work_pb2.ExchangeResponse(orders=envelope.raw)
    shown: dict[str, work_pb2.Exhibit] = {}
    for _, exhibits in orders:
        shown.update(exhibits)
    response.exhibits.extend(shown.values())
    for row, raw in consents.undelivered(tx, worker.name):
        response.consents.append(raw)
        row.delivering = document.sequence
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
    _keep(tx, desk, batch, envelope.raw)
    response.orders = envelope.raw
    return response.SerializeToString(deterministic=True)


def _keep(tx: Transaction, desk: Desk, batch: OrderBatch, envelope: bytes) -> None:
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
        committing.keep(tx, desk, committing.ORDERS, envelope, campaign)


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


def _leasable(tx: Transaction, desk: Desk, worker: WorkerRow, limit: int) -> list[UnitRow]:
    """Ready units for this worker, oldest deadline first; cost independent of the backlog."""
    ready = UnitRow.state == UnitState.READY.value
    found: list[UnitRow] = []
    if worker.contributes:
        query = select(UnitRow).where(ready, UnitRow.worker == worker.name)
        found += tx.session.exec(query.limit(limit)).all()
    if worker.concludes and len(found) < limit:
        query = select(UnitRow).where(
            ready, col(UnitRow.worker).is_(None), UnitRow.kind == UnitKind.CONCLUDE.value
        )
        rows = tx.session.exec(query.limit(CONCLUSIONS_LOOKED_AT)).all()
        found += [row for row in rows if _can_conclude(tx, desk, worker, row)][: limit - len(found)]
    now = tx.now
    return [row for row in found if row.deadline > now]


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
    units = _leasable(tx, desk, worker, max(1, worker.slots))
    if not units:
        return [], [sentence(Reason.NOTHING_TO_DO), *_why_nothing(tx, worker)]
    if worker.slots == 0:
        return [], [sentence(Reason.WAITING_FOR_SLOT)]
    if quota.left == 0:
        return [], [sentence(Reason.WORKER_QUOTA, quota=quota.daily)]
    orders: list[tuple[Order, dict[str, work_pb2.Exhibit]]] = []
    # Orders of one campaign per batch: so it is committed in that campaign's restricted list.
    for row in [unit for unit in units if unit.campaign == units[0].campaign]:
        if len(orders) >= min(worker.slots, quota.left):
            break
        token, attempt = FencingToken.draw(desk.entropy), AttemptId.draw(desk.entropy)
        apply(tx, desk, row, Lease(WorkerId(worker.name), attempt, token))
        stored = tx.session.get(AttemptRow, str(attempt))
        if stored is None:
            continue
        quota = quota.spend()
        orders.append(_order(tx, desk, row, stored))
    store_quota(worker, quota)
    worker.slots = max(0, worker.slots - len(orders))
    return orders, []


def _order(
    tx: Transaction, desk: Desk, unit: UnitRow, attempt: AttemptRow
) -> tuple[Order, dict[str, work_pb2.Exhibit]]:
    campaign = tx.session.get(CampaignRow, unit.campaign)
    rounds = tx.session.get(RoundRow, (unit.campaign, unit.round))
    assert campaign is not None
    assert rounds is not None
    authorisation = tx.session.get(AuthorisationRow, campaign.authorisation)
    bundle = tx.session.get(BundleRow, campaign.bundle)
    assert authorisation is not None
    assert bundle is not None
    concluding = unit.kind == UnitKind.CONCLUDE.value
    order = Order(
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
    shown = [
        (authorisation.digest, outbox.proof_of(tx, authorisation.digest)),
        (rounds.plan, outbox.proof_of(tx, rounds.plan)),
        (bundle.statement, ""),
    ]
    keys = [key for key in (campaign.helper, campaign.epoch) if key is not None]
    shown += [(key, outbox.proof_of(tx, key)) for key in keys]
    exhibits = {
        digest: work_pb2.Exhibit(envelope=desk.blobs.get(Digest(digest)), proof=proof)
        for digest, proof in shown
    }
    return order, exhibits


def _why_nothing(tx: Transaction, worker: WorkerRow) -> list[str]:
    """Reasons of the units that this worker will get later."""
    query = select(UnitRow.why).where(
        UnitRow.worker == worker.name, UnitRow.state == UnitState.WAITING.value
    )
    return sorted({why for why in tx.session.exec(query.limit(16)) if why})
