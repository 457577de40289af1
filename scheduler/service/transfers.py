"""Blobs in and out: resumable, checked, readable only by whom they concern."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlmodel import col, func, select

from durable.errors import StorageFailed
from durable.files import make_directory
from scheduler.errors import BlobRefused, QuotaExceeded, Unknown
from scheduler.service import outbox
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import BlobRow
from trust.certificates import Peer, Role
from trust.ids import Digest
from wire.limits import CHUNK_BYTES, MAXIMUM_BLOB_BYTES

# An interrupted transfer is continued within a certificate's life or starts again.
STAGED_LIFE = timedelta(hours=24)


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
        """Take in a blob. Raises BlobRefused, QuotaExceeded, StorageFailed.

        When the stream breaks off what came so far is kept, and `stat` tells how much.
        """
        first = await anext(chunks, None)
        if first is None:
            raise BlobRefused("a put begins with the blob's digest")
        digest = Digest.parse(first.digest)
        await self._require_room(peer)
        path = self._path(peer, digest)
        size = self._append(path, first)
        async for chunk in chunks:
            if chunk.digest not in {"", digest}:
                raise BlobRefused("one put carries one blob")
            size = self._append(path, chunk)
        data = path.read_bytes()
        path.unlink(missing_ok=True)
        if Digest.of(data) != digest:
            raise BlobRefused(
                f"the {size} bytes put have another digest than {digest}",
                remedy="put the blob again from its start",
            )
        await self._desk.run(
            "put-blob",
            lambda tx: outbox.keep_blob(tx, self._desk, data, public=False, giver=peer.name),
        )
        return digest, size

    async def get(self, peer: Peer, digest: Digest, offset: int) -> AsyncIterator[bytes]:
        """The blob from `offset` on, in chunks. Raises Unknown, BlobCorrupted."""
        row = await self._desk.look("find-blob", lambda tx: _readable(tx, peer, digest))
        if row is None:
            # The same answer for "not here" and "not for you": digests are not oracles.
            raise Unknown(f"no blob {digest} for you here", remedy="check the digest and the role")
        data = self._desk.blobs.get(digest)
        if offset > len(data):
            raise BlobRefused(f"the blob has {len(data)} bytes, offset {offset} is behind its end")
        for start in range(offset, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]

    def sweep(self) -> int:
        """Forget unfinished transfers that nobody continued. Returns how many."""
        limit = self._desk.now().timestamp() - STAGED_LIFE.total_seconds()
        old = [path for path in self._staging.iterdir() if path.stat().st_mtime < limit]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _path(self, peer: Peer, digest: Digest) -> Path:
        return self._staging / f"{peer.name}-{digest.removeprefix('sha256:')}"

    def _append(self, path: Path, chunk: Chunk) -> int:
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
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as stream:
                stream.write(chunk.data)
        except OSError as error:
            raise StorageFailed.writing(path, error) from error
        return received + len(chunk.data)

    async def _require_room(self, peer: Peer) -> None:
        def used(tx: Transaction) -> int:
            query = select(func.coalesce(func.sum(BlobRow.size), 0)).where(
                BlobRow.giver == peer.name, col(BlobRow.public).is_(False)
            )
            return int(tx.session.exec(query).one())

        if await self._desk.look("sum-blobs", used) > self._desk.limits.member_blob_bytes:
            raise QuotaExceeded(
                f"{peer.name} has stored its {self._desk.limits.member_blob_bytes} bytes",
                remedy="ask the operator; blobs of ended campaigns are swept",
            )


def _readable(tx: Transaction, peer: Peer, digest: Digest) -> BlobRow | None:
    row = tx.session.get(BlobRow, str(digest))
    if row is None:
        return None
    mine = row.public or row.giver == peer.name or peer.role is Role.AUDITOR
    return row if mine else None
