"""Work.Exchange: a worker's reports in, its orders out; idempotent and long-polled.

At most two transactions. `accept-reports` takes the batch in exactly once: sequence number,
capacity, what became of every report; where there is something to say already it stores the
answer too. Otherwise the call waits for news, at most a heartbeat, and `answer-exchange` leases,
collects cancellations and stores the whole answer, so that the same batch always gets the same
bytes. If we crash or the client goes away between the two, the repeated batch finds its
acknowledgements stored and only the answer is made.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlmodel import col, delete, select

from jobs.libraries import RUNTIMES
from scheduler.domain.reasons import quote
from scheduler.errors import (
    IdentityShared,
    InputRefused,
    MessageEarly,
    MessageExpired,
    NotEnrolled,
    NotYours,
    QuotaExceeded,
    Superseded,
    ValuesNotDue,
)
from scheduler.service import accepting, answering, consents, images, transfers
from scheduler.service.bell import ANY_WORKER, for_worker
from scheduler.service.desk import Desk
from scheduler.service.standing import Standing
from scheduler.service.statements import Checked, Claim, check, context_of
from scheduler.store.store import Transaction
from scheduler.store.tables import ExchangeRow, MemberRow, WorkerRow
from trust import schema
from trust.certificates import Peer
from trust.documents import signed
from trust.documents.reporting import Capacity, ReportBatch
from trust.ids import Digest
from trust.keys import PublicKey
from wire.limits import INLINE_BYTES

MAXIMUM_LIBRARIES = 64
NOTHING = schema.encode(())
FORGET_EVERY = 16  # batches of one worker
_SENDER = (
    select(MemberRow, WorkerRow, ExchangeRow)
    .outerjoin(WorkerRow, col(WorkerRow.name) == col(MemberRow.name))
    .outerjoin(
        ExchangeRow,
        (col(ExchangeRow.worker) == col(MemberRow.name))
        & (col(ExchangeRow.sequence) == bindparam("sequence")),
    )
    .where(col(MemberRow.name) == bindparam("name"))
)


@dataclass(frozen=True)
class Accepted:
    """A batch that was taken in; `answer` is there when it was answered before."""

    acknowledgements: bytes
    answer: bytes | None


async def exchange(
    desk: Desk, standing: Standing, peer: Peer, raw: bytes, values: Sequence[bytes] = ()
) -> bytes:
    """The serialised ExchangeResponse for the report batch `raw`.

    `values` are small blobs that its reports name; one that is not due is left out, and the report
    that names it is refused. Raises NotEnrolled, SignatureInvalid, NotYours, IdentityShared,
    Superseded and the like.
    """
    asked = await desk.look("read-exchange", lambda tx: _read(tx, desk, peer, raw, values))
    document, known = asked.document, asked.known
    if known is None:
        _check_age(desk, document)
        # Travelling makes it look slower than it is; one that was signed before the line broke
        # makes it look much slower, until the next one.
        desk.skews[str(document.worker)] = document.sent_at - desk.now()
        checked = [await check(desk, standing, claim) for claim in asked.claims]
        known = await desk.run("accept-reports", lambda tx: _accept(tx, desk, peer, asked, checked))
        if known.answer is not None:
            desk.meters.exchanges.labels("answered").inc()
            return known.answer
    if known.answer is None or not answering.is_current(desk, known.answer):
        if known.answer is None:
            await _wait_for_news(desk, document, known)
        answer = await desk.run("answer-exchange", lambda tx: _answer(tx, desk, document))
        desk.meters.exchanges.labels("answered").inc()
        return answer
    desk.meters.exchanges.labels("replayed").inc()
    return known.answer


@dataclass(frozen=True)
class _Asked:
    """A batch that its worker signed, and what it is held against; of one moment."""

    document: ReportBatch
    digest: Digest
    known: Accepted | None  # None for a number that is new
    given: dict[Digest, bytes]  # small blobs that came with the reports
    claims: tuple[Claim, ...]  # of the reports; empty when it is known


def _read(tx: Transaction, desk: Desk, peer: Peer, raw: bytes, values: Sequence[bytes]) -> _Asked:
    """Everything that is looked up before a batch may be taken in, in one look."""
    key = PublicKey.parse(_sender(tx, peer.name, 0)[0].key)
    batch = signed.verify(ReportBatch, raw, {key})
    document = batch.document
    _check_batch(desk, peer, document)
    known = _known(tx, document, batch.digest)
    given = _given(document, values)
    reports = () if known else document.reports
    claims = tuple(
        Claim(item, key, context_of(tx, desk, document.worker, item), given) for item in reports
    )
    return _Asked(document, batch.digest, known, given, claims)


def _given(document: ReportBatch, values: Sequence[bytes]) -> dict[Digest, bytes]:
    """What came with the reports, by its digest. Raises InputRefused."""
    if len(values) > len(document.reports) or any(len(blob) > INLINE_BYTES for blob in values):
        raise InputRefused(
            f"each report brings at most one blob of {INLINE_BYTES} bytes",
            remedy="larger ones are put before their report",
        )
    return {Digest.of(blob): blob for blob in values}


def _sender(
    tx: Transaction, name: str, sequence: int
) -> tuple[MemberRow, WorkerRow | None, ExchangeRow | None]:
    """The caller, its worker, and what is stored for its batch `sequence`.

    Asked again in each transaction: exclusion acts on open polls too. Raises NotEnrolled.
    """
    found = tx.session.exec(_SENDER, params={"name": name, "sequence": sequence}).first()
    if found is None or found[0].banned_at is not None:
        raise NotEnrolled(f"{name} is not a member here", remedy="join again with a fresh token")
    return found


def _check_batch(desk: Desk, peer: Peer, document: ReportBatch) -> None:
    desk.require_territory(document.territory)
    if document.worker != peer.name:
        raise NotYours(
            "the batch was signed for another worker than the certificate's",
            remedy="one machine, one identity: join again with a fresh token",
        )
    limits = desk.limits
    if not 1 <= document.sequence < 2**63:
        raise InputRefused("a batch's number is at least 1")
    for name in ("held", "reports", "progress"):
        if len(getattr(document, name)) > limits.maximum_entries:
            raise InputRefused(f"a batch has at most {limits.maximum_entries} {name}")
    capacity = document.capacity
    if not 0 <= capacity.slots <= limits.maximum_slots:
        raise InputRefused(f"a worker has 0 to {limits.maximum_slots} slots")
    if len(capacity.libraries) > MAXIMUM_LIBRARIES or any(
        not name.isprintable() or name.split() != [name] or len(name) > 64
        for name in capacity.libraries
    ):
        raise InputRefused("the capacity names impossible libraries")
    if not set(capacity.images) <= set(RUNTIMES):
        raise InputRefused("the capacity names runtimes that no bundle can ask for")


def _check_age(desk: Desk, document: ReportBatch) -> None:
    """Only for a batch that is new: one that was taken in keeps its answer, whatever its age.

    So a worker that hears one of these knows that nothing was given in answer to its batch.
    """
    now, limits = desk.now(), desk.limits
    if now - document.sent_at > limits.message_age:
        raise MessageExpired(
            "the batch was signed over a day ago", remedy="sign a new one with a higher number"
        )
    if document.sent_at - now > limits.message_early:
        raise MessageEarly(
            "the batch is from the future", remedy="set the clock of the worker's machine right"
        )


def _known(tx: Transaction, document: ReportBatch, digest: Digest) -> Accepted | None:
    """What is stored for this batch; None when its number is new. Raises IdentityShared."""
    _, worker, row = _sender(tx, str(document.worker), document.sequence)
    if row is not None and row.request == digest:
        return Accepted(row.acknowledgements, row.answer)
    if worker is None:
        raise NotEnrolled("the member is not a worker", remedy="join with a worker's token")
    if document.sequence <= worker.sequence:
        raise IdentityShared(
            f"batch {document.sequence} came after batch {worker.sequence} with other content",
            remedy="two machines share this identity, or its state was restored from a copy: "
            "stop one, then join again with a fresh token",
            worker=str(document.worker),
        )
    return None


def _accept(
    tx: Transaction,
    desk: Desk,
    peer: Peer,
    asked: _Asked,
    checked: list[Checked],
) -> Accepted:
    document = asked.document
    known = _known(tx, document, asked.digest)
    if known is not None:
        return known
    worker = tx.session.get(WorkerRow, str(document.worker))
    assert worker is not None
    consents.confirm_delivery(tx, worker.name, document.sequence)
    for blob in asked.given.values():
        # By the rules of a put: the report that names one that is not due lacks its values.
        with contextlib.suppress(ValuesNotDue, QuotaExceeded):
            transfers.keep(tx, desk, peer, blob)
    worker.sequence, worker.last_seen = document.sequence, tx.now
    _store_capacity(worker, document.capacity)
    acknowledgements = schema.encode(
        tuple(accepting.accept(tx, desk, document.worker, item) for item in checked)
    )
    accepting.abandon_lost(tx, desk, document)
    accepting.note_progress(tx, document)
    _forget_old(tx, desk, document)
    tx.rings.add(for_worker(worker.name))  # an older poll of this worker ends
    answer = None
    if acknowledgements != NOTHING or answering.has_news(tx, desk, document):
        # There is something to say already: a commit less, and the worker goes on sooner.
        answer = answering.answer(tx, desk, document, worker, acknowledgements)
    tx.session.add(
        ExchangeRow(
            worker=worker.name,
            sequence=document.sequence,
            request=asked.digest,
            acknowledgements=acknowledgements,
            answer=answer,
            created_at=tx.now,
        )
    )
    return Accepted(acknowledgements, answer)


def _forget_old(tx: Transaction, desk: Desk, document: ReportBatch) -> None:
    """Drop answers that nobody can ask for again: now and then, since batches are many."""
    if document.sequence % FORGET_EVERY == 0:
        tx.session.exec(
            delete(ExchangeRow).where(
                col(ExchangeRow.worker) == str(document.worker),
                col(ExchangeRow.sequence) <= document.sequence - desk.limits.exchanges_kept,
            )
        )


def _store_capacity(worker: WorkerRow, capacity: Capacity) -> None:
    worker.slots = 0 if capacity.draining else capacity.slots
    worker.level = quote(capacity.level)[:8]
    images.store(worker, capacity)
    worker.libraries = " ".join(sorted(set(capacity.libraries)))
    worker.contributes, worker.concludes = capacity.contributes, capacity.concludes
    worker.draining = capacity.draining


async def _wait_for_news(desk: Desk, document: ReportBatch, known: Accepted) -> None:
    """Return when there is something to say, at the latest after a heartbeat."""
    if known.acknowledgements != NOTHING or desk.limits.heartbeat <= 0:
        return
    own = for_worker(str(document.worker))
    deadline = asyncio.get_running_loop().time() + desk.limits.heartbeat
    desk.meters.polls.inc()
    try:
        while True:
            heard = desk.bell.heard(own, ANY_WORKER)
            if await desk.look("has-news", lambda tx: answering.has_news(tx, desk, document)):
                return
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or desk.bell.closed:
                return
            await desk.bell.wait(heard, left)
            if desk.bell.heard(own)[own] != heard[own]:
                return  # rung for this worker alone: whoever answers looks anyway
    finally:
        desk.meters.polls.dec()


def _answer(tx: Transaction, desk: Desk, document: ReportBatch) -> bytes:
    _, worker, row = _sender(tx, str(document.worker), document.sequence)
    if row is None or worker is None or worker.sequence != document.sequence:
        raise Superseded(
            "a newer exchange of this worker overtook this one", remedy="nothing is lost: go on"
        )
    if row.answer is None:
        row.answer = answering.answer(tx, desk, document, worker, row.acknowledgements)
    elif not answering.is_current(desk, row.answer):
        row.answer = answering.sign_again(tx, desk, row.answer)
    return row.answer
