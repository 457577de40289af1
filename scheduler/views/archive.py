"""All the evidence that an audit of one campaign needs, as one archive: bounded and the same twice.

It is the log up to the first witnessed checkpoint that covers the campaign's last entry, with
every document that the log names up to there and whatever public these name. An audit replays the
log whole, since a campaign stands on votes and roots that were logged before it; so other
campaigns of the time are in it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from sqlmodel import col, select

from durable import ustar
from durable.errors import DurableError
from scheduler.errors import ArchiveTooLarge, NotLogged, Unknown
from scheduler.service.desk import Desk
from scheduler.service.evidence import exact_tile
from scheduler.service.finding import campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import BlobRow, BundleRow, CheckpointRow, LogRow
from scheduler.views import roots
from trust.documents.references import named_in
from trust.errors import TrustError
from trust.ids import Digest
from trust.log.entry import Kind
from trust.log.policy import Policy
from trust.log.tiles import entry_bundles, hash_tiles

LARGEST = 1 << 30  # bytes of an archive; more is fetched file by file
_TRIED = 32  # checkpoints that are asked for their quorum
_MANY = 500  # digests of one query


@dataclass(frozen=True)
class Part:
    """A file of the archive."""

    path: str
    size: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Archive:
    """What goes in, in order; nothing but sizes was kept of it."""

    campaign: str
    entries: int  # of the log
    note: str  # the checkpoint that covers them
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """What the file is called."""
        return f"evidence-{self.campaign}-{self.entries}.tar"

    @property
    def length(self) -> int:
        """Bytes of the whole file."""
        return ustar.length([part.size for part in self.parts])

    def stream(self) -> Iterator[bytes]:
        """The file, a part at a time. Raises NotLogged when something has gone meanwhile."""
        for part in self.parts:
            data = part.read()
            if len(data) != part.size:
                raise NotLogged(
                    f"{part.path} changed while it was read", remedy="download the archive again"
                )
            yield ustar.header(part.path, part.size)
            yield data
            yield ustar.padding(part.size)
        yield ustar.END


def plan(desk: Desk, prefix: str, largest: int = LARGEST) -> Archive:
    """The archive of a campaign. Raises Unknown, Ambiguous, NotLogged, ArchiveTooLarge."""

    def look(tx: Transaction) -> tuple[str, int, list[CheckpointRow]]:
        campaign = campaign_by(tx, prefix).id
        query = select(LogRow.position).where(
            LogRow.campaign == campaign, col(LogRow.position).is_not(None)
        )
        last = tx.session.exec(query.order_by(col(LogRow.position).desc()).limit(1)).first()
        if last is None:
            raise Unknown(
                f"the log has nothing of the campaign {prefix[:80]!r} yet",
                remedy="wait until its first round is planned",
            )
        later = select(CheckpointRow).where(col(CheckpointRow.size) > last)
        heads = list(tx.session.exec(later.order_by(col(CheckpointRow.size)).limit(_TRIED)))
        return campaign, last, heads

    campaign, last, heads = desk.store.read("plan-archive", look)
    head, chain = _witnessed(desk, heads, last)
    note = head.note.encode()
    parts = [_given("log/checkpoint", note)]
    for tile in (*hash_tiles(head.size), *entry_bundles(head.size)):
        read = partial(exact_tile, desk.log, tile)
        parts.append(Part(f"log/{tile.path}", len(read()), read))
    for number, digest in enumerate(chain, start=1):
        parts.append(_given(f"policy/root-{number}.json", desk.blobs.get(Digest(digest))))
    newest = next(roots.documents(desk, chain[-1:]))
    parts.append(_given("policy/log-policy.txt", newest.log_policy.encode()))
    total = sum(part.size for part in parts)
    for digest, size in _objects(desk, head.size):
        total += size
        if total > largest:
            raise ArchiveTooLarge(f"the evidence up to this campaign has over {largest} bytes")
        tail = digest.removeprefix("sha256:")
        path = f"objects/sha256/{tail[:2]}/{tail}"
        parts.append(Part(path, size, partial(desk.blobs.get, digest)))
    parts.sort(key=lambda part: part.path)
    return Archive(campaign, head.size, head.note, tuple(parts))


def _given(path: str, data: bytes) -> Part:
    return Part(path, len(data), lambda: data)


def _witnessed(
    desk: Desk, heads: Iterable[CheckpointRow], last: int
) -> tuple[CheckpointRow, list[str]]:
    """The first head with a quorum of the root of its time, and the digests of its roots."""
    for head in heads:
        chain = desk.store.read("archive-roots", lambda tx, head=head: _roots(tx, head.size))  # type: ignore[misc]
        for root in roots.documents(desk, chain[-1:]):
            try:
                Policy.parse(root.log_policy.encode()).verify(head.note.encode())
            except TrustError:
                continue
            return head, chain
    raise NotLogged(
        f"no kept checkpoint that covers entry {last} has enough cosignatures",
        remedy="wait for the witnesses; the first page names who is missing",
    )


def _roots(tx: Transaction, size: int) -> list[str]:
    query = select(LogRow.digest).where(LogRow.kind == Kind.ROOT.value, col(LogRow.position) < size)
    return list(tx.session.exec(query.order_by(col(LogRow.position))))


def _objects(desk: Desk, size: int) -> Iterator[tuple[Digest, int]]:
    """Every public object that the first `size` entries lead to, and its bytes."""

    def logged(tx: Transaction) -> list[Digest]:
        query = select(LogRow.digest).where(col(LogRow.position) < size)
        found = tx.session.exec(query.order_by(col(LogRow.position)))
        return [Digest(digest) for digest in found]

    seen: set[Digest] = set()
    pending = desk.store.read("archive-entries", logged)
    while pending:
        fresh = [digest for digest in dict.fromkeys(pending) if digest not in seen]
        seen.update(fresh)
        pending = []
        for at in range(0, len(fresh), _MANY):
            some = fresh[at : at + _MANY]
            rows = desk.store.read("archive-objects", lambda tx, some=some: _public(tx, some))  # type: ignore[misc]
            for digest, length, statement in rows:
                yield digest, length
                pending += [statement] if statement else []
                pending += _named(desk, digest)


def _public(tx: Transaction, some: list[Digest]) -> list[tuple[Digest, int, Digest | None]]:
    """Of these, the public ones; with a bundle's archive goes its author's statement."""
    query = select(BlobRow.digest, BlobRow.size, BundleRow.statement)
    query = query.join(BundleRow, col(BundleRow.digest) == col(BlobRow.digest), isouter=True)
    query = query.where(col(BlobRow.digest).in_(some), col(BlobRow.public).is_(True))
    found = {
        Digest(digest): (size, Digest(statement) if statement else None)
        for digest, size, statement in tx.session.exec(query)
    }
    return [(digest, *found[digest]) for digest in some if digest in found]


def _named(desk: Desk, digest: Digest) -> Iterator[Digest]:
    try:
        yield from named_in(desk.blobs.get(digest))
    except DurableError:
        return  # its absence shows when it is streamed
