"""What has to stand in the log: queued with the change it belongs to, appended afterwards.

Order and crashes: (1) the envelope becomes a durable blob, (2) the change and its outbox row
commit together, (3) the entry is appended to the log, (4) its index and, once enough witnesses
cosigned, its proof are stored. A crash after (1) leaves a blob nobody names; after (2) or (3)
the next `flush` appends again, and the log answers with the index the entry already has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import bindparam
from sqlmodel import col, func, select, update

from durable.blobs import BlobFolder
from scheduler.errors import DatabaseRestored, NotLogged
from scheduler.service.bell import PACE
from scheduler.service.desk import Desk
from scheduler.store.store import Store, Transaction
from scheduler.store.tables import (
    AuthorisationRow,
    BlobRow,
    CampaignRow,
    CheckpointRow,
    LogRow,
)
from trust import dsse, schema
from trust.documents.governance import Authorisation, Suspension
from trust.documents.signed import Signed
from trust.errors import LogRefused
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.entry import Kind, LogEntry
from trust.log.note import Note
from trust.log.proof import verify_proof
from trust.log.tree import leaf_hash

# One append signs all of these; more wait for the next turn.
BATCH = 1024
_PROOFS = select(LogRow.digest, LogRow.proof).where(
    col(LogRow.digest).in_(bindparam("digests", expanding=True)), col(LogRow.proof).is_not(None)
)
_QUEUED = select(LogRow).where(
    LogRow.kind == bindparam("kind"), LogRow.digest == bindparam("digest")
)
_UNPROVEN = select(LogRow).where(col(LogRow.proof).is_(None)).order_by(col(LogRow.id)).limit(BATCH)


class Shelf(Protocol):
    """Where blobs are kept; a Desk is one."""

    @property
    def blobs(self) -> BlobFolder: ...


class Appended(Protocol):
    """The log as it was stored; a LogWriter is one."""

    @property
    def size(self) -> int: ...

    def holds(self, entry: bytes) -> bool: ...


def require_one_moment(store: Store, log: Appended) -> None:
    """Raise DatabaseRestored unless the log holds exactly what the database had it append.

    An entry is queued before it is appended, so no crash can make the log know more. A database
    that was restored from an old copy would open and release again what the log has openings of.
    """

    def appended(tx: Transaction) -> int:
        settled = select(func.count()).where(col(LogRow.position).is_not(None))
        queued = tx.session.exec(select(LogRow).where(col(LogRow.position).is_(None))).all()
        entries = (LogEntry(Kind(row.kind), Digest(row.digest)).emit() for row in queued)
        return tx.session.exec(settled).one() + sum(map(log.holds, entries))

    known = store.read("count-appended", appended)
    if known != log.size:
        older = "database" if known < log.size else "log"
        raise DatabaseRestored(
            f"the log has {log.size} entries, the database had it append {known}: the {older} "
            "was restored from an old copy"
        )


def keep_blob(
    tx: Transaction, shelf: Shelf, data: bytes, *, public: bool = True, giver: str = ""
) -> Digest:
    """Store `data` and who may read it; storing it again only ever widens that."""
    digest = shelf.blobs.put(data)
    register_blob(tx, digest, len(data), public=public, giver=giver)
    return digest


def register_blob(tx: Transaction, digest: Digest, size: int, *, public: bool, giver: str) -> None:
    """Note who may read a blob that is already in the folder."""
    row = tx.session.get(BlobRow, digest)
    if row is None:
        tx.session.add(
            BlobRow(digest=digest, size=size, public=public, giver=giver, created_at=tx.now)
        )
    elif public and not row.public:
        row.public = True


def publish(
    tx: Transaction, shelf: Shelf, kind: Kind, signed: Signed[Any], campaign: str | None = None
) -> Digest:
    """Queue a signed document for the log; queueing it again changes nothing."""
    return publish_raw(tx, shelf, kind, signed.envelope.raw, campaign)


def publish_raw(
    tx: Transaction, shelf: Shelf, kind: Kind, envelope: bytes, campaign: str | None = None
) -> Digest:
    """`publish` for verified bytes."""
    digest = keep_blob(tx, shelf, envelope)
    known = tx.session.exec(_QUEUED, params={"kind": kind.value, "digest": digest}).first()
    if known is None:
        tx.session.add(
            LogRow(
                kind=kind.value,
                digest=digest,
                campaign=campaign,
                created_at=tx.now,
                leaf=leaf_hash(LogEntry(kind, digest).emit()).hex(),
                bundle=_about(tx, kind, envelope, campaign),
            )
        )
        tx.session.flush()
        tx.rings.add(PACE)
    return digest


def _about(tx: Transaction, kind: Kind, envelope: bytes, campaign: str | None) -> str | None:
    """The bundle that an entry is about, so that the log is found by it; None for no bundle."""
    if campaign is not None:
        run = tx.session.get(CampaignRow, campaign)
        return None if run is None else run.bundle
    if kind is Kind.AUTHORISATION:
        vote = schema.decode(Authorisation, dsse.Envelope.parse(envelope).payload)
        return str(vote.bundle)
    if kind is Kind.SUSPENSION:
        stop = schema.decode(Suspension, dsse.Envelope.parse(envelope).payload)
        row = tx.session.get(AuthorisationRow, str(stop.authorisation))
        return None if row is None else row.bundle
    return None


def publish_root(tx: Transaction, shelf: Shelf, envelope: bytes) -> Digest:
    """Queue a territory root; the first time, every entry needs a proof by its witnesses.

    Workers and terminals believe the newest root's witnesses only, and old proofs show others.
    """
    digest = Digest.of(envelope)
    query = select(LogRow.id).where(LogRow.kind == Kind.ROOT.value, LogRow.digest == digest)
    if tx.session.exec(query).first() is None:
        tx.session.exec(update(LogRow).values(proof=None))
    return publish_raw(tx, shelf, Kind.ROOT, envelope)


def proof_of(tx: Transaction, digest: str) -> str:
    """The `.tlog-proof` of a logged envelope. Raises NotLogged while there is none."""
    return proofs_of(tx, [digest])[digest]


def proofs_of(tx: Transaction, digests: Sequence[str]) -> dict[str, str]:
    """The `.tlog-proof` of each envelope, in the order given. Raises NotLogged for the first."""
    rows = tx.session.exec(_PROOFS, params={"digests": list(digests)})
    found = {digest: proof for digest, proof in rows if proof is not None}
    for digest in digests:
        if digest not in found:
            raise NotLogged(
                f"{digest} is not yet proven to be in the log",
                remedy="wait for the witnesses; `cadastre scheduler status` names who is missing",
            )
    return {digest: found[digest] for digest in digests}


async def flush(desk: Desk) -> int:
    """Append what waits and fetch proofs. Returns how many entries still lack one."""

    def waiting(tx: Transaction) -> list[LogRow]:
        return list(tx.session.exec(_UNPROVEN))

    rows = await desk.look("list-outbox", waiting)
    desk.meters.log_queue.set(len(rows))
    if not rows:
        return 0
    found = await asyncio.to_thread(_append_and_prove, desk, rows)
    changed = {row.id: found[row.id] for row in rows if found[row.id] != (row.position, row.proof)}
    if changed:
        note = await asyncio.to_thread(desk.log.checkpoint)

        def settle(tx: Transaction) -> None:
            _keep_checkpoint(tx, note)
            for identity, (position, proof) in changed.items():
                row = tx.session.get(LogRow, identity)
                assert row is not None
                row.position, row.proof = position, proof

        await desk.run("settle-outbox", settle)
    missing = sum(1 for _, proof in found.values() if proof is None)
    desk.meters.log_queue.set(missing)
    return missing


async def keep_head(desk: Desk) -> None:
    """Remember the newest checkpoint, as at the start of a release that begins to keep them."""
    note = await asyncio.to_thread(desk.log.checkpoint)
    await desk.run("keep-checkpoint", lambda tx: _keep_checkpoint(tx, note))


def _keep_checkpoint(tx: Transaction, note: bytes) -> None:
    """Remember a published checkpoint: whoever saw it can prove later that the log only grew."""
    checkpoint = Checkpoint.parse(Note.parse(note).text)
    row = tx.session.get(CheckpointRow, checkpoint.size)
    if row is None:
        row = CheckpointRow(
            size=checkpoint.size, root=checkpoint.root.hex(), note="", seen_at=tx.now
        )
        tx.session.add(row)
    row.note = note.decode()


def _append_and_prove(
    desk: Desk, rows: list[LogRow]
) -> dict[int | None, tuple[int | None, str | None]]:
    entries = {row.id: LogEntry(Kind(row.kind), Digest(row.digest)).emit() for row in rows}
    new = [row for row in rows if row.position is None]
    positions = {row.id: row.position for row in rows}
    if new:
        for row, index in zip(new, desk.log.append([entries[row.id] for row in new]), strict=True):
            positions[row.id] = index
    else:
        desk.log.tick()
    policy = desk.policy
    found: dict[int | None, tuple[int | None, str | None]] = {}
    for row in rows:
        position = positions[row.id]
        assert position is not None
        proof = desk.log.prove(position)
        try:
            verify_proof(proof, entries[row.id], policy)
        except LogRefused:
            found[row.id] = (position, None)  # witnesses are missing: asked again at next tick
        else:
            found[row.id] = (position, proof.decode())
    return found
