"""Owners' consents: verified, newest serial wins, forwarded to the host that they name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, exists
from sqlmodel import col, select

from scheduler.errors import ConsentRefused, InputRefused
from scheduler.service import committing
from scheduler.service.bell import PACE, for_worker
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import CapsuleRow, ConsentRow, RestrictedRow
from trust.documents import signed
from trust.documents.consent import PURPOSE_PREFIX, Consent, Decision
from trust.errors import Malformed, TrustError
from trust.ids import CapsuleId, Digest
from trust.problem import Problem

MAXIMUM_BATCH = 1000
MAXIMUM_CONSENT_BYTES = 8 * 1024  # about 1.2 kB each; 16 tables of 63 letters fit
MAXIMUM_TARGET = 400
# What one exchange carries to a worker, so that its answer stays under the message limit of
# 8 MiB, which orders and their exhibits share; the rest follows with the next exchange.
DELIVERY = 2000
DELIVERY_BYTES = 4 * 1024 * 1024
_ITS = col(ConsentRow.worker) == bindparam("worker")
_NOT_DELIVERED = col(ConsentRow.delivered).is_(False)
_WAITING = select(exists().where(_ITS, _NOT_DELIVERED))
_UNDELIVERED = (
    select(ConsentRow, RestrictedRow.envelope)
    .where(RestrictedRow.digest == ConsentRow.digest)
    .where(_ITS, _NOT_DELIVERED)
    .order_by(col(ConsentRow.received_at))
    .limit(DELIVERY)
)
_ARRIVED = select(ConsentRow).where(
    _ITS, _NOT_DELIVERED, ConsentRow.delivering > 0, ConsentRow.delivering < bindparam("sequence")
)
_DECISIONS = select(ConsentRow).where(
    col(ConsentRow.target).in_(bindparam("targets", expanding=True))
)
_ITS_DECISIONS = _DECISIONS.where(_ITS)


@dataclass(frozen=True)
class RefusedConsent:
    """Why one consent of a batch was not stored."""

    index: int
    code: str
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Submission:
    """What became of a batch."""

    accepted: int
    unchanged: int
    refused: tuple[RefusedConsent, ...]


async def submit(desk: Desk, envelopes: Sequence[bytes]) -> Submission:
    """Store a batch; each consent stands or falls alone. Raises InputRefused for the batch."""
    if not 1 <= len(envelopes) <= MAXIMUM_BATCH:
        raise InputRefused(
            f"a batch has 1 to {MAXIMUM_BATCH} consents, not {len(envelopes)}",
            remedy="send them in several batches",
        )
    # A thousand signatures take a good part of a second: not on the event loop.
    read: list[signed.Signed[Consent] | Problem] = await asyncio.to_thread(
        lambda: [_verified(desk, raw) for raw in envelopes]
    )

    def insert(tx: Transaction) -> Submission:
        shelf = _Shelf(tx, desk, [item for item in read if not isinstance(item, Problem)])
        accepted = unchanged = 0
        refused: list[RefusedConsent] = []
        for index, consent in enumerate(read):
            try:
                if isinstance(consent, Problem):
                    raise consent
                if shelf.take(consent):
                    accepted += 1
                else:
                    unchanged += 1
            except Problem as error:
                refused.append(RefusedConsent(index, error.code, error.sentence, error.remedy))
        shelf.store()
        return Submission(accepted, unchanged, tuple(refused))

    return await desk.run("submit-consents", insert)


async def status(desk: Desk, capsules: Sequence[str]) -> list[ConsentRow]:
    """The newest decisions about these capsules. Raises InputRefused, Malformed."""
    if not 1 <= len(capsules) <= MAXIMUM_BATCH:
        raise InputRefused(f"ask for 1 to {MAXIMUM_BATCH} capsules at a time")
    wanted = [CapsuleId.parse(text) for text in capsules]

    def gather(tx: Transaction) -> list[ConsentRow]:
        query = select(ConsentRow).where(col(ConsentRow.capsule).in_(wanted))
        return list(tx.session.exec(query.order_by(ConsentRow.capsule, ConsentRow.target)))

    return await desk.look("consent-status", gather)


def targets_of(bundle: str, purpose: str) -> tuple[str, str]:
    """What a consent for this bundle may name."""
    return bundle, PURPOSE_PREFIX + purpose


def live_per_worker(
    tx: Transaction,
    bundle: str,
    purpose: str,
    tables: Iterable[str],
) -> dict[str, int]:
    """Capsules per worker whose owners let this bundle run on all of `tables`."""
    needed, counts = set(tables), dict[str, int]()
    for row in _deciding(tx, bundle, purpose, None):
        if _live(row, needed, tx.now):
            counts[row.worker] = counts.get(row.worker, 0) + 1
    return counts


def live_of(
    tx: Transaction,
    bundle: str,
    purpose: str,
    tables: Iterable[str],
    *,
    worker: str,
    since: datetime,
) -> tuple[int, int]:
    """The live consents of one worker's capsules: at any moment from `since` on, and now.

    A withdrawal acts on what is computed after it, not on a partial that was made before.
    """
    needed, ever, now = set(tables), 0, 0
    for row in _deciding(tx, bundle, purpose, worker):
        withdrawn = row.decision == Decision.REVOKE.value and row.received_at >= since
        ever += withdrawn or _live(row, needed, since)
        now += _live(row, needed, tx.now)
    return ever, now


def _deciding(
    tx: Transaction, bundle: str, purpose: str, worker: str | None
) -> Iterable[ConsentRow]:
    """Per capsule its deciding row: one about the bundle goes before one about its purpose."""
    targets: dict[str, Any] = {"targets": targets_of(bundle, purpose)}
    rows = (
        tx.session.exec(_DECISIONS, params=targets)
        if worker is None
        else tx.session.exec(_ITS_DECISIONS, params={**targets, "worker": worker})
    )
    deciding: dict[str, ConsentRow] = {}
    for row in rows:
        if row.target == bundle or row.capsule not in deciding:
            deciding[row.capsule] = row
    return deciding.values()


def _live(row: ConsentRow, needed: set[str], moment: datetime) -> bool:
    granted = row.decision == Decision.GRANT.value and row.expires_at > moment
    return granted and needed <= set(row.tables.split())


def undelivered(tx: Transaction, worker: str) -> list[tuple[ConsentRow, bytes]]:
    """Consents that this worker has not confirmed, oldest first."""
    found: list[tuple[ConsentRow, bytes]] = []
    size = 0
    for row, envelope in tx.session.exec(_UNDELIVERED, params={"worker": worker}):
        size += len(envelope)
        if size > DELIVERY_BYTES:
            break
        found.append((row, envelope))
    return found


def confirm_delivery(tx: Transaction, worker: str, sequence: int) -> None:
    """A new batch means that the answers before it arrived."""
    for row in tx.session.exec(_ARRIVED, params={"worker": worker, "sequence": sequence}):
        row.delivered = True


def has_undelivered(tx: Transaction, worker: str) -> bool:
    """Whether an exchange would carry consents."""
    return bool(tx.session.exec(_WAITING, params={"worker": worker}).one())


def _verified(desk: Desk, raw: bytes) -> signed.Signed[Consent] | Problem:
    try:
        if len(raw) > MAXIMUM_CONSENT_BYTES:
            raise Malformed(f"a consent has at most {MAXIMUM_CONSENT_BYTES} bytes")
        consent = signed.verify_self_named(Consent, raw, "owner")
        desk.require_territory(consent.document.territory)
        _check(consent.document)
    except TrustError as error:
        return error
    except Problem as error:
        return error
    return consent


def _check(document: Consent) -> None:
    target = document.target
    if target.startswith(PURPOSE_PREFIX):
        fits = len(target) <= MAXIMUM_TARGET and target.isprintable()
    else:
        fits = bool(Digest.parse(target))
    if not fits or document.serial < 1 or document.serial >= 2**63:
        raise ConsentRefused("the consent's target or serial is out of bounds")
    # They are stored side by side, between spaces.
    if any(
        not name.isascii() or not name.isprintable() or name.split() != [name]
        for name in document.tables
    ):
        raise ConsentRefused("the consent names an impossible table")
    if document.decision is Decision.GRANT and document.expires_at <= document.issued_at:
        raise ConsentRefused("the consent expires before it begins")


class _Shelf:
    """What is known about the capsules of one batch, read and written in a few statements."""

    def __init__(
        self, tx: Transaction, desk: Desk, batch: Sequence[signed.Signed[Consent]]
    ) -> None:
        self._tx = tx
        self._desk = desk
        capsules = {str(consent.document.capsule) for consent in batch}
        owners = select(CapsuleRow).where(col(CapsuleRow.id).in_(capsules))
        newest = select(ConsentRow).where(col(ConsentRow.capsule).in_(capsules))
        self._owners = {row.id: row.owner for row in tx.session.exec(owners)}
        self._newest = {(row.capsule, row.target): row for row in tx.session.exec(newest)}
        self._fresh: list[ConsentRow] = []
        self._kept: dict[str, bytes] = {}

    def take(self, consent: signed.Signed[Consent]) -> bool:
        """Make `consent` the newest; False when it is already. Raises ConsentRefused."""
        document, digest = consent.document, consent.digest
        capsule, owner = str(document.capsule), str(document.owner)
        if self._owners.setdefault(capsule, owner) != owner:
            raise ConsentRefused(
                "another key spoke for this capsule first",
                remedy="sign with the key that the capsule was sealed with",
            )
        row = self._newest.get((capsule, document.target))
        if row is not None and row.digest == digest:
            return False
        if row is not None and document.serial <= row.serial:
            raise ConsentRefused(
                f"serial {document.serial} is not above {row.serial}, the newest known one",
                remedy="an older decision cannot replace a newer one: sign a new one",
            )
        values: dict[str, Any] = {
            "worker": document.worker,
            "serial": document.serial,
            "decision": document.decision.value,
            "tables": " ".join(document.tables),
            "expires_at": document.expires_at,
            "received_at": self._tx.now,
            "digest": digest,
            "delivered": False,
            "delivering": 0,
        }
        self._kept[digest] = consent.envelope.raw
        if row is None:
            row = ConsentRow(capsule=capsule, target=document.target, **values)
            self._fresh.append(row)
            self._newest[capsule, document.target] = row
        else:
            # Written when the batch is stored, after what it refers to.
            self._fresh.append(row)
            for name, value in values.items():
                setattr(row, name, value)
        self._tx.rings.update({for_worker(document.worker), PACE})
        return True

    def store(self) -> None:
        """Write everything: first what consents refer to, then the consents."""
        session = self._tx.session
        with session.no_autoflush:
            known = set(
                session.exec(
                    select(CapsuleRow.id).where(
                        col(CapsuleRow.id).in_({row.capsule for row in self._fresh})
                    )
                )
            )
            kept = committing.keep_all(self._tx, self._desk, committing.CONSENTS, self._kept, None)
        owners = {row.capsule: self._owners[row.capsule] for row in self._fresh}
        fresh = [CapsuleRow(id=name, owner=owner) for name, owner in owners.items()]
        session.bulk_save_objects([row for row in fresh if row.id not in known])
        session.bulk_save_objects(kept)
        session.add_all(self._fresh)
        session.flush()
