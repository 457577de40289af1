"""What an answer brought, sorted: each order with the documents that it rests on, unverified."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from trust import schema
from trust.documents.campaign import Order, OrderBatch
from trust.documents.governance import Authorisation
from trust.documents.membership import BundleStatement
from trust.dsse import Envelope
from trust.errors import TrustError
from trust.ids import AttemptId, Digest
from trust.policy import Exhibit
from worker.ports import Answer


@dataclass(frozen=True)
class Received:
    """An order as it came: its signed batch, the exchange that it answers, its exhibits."""

    order: Order
    orders: bytes
    answers: int
    received_at: float
    exhibits: Mapping[Digest, Exhibit]  # by digest of the envelope
    authorisations: Mapping[str, Exhibit]  # by the id that they claim
    statements: Mapping[Digest, bytes]  # author statements by the bundle that they claim
    blobs: Mapping[Digest, bytes] = field(default_factory=dict)  # what came with it, by digest


def sort_exhibits(
    answer: Answer, batch: OrderBatch, sequence: int, boottime: float
) -> dict[AttemptId, Received]:
    """Every order of `batch`, by attempt, as `undertake` wants it.

    What an exhibit claims to be only decides where it is looked up: all of it is verified when
    the unit starts.
    """
    if not batch.orders:
        return {}
    by_digest = {Digest.of(exhibit.envelope): exhibit for exhibit in answer.exhibits}
    blobs = {Digest.of(blob): blob for blob in answer.blobs}
    authorisations: dict[str, Exhibit] = {}
    statements: dict[Digest, bytes] = {}
    for exhibit in answer.exhibits:
        with contextlib.suppress(TrustError):
            envelope = Envelope.parse(exhibit.envelope)
            if envelope.payload_type == Authorisation.TYPE:
                vote = schema.decode(Authorisation, envelope.payload)
                authorisations[vote.id] = exhibit
            elif envelope.payload_type == BundleStatement.TYPE:
                statement = schema.decode(BundleStatement, envelope.payload)
                statements[statement.bundle] = exhibit.envelope
    return {
        order.attempt: Received(
            order=order,
            orders=answer.orders,
            answers=sequence,
            received_at=boottime,
            exhibits=by_digest,
            authorisations=authorisations,
            statements=statements,
            blobs=blobs,
        )
        for order in batch.orders
    }
