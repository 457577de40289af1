"""The body of tlog-witness add-checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from governance.witness.errors import RequestMalformed
from trust.errors import Malformed
from trust.log.checkpoint import Checkpoint
from trust.log.continuation import CONTINUATION_LIMIT, Continuation
from trust.log.note import Note

REQUEST_LIMIT = CONTINUATION_LIMIT


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
            asked = Continuation.parse(body)
            checkpoint = Checkpoint.parse(Note.parse(asked.note).text)
        except Malformed as error:
            raise RequestMalformed(
                f"the request is not of the add-checkpoint form: {error.sentence}",
                remedy="see c2sp.org/tlog-witness",
            ) from error
        if asked.old_size > checkpoint.size:
            raise RequestMalformed(
                f"the old size {asked.old_size} is above the checkpoint's {checkpoint.size}"
            )
        return cls(asked.old_size, asked.hashes, asked.note, checkpoint)
