"""That a log only grew from one signed checkpoint to a later one, as a file.

The form is the request body of C2SP tlog-witness add-checkpoint: `old <size>`, the consistency
proof's hashes in base64, a blank line, and the later checkpoint's signed note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trust.errors import LogRefused, Malformed, TooLarge
from trust.log.checkpoint import SignedCheckpoint, open_checkpoint
from trust.log.lines import emit_base64, parse_decimal, parse_hash
from trust.log.note import NOTE_LIMIT
from trust.log.policy import Policy
from trust.log.tree import PROOF_LIMIT, verify_consistency

# The old size line, at most 63 hashes of 44 letters, the blank line, the note.
CONTINUATION_LIMIT = 32 + PROOF_LIMIT * 45 + 1 + NOTE_LIMIT


@dataclass(frozen=True)
class Continuation:
    """A parsed, not yet verified continuation."""

    old_size: int
    hashes: tuple[bytes, ...]
    note: bytes

    @classmethod
    def parse(cls, data: bytes) -> Continuation:
        """The continuation in a file. Raises Malformed, TooLarge."""
        if len(data) > CONTINUATION_LIMIT:
            raise TooLarge(f"it has at most {CONTINUATION_LIMIT} bytes, not {len(data)}")
        head, blank, note = data.partition(b"\n\n")
        if not blank or not head.isascii():
            raise Malformed("it has no blank line after an ASCII head")
        first, *lines = head.decode("ascii").split("\n")
        if not first.startswith("old "):
            raise Malformed("it does not start with `old <size>`")
        if len(lines) > PROOF_LIMIT:
            raise Malformed(f"a proof has at most {PROOF_LIMIT} hashes, not {len(lines)}")
        old_size = parse_decimal(first.removeprefix("old "))
        return cls(old_size, tuple(map(parse_hash, lines)), note)

    def emit(self) -> bytes:
        """The file; the inverse of `parse`."""
        lines = [f"old {self.old_size}", *map(emit_base64, self.hashes), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.note


@dataclass(frozen=True)
class Grown:
    """Two checkpoints of one log, both signed by it, the later one continuing the earlier."""

    old: SignedCheckpoint
    new: SignedCheckpoint


def verify_continuation(data: bytes, old: bytes, policies: Sequence[Policy]) -> Grown:
    """The growth that the file `data` proves from the signed note `old`.

    `policies` name the keys that may have signed: a log or a witness may have changed its key in
    between. No quorum is asked for; `cosigned` of each says which witnesses there were. Raises
    Malformed, TooLarge, LogRefused.
    """
    claimed = Continuation.parse(data)
    logs = list(dict.fromkeys(log.key for policy in policies for log in policy.logs))
    witnesses = [one.key for policy in policies for one in policy.witnesses.values()]
    cosigners = list(dict.fromkeys(witnesses))
    before = open_checkpoint(old, logs, cosigners)
    after = open_checkpoint(claimed.note, logs, cosigners)
    if before.checkpoint.origin != after.checkpoint.origin:
        raise LogRefused(
            f"one checkpoint is of {before.checkpoint.origin!r}, "
            f"the other of {after.checkpoint.origin!r}",
            remedy="give two checkpoints of one log",
        )
    if before.checkpoint.size != claimed.old_size:
        raise LogRefused(
            f"the file continues a log of {claimed.old_size} entries, "
            f"the earlier checkpoint has {before.checkpoint.size}",
            remedy="give the checkpoint of the size that the file's first line names",
        )
    verify_consistency(
        before.checkpoint.size,
        before.checkpoint.root,
        after.checkpoint.size,
        after.checkpoint.root,
        claimed.hashes,
    )
    return Grown(before, after)
