"""Fetching a territory's public evidence over HTTP into a folder, bounded, to audit it there.

Nothing that arrives is believed: sizes and names are bounded here, everything else is the
audit's business. What the publisher does not serve is left out, and the audit says what lacks.
"""

from __future__ import annotations

import http.client
import io
import json
import math
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from audit.errors import AuditFailure, DownloadFailed
from audit.evidence import MAXIMUM_FILE_BYTES, EvidenceFolder
from durable.files import make_directory
from trust import dsse, schema
from trust.documents.aggregation import AggregateShare, BatchCommitment
from trust.documents.campaign import Opening, Plan, Release
from trust.documents.custody import AggregateOpened, EpochKey
from trust.documents.governance import Authorisation
from trust.documents.reporting import Conclusion
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
REQUEST_TIMEOUT = 30.0  # seconds without a byte
FILE_TIMEOUT = 900.0  # a file of 64 MiB over a line of 0.6 Mbit/s
TOTAL_TIMEOUT = 6 * 3600.0
_ATTEMPTS = 3
_REFERENCES: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    Authorisation.TYPE: (Authorisation, ("bundle",)),
    Plan.TYPE: (Plan, ("bundle", "parameters", "helper", "epoch")),
    BatchCommitment.TYPE: (BatchCommitment, ("helper", "batch")),
    AggregateShare.TYPE: (AggregateShare, ("values",)),
    Opening.TYPE: (Opening, ("batch", "aggregate", "shares")),
    EpochKey.TYPE: (EpochKey, ("public", "trustees")),
    AggregateOpened.TYPE: (AggregateOpened, ("values", "leader", "helper")),
    Release.TYPE: (Release, ("report", "conclusion")),
    Conclusion.TYPE: (Conclusion, ("result",)),
}


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
    site = _Site(url)
    try:
        return _Copy(site, folder).run()
    finally:
        site.close()


class _Copy:
    """One download: roots, log, then every object that something already fetched names."""

    def __init__(self, site: _Site, folder: Path) -> None:
        self._site = site
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
                    f"{self._site.url} serves another territory root than {self._folder} holds",
                    remedy="name another folder; compare both with the cooperative's paper copy",
                )
            self._keep(f"policy/root-{version}.json", data)
        if not raw:
            raise DownloadFailed(
                f"{self._site.url} serves no territory root",
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
            yield from _named_in(held)
            return
        fetched = self._optional(path)
        if fetched is None:
            self._fetched.missing.append(digest)
            return
        self._keep(path, fetched)
        yield from _named_in(fetched)

    def _kept(self, path: str) -> bytes | None:
        """The file of an earlier download, None where there is none that can be one."""
        try:
            return self._held.read(path)
        except (LookupError, AuditFailure):
            return None

    def _required(self, path: str, limit: int) -> bytes:
        data = self._site.get(path, limit)
        if data is None:
            raise DownloadFailed(f"{self._site.url} does not serve {path}")
        return data

    def _optional(self, path: str) -> bytes | None:
        return self._site.get(path, MAXIMUM_FILE_BYTES)

    def _keep(self, path: str, data: bytes) -> None:
        self._fetched.files += 1
        self._fetched.size += len(data)
        if self._fetched.size > MAXIMUM_TOTAL_BYTES:
            raise DownloadFailed(f"the evidence has over {MAXIMUM_TOTAL_BYTES} bytes")
        target = self._folder / path
        make_directory(target.parent)
        # Not durable on purpose: what a crash loses is fetched again, and the audit looks anyway.
        target.write_bytes(data)


class _Site:
    """GET below one address, over one connection that is opened again when it breaks."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").encode("idna").decode(), parts.port
            sound = parts.scheme in {"http", "https"} and host and parts.path.isascii()
        except ValueError:
            sound = False
        if not sound or parts.query:
            raise DownloadFailed(
                f"{url!a} is not an http(s) address", remedy="write it like https://host/path"
            )
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else (http.client.HTTPConnection)
        )
        self._connection = kind(host, port, timeout=REQUEST_TIMEOUT)
        self._deadline = time.monotonic() + TOTAL_TIMEOUT

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str, limit: int) -> bytes | None:
        """The file at `path`, None where the site says 404. Redirects are not followed."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._get(path, limit)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if attempt == _ATTEMPTS - 1:
                    # A server chooses some of these words.
                    said = f"{type(error).__name__}: {str(error)[:200]!a}"
                    raise DownloadFailed(
                        f"{self.url} does not answer: {said}", remedy="check the address; retry"
                    ) from error
        return None

    def _get(self, path: str, limit: int) -> bytes | None:
        if time.monotonic() > self._deadline:
            raise DownloadFailed(
                "the download took too long",
                remedy="run `cadastre audit fetch` again into that folder: it keeps what it has",
            )
        line = self._line()
        line.deadline = time.monotonic() + FILE_TIMEOUT
        self._connection.request("GET", f"{self._prefix}/{path}")
        with self._connection.getresponse() as answer:
            return self._body(answer, path, limit)

    def _line(self) -> _Line:
        line = self._connection.sock
        if not isinstance(line, _Line):
            self._connection.connect()
            line = self._connection.sock = _Line(self._connection.sock)
        return line

    def _body(self, answer: http.client.HTTPResponse, path: str, limit: int) -> bytes | None:
        if answer.status != http.client.OK:
            self._connection.close()  # with whatever else it wanted to say
            if answer.status == http.client.NOT_FOUND:
                return None
            raise DownloadFailed(f"{self.url}/{path} answers {answer.status}")
        data = answer.read(limit + 1)
        if len(data) > limit:
            raise DownloadFailed(f"{self.url}/{path} has over {limit} bytes")
        # Asked for an amount, http.client gives a body that was cut short without a word.
        if answer.length:
            raise http.client.IncompleteRead(data, answer.length)
        return data


class _Line:
    """What http.client needs of a socket, with a deadline for a whole answer.

    A byte now and then, or "100 Continue" for ever, never meets a socket's own timeout.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self.deadline = math.inf
        self.readers = 0
        self.closed = False

    def sendall(self, data: bytes) -> None:
        self.connected.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close the socket, after the last reader of an answer that is still read."""
        self.closed = True
        if not self.readers:
            self.connected.close()


class _Reader(io.RawIOBase):
    def __init__(self, line: _Line) -> None:
        self._line = line
        line.readers += 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._line.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long over one file")
        self._line.connected.settimeout(min(REQUEST_TIMEOUT, left))
        return self._line.connected.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._line.readers -= 1
            if self._line.closed:
                self._line.close()
        super().close()


def _named_in(data: bytes) -> Iterator[Digest]:
    """The digests that an envelope of ours names; none for anything else."""
    try:
        envelope = dsse.Envelope.parse(data)
        cls, names = _REFERENCES.get(envelope.payload_type, (None, ()))
        if cls is None:
            return
        document = schema.decode(cls, envelope.payload)
    except (TrustError, json.JSONDecodeError):
        return
    if isinstance(document, AggregateShare) and _private(document):
        return
    for name in names:
        named: Digest | tuple[Digest, ...] | None = getattr(document, name)
        if isinstance(named, tuple):
            yield from named
        elif named is not None:
            yield named


def _private(share: AggregateShare) -> bool:
    """Whether its sum has no noise, as under `encrypted`: nobody publishes that, nobody asks."""
    return all(variance == "0" for variance in share.variances.values())
