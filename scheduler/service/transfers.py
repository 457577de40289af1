"""Blobs in and out: resumable, checked, readable only by whom they concern."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import bindparam
from sqlmodel import col, func, select

from durable.blobs import BlobFolder
from durable.errors import StorageFailed
from durable.files import make_directory
from scheduler.errors import BlobRefused, QuotaExceeded, Unknown
from scheduler.service import deposits, outbox, shares
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import BlobRow
from trust.certificates import Peer, Role
from trust.ids import Digest
from wire.limits import CHUNK_BYTES, MAXIMUM_BLOB_BYTES

# An interrupted transfer is continued within a certificate's life or starts again.
STAGED_LIFE = timedelta(hours=24)
# Far more than one connection's streams ever leave behind: more is somebody filling the disk.
MAXIMUM_UNFINISHED = 64
# A staged file is called `<member>-<64 hex digits>`.
_NAME_END = -65
BLOB_MODE = 0o644  # as the folder writes its own
_STORED = select(func.coalesce(func.sum(BlobRow.size), 0)).where(
    col(BlobRow.giver) == bindparam("giver"), col(BlobRow.public).is_(False)
)


@dataclass(frozen=True)
class Chunk:
    """One piece of a blob on its way in; the first one names it."""

    digest: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class BlobState:
    """What is here of a blob, for one caller."""

    stored: bool
    received: int
    size: int


class Transfers:
    """Puts and gets; unfinished puts wait in `staging`, one file per caller and digest."""

    def __init__(self, desk: Desk, staging: Path) -> None:
        self._desk = desk
        self._staging = staging
        make_directory(staging)

    async def stat(self, peer: Peer, digest: Digest) -> BlobState:
        """Whether the caller may read it already, or how much of it the caller has put."""
        row = await self._desk.look("stat-blob", lambda tx: _readable(tx, peer, digest))
        if row is not None and self._desk.blobs.has(digest):
            return BlobState(stored=True, received=0, size=row.size)
        path = self._path(peer, digest)
        received = path.stat().st_size if path.exists() else 0
        return BlobState(stored=False, received=received, size=0)

    async def put(self, peer: Peer, chunks: AsyncIterator[Chunk]) -> tuple[Digest, int]:
        """Take in a blob. Raises BlobRefused, QuotaExceeded, ValuesNotDue, StorageFailed.

        When the stream breaks off what came so far is kept, and `stat` tells how much.
        """
        first = await anext(chunks, None)
        if first is None:
            raise BlobRefused("a put begins with the blob's digest")
        digest = Digest.parse(first.digest)
        path = self._path(peer, digest)
        # Before a byte is kept, and once more in the transaction that keeps them.
        here, room = await self._desk.look("may-put", lambda tx: self._asked(tx, peer, digest))
        if here is not None:
            return digest, here
        self._append(peer, path, first, room)
        async for chunk in chunks:
            if chunk.digest not in {"", digest}:
                raise BlobRefused("one put carries one blob")
            self._append(peer, path, chunk, room)
        taken, size = await asyncio.to_thread(_taken, path, digest)

        def settle(tx: Transaction) -> None:
            _require_room(tx, self._desk, peer, digest, size)
            self._desk.blobs.adopt(taken, digest)
            outbox.register_blob(tx, digest, size, public=False, giver=peer.name)

        try:
            await self._desk.run("put-blob", settle)
        finally:
            # Filed by now, unless it was refused: then the caller puts it again, or never.
            taken.unlink(missing_ok=True)
        return digest, size

    def _asked(self, tx: Transaction, peer: Peer, digest: Digest) -> tuple[int | None, int]:
        """The size of the blob where the caller may read it already, else None; and the room."""
        row = _readable(tx, peer, digest)
        if row is not None and self._desk.blobs.has(digest):
            return row.size, 0
        return None, _room(tx, self._desk, peer)

    async def get(self, peer: Peer, digest: Digest, offset: int) -> AsyncIterator[bytes]:
        """The blob from `offset` on, in chunks. Raises Unknown, BlobCorrupted.

        It is checked whole before its first byte leaves, then read piece by piece: a slow reader
        holds a chunk in memory, never a blob.
        """
        row = await self._desk.look("find-blob", lambda tx: _readable(tx, peer, digest))
        if row is None:
            # The same answer for "not here" and "not for you": digests are not oracles.
            raise Unknown(f"no blob {digest} for you here", remedy="check the digest and the role")
        size = await asyncio.to_thread(_checked_size, self._desk.blobs, digest)
        if offset > size:
            raise BlobRefused(f"the blob has {size} bytes, offset {offset} is behind its end")
        with self._desk.blobs.path(digest).open("rb") as stream:
            stream.seek(offset)
            while data := stream.read(CHUNK_BYTES):
                yield data

    def sweep(self) -> int:
        """Forget unfinished transfers that nobody continued. Returns how many."""
        limit = self._desk.now().timestamp() - STAGED_LIFE.total_seconds()
        old = [path for path in self._staging.iterdir() if path.stat().st_mtime < limit]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _path(self, peer: Peer, digest: Digest) -> Path:
        return self._staging / f"{peer.name}-{digest.removeprefix('sha256:')}"

    def _append(self, peer: Peer, path: Path, chunk: Chunk, room: int) -> None:
        received = path.stat().st_size if path.exists() else 0
        if chunk.offset != received:
            raise BlobRefused(
                f"the chunk starts at {chunk.offset}, {received} bytes are here",
                remedy="ask Stat how much was received and continue from there",
            )
        if len(chunk.data) > CHUNK_BYTES or received + len(chunk.data) > MAXIMUM_BLOB_BYTES:
            raise BlobRefused(
                f"a chunk has at most {CHUNK_BYTES} bytes, a blob {MAXIMUM_BLOB_BYTES}"
            )
        # Looked at for every chunk: a member's other streams write at the same time.
        staged = self._staged(peer)
        if sum(staged.values()) + len(chunk.data) > room:
            path.unlink(missing_ok=True)  # it will not be continued
            raise _full(self._desk, peer)
        if path not in staged and len(staged) >= MAXIMUM_UNFINISHED:
            raise QuotaExceeded(
                f"{peer.name} has {len(staged)} transfers that never ended",
                remedy=f"continue those; they are forgotten after {STAGED_LIFE}",
            )
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as stream:
                stream.write(chunk.data)
        except OSError as error:
            raise StorageFailed.writing(path, error) from error

    def _staged(self, peer: Peer) -> dict[Path, int]:
        """The unfinished transfers of one member, and how many bytes each has."""
        found: dict[Path, int] = {}
        for path in self._staging.iterdir():
            # One that ends meanwhile needs no room any more.
            with suppress(FileNotFoundError):
                if path.name[:_NAME_END] == peer.name:
                    found[path] = path.stat().st_size
        return found


def keep(tx: Transaction, desk: Desk, peer: Peer, data: bytes) -> None:
    """Store what `peer` gave, where it may. Raises QuotaExceeded, ValuesNotDue, StorageFailed."""
    digest = Digest.of(data)
    # One that is known already keeps its readers; its bytes may have been lost, and are here again.
    is_new = tx.session.get(BlobRow, digest) is None
    if is_new and _room(tx, desk, peer) < len(data):
        raise _full(desk, peer)
    desk.blobs.put(data)
    if is_new:
        row = BlobRow(
            digest=digest, size=len(data), public=False, giver=peer.name, created_at=tx.now
        )
        tx.session.add(row)


def _require_room(tx: Transaction, desk: Desk, peer: Peer, digest: Digest, size: int) -> None:
    if tx.session.get(BlobRow, digest) is None and _room(tx, desk, peer) < size:
        raise _full(desk, peer)


def _room(tx: Transaction, desk: Desk, peer: Peer) -> int:
    """Bytes that `peer` may still leave. Raises QuotaExceeded, ValuesNotDue."""
    if peer.role is Role.WORKER:
        deposits.require_due(tx, peer.name)
    stored = tx.session.exec(_STORED, params={"giver": peer.name}).one()
    room = desk.limits.member_blob_bytes - int(stored)
    if room < 0:
        raise _full(desk, peer)
    return room


def _full(desk: Desk, peer: Peer) -> QuotaExceeded:
    return QuotaExceeded(
        f"{peer.name} has stored its {desk.limits.member_blob_bytes} bytes",
        remedy="ask the operator; blobs of ended campaigns are swept",
    )


def _taken(path: Path, digest: Digest) -> tuple[Path, int]:
    """The staged bytes, durable, under a name that nobody appends to, and how many they are.

    Raises BlobRefused, StorageFailed. If we crash here the caller puts them again, and the sweep
    forgets these.
    """
    taken = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.rename(taken)
    except FileNotFoundError as error:
        raise BlobRefused(
            "another put of the same blob by the same member ended first",
            remedy="ask Stat whether it is stored",
        ) from error
    try:
        with taken.open("rb") as stream:
            found, size = hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
            os.fchmod(stream.fileno(), BLOB_MODE)
            os.fsync(stream.fileno())
    except OSError as error:
        raise StorageFailed.writing(taken, error) from error
    if f"sha256:{found}" != digest:
        taken.unlink(missing_ok=True)
        raise BlobRefused(
            f"the {size} bytes put have another digest than {digest}",
            remedy="put the blob again from its start",
        )
    return taken, size


def _checked_size(blobs: BlobFolder, digest: Digest) -> int:
    """The size of a blob whose bytes are those of its name. Raises BlobMissing, BlobCorrupted."""
    try:
        with blobs.path(digest).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError:
        return len(blobs.get(digest))  # says what is wrong
    return size if f"sha256:{found}" == digest else len(blobs.get(digest))


def _readable(tx: Transaction, peer: Peer, digest: Digest) -> BlobRow | None:
    row = tx.session.get(BlobRow, str(digest))
    if row is None:
        return None
    mine = row.public or row.giver == peer.name
    if not mine and peer.role is Role.AUDITOR:
        query = select(BlobRow.digest).where(
            BlobRow.digest == row.digest, col(BlobRow.digest).not_in(shares.single_shares())
        )
        mine = tx.session.exec(query).first() is not None
    return row if mine else None
