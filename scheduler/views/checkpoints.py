"""The checkpoints that the log published, and the proof that each continues an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import col, select

from scheduler.errors import Unknown
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import CheckpointRow
from scheduler.views import roots
from scheduler.views.slices import Slice
from trust.errors import TrustError
from trust.log.checkpoint import Checkpoint, open_checkpoint
from trust.log.continuation import Continuation, verify_continuation
from trust.log.note import Note
from trust.log.policy import Policy
from trust.log.remote import RemoteTree

_DIGITS = 18


@dataclass(frozen=True)
class Cosigned:
    """A witness whose cosignature holds, and the moment that it states."""

    witness: str
    at: datetime | None  # None for a moment that no calendar has


@dataclass(frozen=True)
class Published:
    """A checkpoint as it was published, with the cosignatures that came to it."""

    size: int
    root: str  # of the tree, hex
    seen_at: datetime
    signed: bool  # whether the log's own signature holds under a root in the log
    cosigned: tuple[Cosigned, ...]
    note: str


@dataclass(frozen=True)
class Growth:
    """A verified step of the log from one published checkpoint to a later one."""

    old: Published
    new: Published
    hashes: tuple[str, ...]  # hex
    file: str  # see trust.log.continuation


def published(desk: Desk, cut: Slice) -> list[Published]:
    """Checkpoints by size."""

    def gather(tx: Transaction) -> list[CheckpointRow]:
        column = CheckpointRow.__table__.c["size"]  # type: ignore[attr-defined]
        return list(tx.session.exec(cut.cut(select(CheckpointRow), [column])))

    rows = desk.store.read("view-checkpoints", gather)
    known = roots.policies(desk)
    return [_published(row, known) for row in rows]


def one(desk: Desk, text: str) -> Published:
    """The checkpoint of a size. Raises Unknown, naming the sizes beside it."""
    return _published(desk.store.read("view-checkpoint", lambda tx: _find(tx, text)),
                      roots.policies(desk))  # fmt: skip


def newest(desk: Desk, many: int = 2) -> list[int]:
    """The largest sizes."""

    def gather(tx: Transaction) -> list[int]:
        query = select(CheckpointRow.size).order_by(col(CheckpointRow.size).desc()).limit(many)
        return list(tx.session.exec(query))

    return desk.store.read("newest-checkpoints", gather)


def growth(desk: Desk, old: str, new: str) -> Growth:
    """The step between two published sizes, made of the log's tiles and then verified.

    Verified by the same code as an auditor's. Raises Unknown, LogRefused.
    """
    first, second = desk.store.read("view-growth", lambda tx: (_find(tx, old), _find(tx, new)))
    if first.size > second.size:
        first, second = second, first
    hashes = tuple(RemoteTree(desk.log.fetch, second.size).consistency(first.size, second.size))
    file = Continuation(first.size, hashes, second.note.encode()).emit()
    known = roots.policies(desk)
    verify_continuation(file, first.note.encode(), known)
    return Growth(
        _published(first, known),
        _published(second, known),
        tuple(one.hex() for one in hashes),
        file.decode(),
    )


def _find(tx: Transaction, text: str) -> CheckpointRow:
    size = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None
    row = None if size is None else tx.session.get(CheckpointRow, size)
    if row is None:
        beside = [] if size is None else _beside(tx, size)
        shown = f": the nearest have {' and '.join(map(str, beside))}" if beside else ""
        raise Unknown(
            f"no checkpoint of {text[:40]!r} entries was published{shown}",
            remedy="choose two sizes of the list of checkpoints",
        )
    return row


def _beside(tx: Transaction, size: int) -> list[int]:
    below = select(CheckpointRow.size).where(col(CheckpointRow.size) < size)
    above = select(CheckpointRow.size).where(col(CheckpointRow.size) > size)
    return [
        *tx.session.exec(below.order_by(col(CheckpointRow.size).desc()).limit(1)),
        *tx.session.exec(above.order_by(col(CheckpointRow.size)).limit(1)),
    ]


def _published(row: CheckpointRow, known: Sequence[Policy]) -> Published:
    logs = list(dict.fromkeys(log.key for policy in known for log in policy.logs))
    witnesses = [one.key for policy in known for one in policy.witnesses.values()]
    try:
        opened = open_checkpoint(row.note.encode(), logs, list(dict.fromkeys(witnesses)))
        said = Checkpoint.parse(Note.parse(row.note.encode()).text)
        signed = (said.size, said.root.hex()) == (row.size, row.root)
        cosigned = {key.name: at for key, at in opened.cosigned.items()}
    except TrustError:
        signed, cosigned = False, {}
    return Published(
        size=row.size,
        root=row.root,
        seen_at=row.seen_at,
        signed=signed,
        cosigned=tuple(Cosigned(name, _moment(at)) for name, at in sorted(cosigned.items())),
        note=row.note,
    )


def _moment(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
