"""C2SP tlog-proof: the receipt that an entry is in a witnessed log, verified without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trust.errors import LogRefused, Malformed, TooLarge
from trust.log.checkpoint import VerifiedCheckpoint
from trust.log.lines import emit_base64, parse_base64, parse_decimal, parse_hash
from trust.log.note import NOTE_LIMIT
from trust.log.policy import Policy
from trust.log.tree import PROOF_LIMIT, leaf_hash, verify_inclusion

MEDIA_SUFFIX = ".tlog-proof"
EXTRA_LIMIT = 64 * 1024  # bytes of unauthenticated extra data
# Header, extra line in base64, index, hashes and blank line, then the note.
LOG_PROOF_LIMIT = NOTE_LIMIT + 64 + EXTRA_LIMIT * 4 // 3 + PROOF_LIMIT * 45

_HEADER = "c2sp.org/tlog-proof@v1"
_SEAL = object()


@dataclass(frozen=True)
class LogProof:
    """A parsed, not yet verified proof; `extra` is never authenticated."""

    index: int
    hashes: tuple[bytes, ...]
    note: bytes
    extra: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> LogProof:
        """The proof in a `.tlog-proof` file. Raises Malformed, TooLarge."""
        if len(data) > LOG_PROOF_LIMIT:
            raise TooLarge(f"a log proof has at most {LOG_PROOF_LIMIT} bytes, not {len(data)}")
        head, blank, note = data.partition(b"\n\n")
        if not blank:
            raise Malformed("a log proof has no blank line before its checkpoint")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise Malformed("the head of a log proof is not ASCII") from error
        if lines.pop(0) != _HEADER:
            raise Malformed(f"a log proof starts with the line {_HEADER}")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = parse_base64(lines.pop(0).removeprefix("extra "))
            if not 0 < len(extra) <= EXTRA_LIMIT:
                raise Malformed(f"the extra data of a log proof has 1 to {EXTRA_LIMIT} bytes")
        if not lines or not lines[0].startswith("index "):
            raise Malformed("a log proof has no index line")
        index = parse_decimal(lines.pop(0).removeprefix("index "))
        if len(lines) > PROOF_LIMIT:
            raise TooLarge(f"a log proof has at most {PROOF_LIMIT} hashes, not {len(lines)}")
        return cls(index, tuple(parse_hash(line) for line in lines), note, extra)

    def carrying(self, data: bytes) -> LogProof:
        """The same proof with `data` beside it, at most EXTRA_LIMIT bytes. Raises TooLarge."""
        if len(data) > EXTRA_LIMIT:
            raise TooLarge(f"a log proof carries at most {EXTRA_LIMIT} bytes, not {len(data)}")
        return replace(self, extra=data)

    def emit(self) -> bytes:
        """The file; the inverse of `parse`."""
        lines = [_HEADER]
        if self.extra:
            lines.append(f"extra {emit_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(emit_base64(step) for step in self.hashes)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note


@dataclass(frozen=True)
class VerifiedEntry:
    """An entry that is at `index` of the log of `checkpoint`. Made by `verify_one_of` only."""

    index: int
    leaf_hash: bytes
    checkpoint: VerifiedCheckpoint
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("a verified entry is made by verification, never by hand")


def verify_proof(data: bytes, entry: bytes, policy: Policy) -> VerifiedEntry:
    """The proof in `data` that `entry` is logged. Raises Malformed, TooLarge, LogRefused.

    A log may hold other entries that no one asked for: the caller compares the origin when its
    policy names several logs.
    """
    return verify_one_of(data, [entry], policy)[1]


def verify_one_of(
    data: bytes, entries: Sequence[bytes], policy: Policy
) -> tuple[int, VerifiedEntry]:
    """Which of `entries` the proof in `data` shows to be logged, by its number, and its place.

    The signatures are looked at once: a proof that a stranger brought may have many. Raises
    Malformed, TooLarge, LogRefused.
    """
    proof = LogProof.parse(data)
    checkpoint = policy.verify(proof.note)
    head = checkpoint.checkpoint
    refused = LogRefused("the proof is of no entry that was asked for")
    for number, entry in enumerate(entries):
        leaf = leaf_hash(entry)
        try:
            verify_inclusion(leaf, proof.index, head.size, proof.hashes, head.root)
        except LogRefused as error:
            refused = error
        else:
            return number, VerifiedEntry(proof.index, leaf, checkpoint, _SEAL)
    raise refused
