"""The signed log: a page of its entries, and one beside its raw bytes, signers and proof.

Everything here is public: the entries, the documents that they name, the checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import col, select

from durable.errors import BlobMissing
from scheduler.errors import Unknown
from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import LogRow
from scheduler.views.slices import Slice
from trust import dsse
from trust.errors import TrustError
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.entry import Kind, LogEntry
from trust.log.note import Note
from trust.log.tree import leaf_hash

_DIGITS = 18  # of an index: the database counts to 2^63
_PREFIX = 8  # letters of a digest that a search needs


@dataclass(frozen=True)
class Line:
    """An entry's line."""

    index: int
    kind: str
    digest: str
    campaign: str | None
    proven: bool


@dataclass(frozen=True)
class Signer:
    """A key whose signature on the document holds; `duty` as the territory's root names it."""

    key: str
    duty: str


@dataclass(frozen=True)
class Head:
    """The newest checkpoint, as it was signed."""

    size: int
    root: str  # of the tree, hex
    note: str
    cosigners: tuple[str, ...]  # names on its signature lines after the log's own


@dataclass(frozen=True)
class EntryDetail:
    """An entry and the document it names. `payload` is empty when the document is gone."""

    line: Line
    raw: str  # the entry's one line
    leaf: str  # its hash in the tree, hex
    payload_type: str
    payload: Mapping[str, Any]
    envelope: str
    signers: tuple[Signer, ...]
    proof: str | None
    head: Head


def lines(
    desk: Desk, cut: Slice, *, kind: str = "", campaign: str = "", digest: str = ""
) -> list[Line]:
    """Entries by index; `campaign` and `digest` take a beginning. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> list[Line]:
        query = select(LogRow).where(col(LogRow.position).is_not(None))
        if kind:
            query = query.where(LogRow.kind == kind)
        if campaign:
            query = query.where(LogRow.campaign == campaign_by(tx, campaign).id)
        if digest:
            head = "sha256:" + digest.removeprefix("sha256:")
            # Found by digest first: in the order of positions the whole log would be read.
            named = select(LogRow.id).where(
                col(LogRow.digest) >= head, col(LogRow.digest) < head + "\x7f"
            )
            query = query.where(col(LogRow.id).in_(named))
        column = LogRow.__table__.c["position"]  # type: ignore[attr-defined]
        return [_line(row) for row in tx.session.exec(cut.cut(query, [column]))]

    return desk.store.read("view-log", gather)


def head(desk: Desk) -> Head:
    """The newest checkpoint."""
    raw = desk.log.checkpoint()
    note = Note.parse(raw)
    checkpoint = Checkpoint.parse(note.text)
    return Head(
        checkpoint.size,
        checkpoint.root.hex(),
        raw.decode(),
        tuple(dict.fromkeys(one.name for one in note.signatures if one.name != checkpoint.origin)),
    )


def entry(desk: Desk, text: str) -> EntryDetail:
    """The entry at an index, or of a document's digest or its beginning. Raises Unknown."""
    row = desk.store.read("view-entry", lambda tx: _find(tx, text))
    named = LogEntry(Kind(row.kind), Digest(row.digest))
    try:
        raw = desk.blobs.get(Digest(row.digest))
        envelope = dsse.Envelope.parse(raw)
        payload = json.loads(envelope.payload)
    except (BlobMissing, TrustError, ValueError):
        raw, envelope, payload = b"", None, {}
    return EntryDetail(
        line=_line(row),
        raw=named.emit().decode(),
        leaf=leaf_hash(named.emit()).hex(),
        payload_type="" if envelope is None else envelope.payload_type,
        payload=payload if isinstance(payload, dict) else {},
        envelope=raw.decode("utf-8", "replace"),
        signers=() if envelope is None else _signers(desk, envelope),
        proof=row.proof,
        head=head(desk),
    )


def _find(tx: Transaction, text: str) -> LogRow:
    query = select(LogRow).where(col(LogRow.position).is_not(None))
    tail = text.removeprefix("sha256:")
    found: list[LogRow] = []
    if text.isascii() and text.isdecimal() and len(text) <= _DIGITS:
        found = list(tx.session.exec(query.where(LogRow.position == int(text)).limit(1)))
    elif tail.isascii() and tail.isalnum() and _PREFIX <= len(tail) <= 64:
        start = f"sha256:{tail}"
        query = query.where(col(LogRow.digest) >= start, col(LogRow.digest) < start + "\x7f")
        found = list(tx.session.exec(query.limit(2)))
    if len(found) != 1:
        raise Unknown(
            f"nothing in the log is called {text[:80]!r}",
            remedy="give an index below the checkpoint's size, or more of a document's digest",
        )
    return found[0]


def _line(row: LogRow) -> Line:
    assert row.position is not None
    return Line(row.position, row.kind, row.digest, row.campaign, row.proof is not None)


def _signers(desk: Desk, envelope: dsse.Envelope) -> tuple[Signer, ...]:
    """Whose keys signed, among those that the territory's root lists."""
    duties = {
        key: duty.value for duty, held in desk.root.document.duties.items() for key in held.keys
    }
    try:
        verified = dsse.verify(envelope, envelope.payload_type, tuple(duties), threshold=1)
    except TrustError:
        return ()
    return tuple(Signer(str(key), duties[key]) for key in sorted(verified.signers, key=str))
