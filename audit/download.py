"""Fetching a territory's public evidence over HTTP into a folder, bounded, to audit it there.

Nothing that arrives is believed: sizes and names are bounded here, everything else is the
audit's business. What the publisher does not serve is left out, and the audit says what lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from audit.errors import AuditFailure, DownloadFailed
from audit.evidence import MAXIMUM_FILE_BYTES, EvidenceFolder
from audit.publisher import Publisher
from durable.files import make_directory
from trust import dsse, schema
from trust.documents.references import named_in
from trust.documents.root import Root
from trust.errors import TrustError
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.entry import LogEntry
from trust.log.note import NOTE_LIMIT, Note
from trust.log.policy import Policy
from trust.log.tiles import TILE_WIDTH, Tile, entry_bundles, hash_tiles, parse_bundle
from trust.root import MAXIMUM_CHAIN

MAXIMUM_TOTAL_BYTES = 4 << 30
MAXIMUM_ENTRIES = 1_000_000
MAXIMUM_OBJECTS = 2_000_000


@dataclass
class Fetched:
    """How much was fetched."""

    files: int = 0
    size: int = 0
    missing: list[str] = field(default_factory=list)


def download(url: str, folder: Path) -> Fetched:
    """The evidence that `url` publishes, as a folder that `audit.replay` reads.

    A folder that holds an earlier download keeps its checkpoint below log/checkpoints/, so that
    the audit proves that the log only grew; objects that it has are not fetched again. Raises
    DownloadFailed when the publisher can't be reached, serves no log, or more than an audit takes.
    """
    publisher = Publisher(url)
    try:
        return _Copy(publisher, folder).run()
    finally:
        publisher.close()


class _Copy:
    """One download: roots, log, then every object that something already fetched names."""

    def __init__(self, publisher: Publisher, folder: Path) -> None:
        self._publisher = publisher
        self._folder = folder
        self._fetched = Fetched()
        make_directory(folder)
        self._held = EvidenceFolder(folder)

    def run(self) -> Fetched:
        try:
            # What somebody else put there may be a link: nothing is written through one.
            self._held.files()
        except (AuditFailure, OSError) as error:
            said = error.sentence if isinstance(error, AuditFailure) else error.strerror
            raise DownloadFailed(
                f"{self._folder} is not a copy of evidence: {said}", remedy="name another folder"
            ) from error
        self._roots()
        pending = self._log()
        seen: set[Digest] = set()
        pending += self._index()
        while pending:
            digest = pending.pop()
            if digest in seen:
                continue
            seen.add(digest)
            if len(seen) > MAXIMUM_OBJECTS:
                raise DownloadFailed(f"the evidence has over {MAXIMUM_OBJECTS} objects")
            pending += self._object(digest)
        return self._fetched

    def _roots(self) -> None:
        raw = b""
        for version in range(1, MAXIMUM_CHAIN + 1):
            data = self._optional(f"policy/root-{version}.json")
            if data is None:
                data = self._optional(f"root/{version}.json")
            if data is None:
                break
            raw = data
            if version == 1 and self._kept("policy/root-1.json") not in {None, data}:
                raise DownloadFailed(
                    f"{self._publisher.url} serves another territory root than "
                    f"{self._folder} holds",
                    remedy="name another folder; compare both with the cooperative's paper copy",
                )
            self._keep(f"policy/root-{version}.json", data)
        if not raw:
            raise DownloadFailed(
                f"{self._publisher.url} serves no territory root",
                remedy="give the address of a scheduler's site or of a published evidence folder",
            )
        try:
            root = schema.decode(Root, dsse.Envelope.parse(raw).payload)
        except TrustError as error:
            raise DownloadFailed(f"the newest root can't be read: {error.sentence}") from error
        held = self._kept("policy/log-policy.txt") or b""
        self._policies = (held, root.log_policy.encode())
        self._keep("policy/log-policy.txt", self._policies[1])

    def _log(self) -> list[Digest]:
        note = self._required("log/checkpoint", NOTE_LIMIT)
        self._keep_earlier(note)
        self._keep("log/checkpoint", note)
        try:
            size = Checkpoint.parse(Note.parse(note).text).size
        except TrustError as error:
            raise DownloadFailed(f"the checkpoint can't be read: {error.sentence}") from error
        if size > MAXIMUM_ENTRIES:
            raise DownloadFailed(
                f"the log has {size} entries, a download takes {MAXIMUM_ENTRIES}",
                remedy="copy the evidence folder itself, or use a release that takes longer logs",
            )
        for tile in hash_tiles(size):
            self._keep(f"log/{tile.path}", self._tile(tile)[: 32 * tile.width])
        digests: list[Digest] = []
        for tile in entry_bundles(size):
            data = self._tile(tile)
            try:
                entries = parse_bundle(data, tile.width)
                digests += [LogEntry.parse(entry).digest for entry in entries]
            except TrustError as error:
                raise DownloadFailed(f"{tile.path} can't be read: {error.sentence}") from error
            kept = sum(2 + len(entry) for entry in entries)
            self._keep(f"log/{tile.path}", data[:kept])
        return digests

    def _keep_earlier(self, note: bytes) -> None:
        earlier = self._kept("log/checkpoint")
        if earlier is None or earlier == note:
            return
        for policy in self._policies:
            # One that nobody signed, as anybody on the way could have served it, proves nothing.
            with suppress(TrustError):
                Policy.parse(policy).verify(earlier)
                digest = Digest.of(earlier).removeprefix("sha256:")
                self._keep(f"log/checkpoints/{digest[:16]}", earlier)
                return

    def _tile(self, tile: Tile) -> bytes:
        data = self._optional(f"log/{tile.path}")
        if data is None and tile.width < TILE_WIDTH:
            # The log has grown meanwhile, and the full tile has replaced the partial one.
            data = self._optional(f"log/{tile.full.path}")
        if data is None:
            raise DownloadFailed(f"the log does not serve {tile.path}")
        return data

    def _index(self) -> list[Digest]:
        """Objects that no logged document names, as an author's statement about a bundle."""
        raw = self._optional("objects/index")
        if raw is None:
            return []
        try:
            return [Digest.parse(line) for line in raw.decode("ascii").splitlines()]
        except (TrustError, UnicodeDecodeError) as error:
            raise DownloadFailed("objects/index is not a list of digests") from error

    def _object(self, digest: Digest) -> Iterator[Digest]:
        name = digest.removeprefix("sha256:")
        path = f"objects/sha256/{name[:2]}/{name}"
        held = self._kept(path)
        if held is not None and Digest.of(held) == digest:
            yield from named_in(held)
            return
        fetched = self._optional(path)
        if fetched is None:
            self._fetched.missing.append(digest)
            return
        self._keep(path, fetched)
        yield from named_in(fetched)

    def _kept(self, path: str) -> bytes | None:
        """The file of an earlier download, None where there is none that can be one."""
        try:
            return self._held.read(path)
        except (LookupError, AuditFailure):
            return None

    def _required(self, path: str, limit: int) -> bytes:
        data = self._publisher.get(path, limit)
        if data is None:
            raise DownloadFailed(f"{self._publisher.url} does not serve {path}")
        return data

    def _optional(self, path: str) -> bytes | None:
        return self._publisher.get(path, MAXIMUM_FILE_BYTES)

    def _keep(self, path: str, data: bytes) -> None:
        self._fetched.files += 1
        self._fetched.size += len(data)
        if self._fetched.size > MAXIMUM_TOTAL_BYTES:
            raise DownloadFailed(f"the evidence has over {MAXIMUM_TOTAL_BYTES} bytes")
        target = self._folder / path
        make_directory(target.parent)
        # Not durable on purpose: what a crash loses is fetched again, and the audit looks anyway.
        target.write_bytes(data)
