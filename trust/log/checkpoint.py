"""C2SP tlog-checkpoint: a log's origin, size and root, signed; from bytes to a verified type.

`open_checkpoint` makes a SignedCheckpoint (the log's signature holds), `confirm` makes of it a
VerifiedCheckpoint (the policy's quorum of witnesses holds too). Neither can be built otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trust.errors import LogRefused, Malformed, TooLarge
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey, cosignature_time
from trust.log.lines import emit_base64, parse_decimal, parse_hash
from trust.log.note import LogKey, Note, NoteKey, sign_note, verify_note
from trust.log.tree import EMPTY_ROOT

CHECKPOINT_TEXT_LIMIT = 4096  # bytes of the signed text: origin, size, root, few extensions

_SEAL = object()


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint states, believed or not: the tree head of `origin`."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: bytes) -> Checkpoint:
        """The checkpoint in a note's text. Raises Malformed, TooLarge."""
        if len(text) > CHECKPOINT_TEXT_LIMIT:
            raise TooLarge(f"a checkpoint has at most {CHECKPOINT_TEXT_LIMIT} bytes of text")
        try:
            body = text.decode()
        except UnicodeDecodeError as error:
            raise Malformed("a checkpoint is not valid UTF-8") from error
        if not body.endswith("\n"):
            raise Malformed("a checkpoint does not end with a newline")
        lines = body[:-1].split("\n")
        if len(lines) < 3 or not all(lines):
            raise Malformed("a checkpoint has an origin, a size, a root and no empty line")
        checkpoint = cls(lines[0], parse_decimal(lines[1]), parse_hash(lines[2]), tuple(lines[3:]))
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise Malformed("the root of an empty log is the SHA-256 of nothing")
        return checkpoint

    def emit(self) -> bytes:
        """The note text; the inverse of `parse`."""
        lines = (self.origin, str(self.size), emit_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()

    def signed(self, key: PrivateKey) -> Note:
        """The note with the log's own signature, whose key name is the origin."""
        text = self.emit()
        return Note(text, (sign_note(text, self.origin, key),))


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint that a known key of its log signed, with the known cosignatures on it.

    `cosigned` gives each witness key's newest POSIX time. Made by `open_checkpoint` only.
    """

    checkpoint: Checkpoint
    note: bytes
    log: LogKey
    cosigned: Mapping[CosignerKey, int]
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_seal(self.seal)


@dataclass(frozen=True)
class VerifiedCheckpoint:
    """A signed checkpoint that satisfies a policy's quorum. Made by `confirm` only."""

    checkpoint: Checkpoint
    note: bytes
    log: LogKey
    cosigned: Mapping[CosignerKey, int]
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_seal(self.seal)


class Quorum(Protocol):
    """A rule about which witnesses must have cosigned."""

    def require(self, cosigners: frozenset[CosignerKey]) -> None:
        """Return when these witnesses suffice. Raises LogRefused naming who is missing."""
        ...


def _check_seal(seal: object) -> None:
    if seal is not _SEAL:
        raise TypeError("a verified checkpoint is made by verification, never by hand")


def open_checkpoint(
    data: bytes, logs: Sequence[LogKey], cosigners: Sequence[CosignerKey] = ()
) -> SignedCheckpoint:
    """The checkpoint in a signed note. Raises Malformed, TooLarge, LogRefused.

    The log key that signed must bear the checkpoint's origin as its name, otherwise one log's
    key could speak for another.
    """
    note = Note.parse(data)
    checkpoint = Checkpoint.parse(note.text)
    keys: list[NoteKey] = [*logs, *cosigners]
    signer: LogKey | None = None
    cosigned: dict[CosignerKey, int] = {}
    for key, signature in verify_note(note, keys):
        if isinstance(key, LogKey) and key.name == checkpoint.origin:
            signer = key
        elif isinstance(key, CosignerKey):
            cosigned[key] = max(cosigned.get(key, 0), cosignature_time(signature.payload))
    if signer is None:
        raise LogRefused(
            f"no known key of the log {checkpoint.origin!r} signed its checkpoint",
            remedy="check that the policy names this log",
        )
    return SignedCheckpoint(checkpoint, data, signer, cosigned, _SEAL)


def confirm(signed: SignedCheckpoint, quorum: Quorum) -> VerifiedCheckpoint:
    """`signed` under a quorum rule. Raises LogRefused."""
    quorum.require(frozenset(signed.cosigned))
    return VerifiedCheckpoint(signed.checkpoint, signed.note, signed.log, signed.cosigned, _SEAL)
