"""The signed log: a page of its entries, and one beside its raw bytes, signers and proof.

Everything here is public: the entries, the documents that they name, the checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlmodel import col, select

from durable.errors import BlobMissing
from scheduler.errors import Unknown
from scheduler.service.desk import Desk
from scheduler.service.finding import bundle_by, campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, BundleRow, CampaignRow, LogRow
from scheduler.views import roots
from scheduler.views.slices import Slice
from trust import dsse
from trust.errors import TooLarge, TrustError
from trust.ids import Digest
from trust.keys import PublicKey
from trust.log.checkpoint import Checkpoint
from trust.log.entry import Kind, LogEntry
from trust.log.note import Note
from trust.log.proof import LogProof
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


# What a line shows: a proof takes kilobytes, and of it a line says only whether it is there.
_LINES = sqlalchemy.select(
    col(LogRow.position),
    col(LogRow.kind),
    col(LogRow.digest),
    col(LogRow.campaign),
    col(LogRow.proof).is_not(None),
).where(col(LogRow.position).is_not(None))


@dataclass(frozen=True)
class Signer:
    """A key whose signature on the document holds, with its duty under a root of the log."""

    key: str
    duty: str
    root: int  # version of the root that counted when the entry was made: see `_signers`
    needed: int  # how many keys of the duty have to sign under that root


@dataclass(frozen=True)
class Vote:
    """The college's decision that an entry rests on, with what became of it."""

    authorisation: str
    index: int | None  # its own entry
    title: str
    purpose: str
    not_before: datetime
    not_after: datetime
    suspended_at: datetime | None
    suspended_because: str | None
    bundle: str
    name: str  # of the bundle
    version: str
    author: str
    fingerprint: str


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
    vote: Vote | None
    proof: str | None
    head: Head


def receipt(found: EntryDetail) -> bytes | None:
    """Proof and signed document in one `.tlog-proof`; None while one is missing or too large."""
    if found.proof is None or not found.envelope:
        return None
    try:
        return LogProof.parse(found.proof.encode()).carrying(found.envelope.encode()).emit()
    except TooLarge:
        return None


def lines(
    desk: Desk,
    cut: Slice,
    *,
    kind: str = "",
    campaign: str = "",
    digest: str = "",
    bundle: str = "",
) -> list[Line]:
    """Entries by index; all but `kind` take a beginning. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> list[Line]:
        query = _LINES
        if kind:
            query = query.where(col(LogRow.kind) == kind)
        if campaign:
            query = query.where(col(LogRow.campaign) == campaign_by(tx, campaign).id)
        if bundle:
            query = query.where(col(LogRow.bundle) == bundle_by(tx, bundle).digest)
        if digest:
            head = "sha256:" + digest.removeprefix("sha256:")
            if len(head) < len("sha256:") + _PREFIX:
                raise Unknown(
                    f"{digest[:80]!r} is too little of a document's digest",
                    remedy=f"give {_PREFIX} letters of it or more",
                )
            query = query.where(col(LogRow.digest) >= head, col(LogRow.digest) < head + "\x7f")
        column = LogRow.__table__.c["position"]  # type: ignore[attr-defined]
        found = tx.session.exec(cut.cut(query, [column], few=bool(digest)))
        return [Line(*row) for row in found]

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

    def look(tx: Transaction) -> tuple[LogRow, list[tuple[int, str]]]:
        return _find(tx, text), roots.places(tx)

    row, chain = desk.store.read("view-entry", look)
    named = LogEntry(Kind(row.kind), Digest(row.digest))
    try:
        raw = desk.blobs.get(Digest(row.digest))
        envelope = dsse.Envelope.parse(raw)
        payload = json.loads(envelope.payload)
    except (BlobMissing, TrustError, ValueError):
        raw, envelope, payload = b"", None, {}
    vote = desk.store.read("view-entry-vote", lambda tx: _vote(tx, row, payload))
    return EntryDetail(
        line=_line(row),
        raw=named.emit().decode(),
        leaf=leaf_hash(named.emit()).hex(),
        payload_type="" if envelope is None else envelope.payload_type,
        payload=payload if isinstance(payload, dict) else {},
        envelope=raw.decode("utf-8", "replace"),
        signers=() if envelope is None else _signers(desk, envelope, chain, _line(row).index),
        vote=vote,
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


def _vote(tx: Transaction, row: LogRow, payload: object) -> Vote | None:
    """The decision that an entry rests on: its campaign's, or the one that it is or ends.

    Which one a suspension ends, of all those about its bundle, its document alone says.
    """
    if row.campaign is not None:
        run = tx.session.get(CampaignRow, row.campaign)
        held = None if run is None else tx.session.get(AuthorisationRow, run.authorisation)
    elif row.kind == Kind.SUSPENSION:
        ends = payload.get("authorisation") if isinstance(payload, dict) else None
        held = tx.session.get(AuthorisationRow, str(ends))
    elif row.bundle is not None:
        query = select(AuthorisationRow).where(AuthorisationRow.bundle == row.bundle)
        if row.kind == Kind.AUTHORISATION:
            query = query.where(AuthorisationRow.digest == row.digest)
        query = query.order_by(col(AuthorisationRow.received_at).desc()).limit(1)
        held = tx.session.exec(query).first()
    else:
        return None
    bundle = None if held is None else tx.session.get(BundleRow, held.bundle)
    if held is None or bundle is None:
        return None
    place = select(LogRow.position).where(LogRow.digest == held.digest).limit(1)
    return Vote(
        authorisation=held.id,
        index=tx.session.exec(place).first(),
        title=held.title,
        purpose=held.purpose,
        not_before=held.not_before,
        not_after=held.not_after,
        suspended_at=held.suspended_at,
        suspended_because=held.suspended_because,
        bundle=bundle.digest,
        name=bundle.name,
        version=bundle.version,
        author=bundle.author,
        fingerprint=bundle.fingerprint,
    )


def _signers(
    desk: Desk, envelope: dsse.Envelope, chain: Sequence[tuple[int, str]], index: int
) -> tuple[Signer, ...]:
    """Whose keys signed, among those that any root in the log lists.

    A key's duty is told under the newest root logged at or before the entry that lists it: that
    one counted then, whatever was rotated since. Where none had been logged yet, the next one.
    """
    before = [digest for place, digest in chain if place <= index]
    behind = [digest for place, digest in chain if place > index]
    later = [*roots.documents(desk, behind), desk.root.document]
    known: dict[PublicKey, Signer] = {}
    for document in (*reversed(later), *roots.documents(desk, before)):
        for duty, held in document.duties.items():
            for key in held.keys:
                known[key] = Signer(str(key), duty.value, document.version, held.threshold)
    try:
        verified = dsse.verify(envelope, envelope.payload_type, tuple(known), threshold=1)
    except TrustError:
        return ()
    return tuple(known[key] for key in sorted(verified.signers, key=str))
