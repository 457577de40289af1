"""The decision to cosign (c2sp.org/tlog-witness): check, remember durably, only then answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

from governance.witness.errors import (
    ClockRefused,
    Inconsistent,
    MemoryRefused,
    OriginUnknown,
    SignatureRefused,
    SizeConflict,
)
from governance.witness.memory import origin_id
from governance.witness.request import AddCheckpoint
from trust.clock import Clock
from trust.errors import LogRefused, Malformed
from trust.keys import PrivateKey
from trust.log.checkpoint import SignedCheckpoint, open_checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.note import LogKey, Note
from trust.log.tree import EMPTY_ROOT, verify_consistency


class Memory(Protocol):
    """Durable memory of the newest cosigned note of each origin."""

    def read(self, origin: str) -> bytes | None:
        """The note last written for `origin`, None if there never was one."""
        ...

    def write(self, origin: str, note: bytes) -> None:
        """Replace the note of `origin`, durably and whole when this returns."""
        ...


class Witness:
    """A witness of some logs. Thread-safe; cosigns one checkpoint at a time.

    `logs` are the keys it trusts, each for the origin that it has as its name.
    """

    def __init__(
        self, name: str, key: PrivateKey, logs: Sequence[LogKey], memory: Memory, clock: Clock
    ) -> None:
        self.key = CosignerKey(name, key.public)
        self._secret = key
        self._logs: dict[str, list[LogKey]] = {}
        for log in logs:
            self._logs.setdefault(log.name, []).append(log)
        self._origins = {origin_id(origin): origin for origin in self._logs}
        self._memory = memory
        self._clock = clock
        # Held from reading the memory until it is written: two requests that were both checked
        # against the same old size would otherwise let the later answer roll back the earlier.
        self._lock = threading.Lock()
        for origin in self._logs:
            self._remembered(origin)  # damaged memory is reported at the start, not at the attack

    def add_checkpoint(self, body: bytes) -> bytes:
        """The cosignature lines for an add-checkpoint request.

        Raises RequestMalformed, OriginUnknown, SignatureRefused, SizeConflict, Inconsistent,
        ClockRefused, MemoryRefused, StorageFailed.
        """
        request = AddCheckpoint.parse(body)
        origin = request.checkpoint.origin
        logs = self._logs.get(origin)
        if logs is None:
            raise OriginUnknown(
                f"this witness does not follow the log {origin[:200]!r}",
                remedy="give its verifier key to the witness's operator",
            )
        try:
            signed = open_checkpoint(request.note, logs)
        except (LogRefused, Malformed) as error:
            raise SignatureRefused(error.sentence, remedy=error.remedy) from error
        with self._lock:
            return self._cosign(request, signed)

    def latest(self, origin_hash: str) -> bytes:
        """The newest cosigned note of the log with this hex SHA-256 of its origin.

        Raises OriginUnknown, MemoryRefused, StorageFailed.
        """
        origin = self._origins.get(origin_hash)
        known = None if origin is None else self._memory.read(origin)
        if known is None:
            raise OriginUnknown(
                "this witness has cosigned no checkpoint of that log",
                remedy="ask again once the log's scheduler runs and this witness follows it",
            )
        return known

    def _cosign(self, request: AddCheckpoint, signed: SignedCheckpoint) -> bytes:
        head = signed.checkpoint
        known = self._remembered(head.origin)
        old_size = known.checkpoint.size if known else 0
        if request.old_size != old_size:
            raise SizeConflict(head.origin, old_size)
        old_root = known.checkpoint.root if known else EMPTY_ROOT
        try:
            verify_consistency(old_size, old_root, head.size, head.root, request.proof)
        except LogRefused as error:
            raise Inconsistent(error.sentence, remedy=error.remedy) from error
        time = int(self._clock.now().timestamp())
        before = known.cosigned[self.key] if known else 0
        if time < before:
            raise ClockRefused(
                f"the clock is {before - time} s before this witness's last cosignature",
                remedy="set the clock right; nothing was cosigned",
            )
        text = head.emit()
        line = cosign(text, self.key.name, self._secret, time)
        # Only the signatures we verified: the rest of what was sent is not ours to repeat.
        signer = (signed.log.name, signed.log.key_id)
        sent = Note.parse(request.note).signatures
        kept = dict.fromkeys(s for s in sent if (s.name, s.key_id) == signer)
        self._memory.write(head.origin, Note(text, (*kept, line)).emit())
        # If we crash here: we remember a cosignature that nobody received. The log asks again
        # with the old size, is told the new one, and gets the same root cosigned then.
        return line.emit().encode()

    def _remembered(self, origin: str) -> SignedCheckpoint | None:
        data = self._memory.read(origin)
        if data is None:
            return None
        try:
            known = open_checkpoint(data, self._logs[origin], [self.key])
        except (LogRefused, Malformed) as error:
            raise _damaged(origin, error.sentence) from error
        if known.checkpoint.origin != origin or self.key not in known.cosigned:
            raise _damaged(origin, "it is not this witness's own cosignature of this log")
        return known


def _damaged(origin: str, what: str) -> MemoryRefused:
    return MemoryRefused(
        f"the memory of the log {origin} can't be believed: {what}",
        remedy="restore the witness's newest backup; never delete the file, that is forgetting",
    )
