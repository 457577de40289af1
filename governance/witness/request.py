"""The body of tlog-witness add-checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from governance.witness.errors import RequestMalformed
from trust.errors import Malformed
from trust.log.checkpoint import Checkpoint
from trust.log.lines import parse_decimal, parse_hash
from trust.log.note import NOTE_LIMIT, Note
from trust.log.tree import PROOF_LIMIT

# The old size line, at most 63 hashes of 44 letters, the blank line, the note.
REQUEST_LIMIT = 32 + PROOF_LIMIT * 45 + 1 + NOTE_LIMIT


@dataclass(frozen=True)
class AddCheckpoint:
    """A parsed request: nothing in it is verified. `checkpoint` is what `note` claims."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """The request in `body`. Raises RequestMalformed."""
        if len(body) > REQUEST_LIMIT:
            raise RequestMalformed(f"a request has at most {REQUEST_LIMIT} bytes, not {len(body)}")
        try:
            old_size, proof, note = _split(body)
            checkpoint = Checkpoint.parse(Note.parse(note).text)
        except Malformed as error:
            raise RequestMalformed(
                f"the request is not of the add-checkpoint form: {error.sentence}",
                remedy="see c2sp.org/tlog-witness",
            ) from error
        if old_size > checkpoint.size:
            raise RequestMalformed(
                f"the old size {old_size} is above the checkpoint's {checkpoint.size}"
            )
        return cls(old_size, proof, note, checkpoint)


def _split(body: bytes) -> tuple[int, tuple[bytes, ...], bytes]:
    """Old size, proof and note of a request. Raises Malformed."""
    head, blank, note = body.partition(b"\n\n")
    if not blank or not head.isascii():
        raise Malformed("it has no blank line after an ASCII head")
    first, *lines = head.decode("ascii").split("\n")
    if not first.startswith("old "):
        raise Malformed("it does not start with `old <size>`")
    if len(lines) > PROOF_LIMIT:
        raise Malformed(f"a proof has at most {PROOF_LIMIT} hashes, not {len(lines)}")
    return parse_decimal(first.removeprefix("old ")), tuple(map(parse_hash, lines)), note
