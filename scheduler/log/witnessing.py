"""One witness as the writer sees it: what it has cosigned, and why it is waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.log.cosigners import Cosigner
from scheduler.log.errors import CosignerConflict, CosignerError, CosignerRefused
from trust.clock import Clock, to_text
from trust.errors import LogRefused, Malformed
from trust.log.note import Note, NoteSignature, parse_signatures, verify_note

PAUSE = 10.0  # seconds after a failure during which appends don't wait on the same witness again

ProveFrom = Callable[[int], Sequence[bytes]]
"""The consistency proof from a size to the size that is being cosigned."""


@dataclass(frozen=True)
class Waiting:
    """A witness that has not cosigned the newest checkpoint, since when, and why."""

    witness: str
    since: datetime
    reason: str

    def __str__(self) -> str:
        return f"waiting for witness {self.witness} since {to_text(self.since)}: {self.reason}"


class Seat:
    """A configured witness and what is known of it."""

    def __init__(self, cosigner: Cosigner, clock: Clock) -> None:
        self.key = cosigner.key
        self.waiting: Waiting | None = None
        self._cosigner = cosigner
        self._clock = clock
        # The size it last cosigned, as far as we know: wrong costs one more question, never
        # a wrong answer, so it need not outlive the process.
        self._seen = 0
        self._asked = float("-inf")

    @property
    def rests(self) -> bool:
        """Whether it failed so recently that an append should not wait on it."""
        return self.waiting is not None and self._clock.boottime() - self._asked < PAUSE

    def collect(self, note: Note, size: int, prove_from: ProveFrom) -> list[NoteSignature]:
        """Its valid cosignatures of `note`; none, with `waiting` set, when it gives none."""
        self._asked = self._clock.boottime()
        try:
            lines = self._ask(note, size, prove_from)
            signatures = self._verified(note, lines)
        except CosignerError as error:
            since = self.waiting.since if self.waiting else self._clock.now()
            self.waiting = Waiting(self.key.name, since, error.sentence)
            return []
        self._seen = size
        self.waiting = None
        return signatures

    def _ask(self, note: Note, size: int, prove_from: ProveFrom) -> bytes:
        data = note.emit()
        old = min(self._seen, size)
        try:
            return self._cosigner.cosign(old, prove_from(old), data)
        except CosignerConflict as conflict:
            if conflict.size > size:
                raise CosignerRefused(
                    f"it has seen {conflict.size} entries where this log has {size}: this log "
                    "was restored from an old copy, or the witness is not honest",
                    remedy="restore the newest copy of the log; a shorter log can't be witnessed",
                ) from conflict
            self._seen = conflict.size
            return self._cosigner.cosign(conflict.size, prove_from(conflict.size), data)

    def _verified(self, note: Note, lines: bytes) -> list[NoteSignature]:
        try:
            answered = Note(note.text, parse_signatures(lines))
            # One line is all a witness gets: with more, one of them could fill the note beyond
            # what any reader takes, our own recovery included.
            return [signature for _, signature in verify_note(answered, [self.key])][:1]
        except (Malformed, LogRefused) as error:
            raise CosignerRefused(
                f"it answered without a valid cosignature: {error.sentence}",
                remedy="compare the witness's key with the one in the log policy",
            ) from error
