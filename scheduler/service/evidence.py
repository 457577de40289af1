"""What an auditor replays: log, public objects, policy; for auditors also the restricted part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlmodel import col, select

from durable.errors import BlobMissing
from scheduler.domain.states import AttemptState
from scheduler.errors import Unknown
from scheduler.service import outbox, shares
from scheduler.service.desk import Desk, Log
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AttemptRow,
    BlobRow,
    CommitmentRow,
    LogRow,
    RestrictedRow,
    RoundRow,
    UnitRow,
)
from trust.certificates import Role
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.lines import HASH_BYTES
from trust.log.note import Note
from trust.log.tiles import (
    TILE_WIDTH,
    Tile,
    emit_bundle,
    entry_bundles,
    hash_tiles,
    parse_bundle,
)

# Digits of an index: the database counts to 2^63, a log never gets there.
_DIGITS = 18


@dataclass(frozen=True)
class EvidenceFile:
    """One file of the evidence directory."""

    path: str
    data: bytes


@dataclass(frozen=True)
class Proof:
    """A logged envelope with its receipt."""

    proof: str
    index: int
    envelope: bytes
    kind: str


async def prove(desk: Desk, entry: str) -> Proof:
    """The proof for an envelope's digest or an index. Raises Unknown, NotLogged."""

    def find(tx: Transaction) -> tuple[LogRow, str]:
        if entry.isascii() and entry.isdecimal():
            if len(entry) > _DIGITS:
                raise _unknown(entry)
            query = select(LogRow).where(LogRow.position == int(entry))
        else:
            query = select(LogRow).where(LogRow.digest == Digest.parse(entry))
        row = tx.session.exec(query).first()
        if row is None:
            raise _unknown(entry)
        return row, outbox.proof_of(tx, row.digest)

    row, proof = await desk.look("find-proof", find)
    return Proof(proof, row.position or 0, desk.blobs.get(Digest(row.digest)), row.kind)


def _unknown(entry: str) -> Unknown:
    return Unknown(
        f"nothing in the log is called {entry[:80]!r}",
        remedy="give an envelope's digest or an index below the checkpoint's size",
    )


async def export(
    desk: Desk, role: Role, campaign: str, *, roots: Sequence[bytes]
) -> AsyncIterator[EvidenceFile]:
    """Every file, the checkpoint first: all that it covers was stored before it was signed.

    The log may grow meanwhile: of it only what that checkpoint covers is exported.
    """
    checkpoint = await asyncio.to_thread(desk.log.checkpoint)
    yield EvidenceFile("log/checkpoint", checkpoint)
    size = Checkpoint.parse(Note.parse(checkpoint).text).size
    for tile in (*hash_tiles(size), *entry_bundles(size)):
        yield EvidenceFile(f"log/{tile.path}", await asyncio.to_thread(exact_tile, desk.log, tile))
    for version, raw in enumerate(roots, start=1):
        yield EvidenceFile(f"policy/root-{version}.json", raw)
    yield EvidenceFile("policy/log-policy.txt", desk.root.document.log_policy.encode())
    # A conclusion's result is public and named by an attempt: each object goes once.
    public = set(await desk.look("list-public-blobs", _public))
    for digest in sorted(public):
        async for file in _object(desk, digest):
            yield file
    if role is Role.AUDITOR:
        async for file in _restricted(desk, campaign, size, public):
            yield file


async def _restricted(
    desk: Desk, campaign: str, size: int, sent: set[str]
) -> AsyncIterator[EvidenceFile]:
    """Lists behind commitments that the checkpoint of `size` covers, and their documents."""

    def commitments(tx: Transaction) -> list[CommitmentRow]:
        logged = select(LogRow.digest).where(col(LogRow.position) < size)
        query = select(CommitmentRow).where(col(CommitmentRow.digest).in_(logged))
        if campaign:
            query = query.where(
                (col(CommitmentRow.campaign) == campaign) | col(CommitmentRow.campaign).is_(None)
            )
        return list(tx.session.exec(query.order_by(col(CommitmentRow.created_at))))

    def documents(tx: Transaction, commitment: str) -> list[tuple[str, bytes]]:
        query = select(RestrictedRow.digest, RestrictedRow.envelope)
        query = query.where(RestrictedRow.commitment == commitment)
        return [(digest, envelope) for digest, envelope in tx.session.exec(query)]

    for row in await desk.look("list-commitments", commitments):
        # Lists of one campaign or of consents are many: each is named after its commitment too.
        name = f"{row.campaign or 'all'}-{row.digest.removeprefix('sha256:')[:16]}"
        yield EvidenceFile(f"restricted/{row.kind}-{name}.json", row.leaves)
        found = await desk.look(
            "list-restricted",
            lambda tx, row=row: documents(tx, row.digest),  # type: ignore[misc]
        )
        for digest, envelope in found:
            if digest not in sent:
                sent.add(digest)
                yield EvidenceFile("restricted/" + _object_path(digest), envelope)
    values = await desk.look("list-values", lambda tx: _values(tx, campaign))
    lists = await desk.look("list-accepted", lambda tx: _accept_lists(tx, campaign))
    for digest in (*values, *lists):
        if digest not in sent:
            sent.add(digest)
            async for file in _object(desk, digest, "restricted/"):
                yield file


def exact_tile(log: Log, tile: Tile) -> bytes:
    """The tile at exactly its width, cut from the full one where that has replaced it."""
    try:
        return log.fetch(tile.path)
    except LookupError:
        full = log.fetch(tile.full.path)
    if tile.level is None:
        return emit_bundle(parse_bundle(full, TILE_WIDTH)[: tile.width])
    return full[: tile.width * HASH_BYTES]


def _public(tx: Transaction) -> list[str]:
    query = select(BlobRow.digest).where(col(BlobRow.public).is_(True)).order_by(BlobRow.digest)
    return list(tx.session.exec(query))


def _values(tx: Transaction, campaign: str) -> list[str]:
    query = (
        select(AttemptRow.values_digest)
        .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
        .where(
            AttemptRow.state == AttemptState.ACCEPTED.value,
            col(AttemptRow.values_digest).is_not(None),
            # One worker's share and the helper's answer in one hand would open that worker's sum.
            col(AttemptRow.values_digest).not_in(shares.single_shares()),
        )
        .distinct()
    )
    if campaign:
        query = query.where(UnitRow.campaign == campaign)
    return [digest for digest in tx.session.exec(query) if digest]


def _accept_lists(tx: Transaction, campaign: str) -> list[str]:
    """Helper's and keyholder's answers: why an acknowledged report is not in its batch."""
    query = select(RoundRow.accepted, RoundRow.examined)
    if campaign:
        query = query.where(RoundRow.campaign == campaign)
    return [digest for pair in tx.session.exec(query) for digest in pair if digest]


async def _object(desk: Desk, digest: str, prefix: str = "") -> AsyncIterator[EvidenceFile]:
    # A blob that is gone is left out: the audit names what lacks it.
    with suppress(BlobMissing):
        data = await asyncio.to_thread(desk.blobs.get, Digest(digest))
        yield EvidenceFile(prefix + _object_path(digest), data)


def _object_path(digest: str) -> str:
    name = digest.removeprefix("sha256:")
    return f"objects/sha256/{name[:2]}/{name}"
