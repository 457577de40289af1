"""The two private records of the log's writer: the lock record and the staged batch."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.log.errors import LogDamaged
from trust.errors import Malformed
from trust.log.lines import parse_decimal
from trust.log.tiles import emit_bundle, parse_bundle

_LOCK_HEADER = "cadastre-log-lock/v1"
_STAGED_HEADER = "cadastre-log-staged/v1"


@dataclass(frozen=True)
class LockRecord:
    """The newest signed state. What it says is the log; everything else is made to agree.

    `note` is the signed checkpoint, `since` the size before its batch, `time` the POSIX second
    it was signed at.
    """

    since: int
    time: int
    note: bytes

    def emit(self) -> bytes:
        """The stored form; the inverse of `parse`."""
        head = f"{_LOCK_HEADER}\nsince {self.since}\ntime {self.time}\n\n"
        return head.encode() + self.note

    @classmethod
    def parse(cls, data: bytes) -> LockRecord:
        """The record in `data`. Raises LogDamaged."""
        (since, time), note = _read(data, _LOCK_HEADER, ("since", "time"))
        return cls(since, time, note)


@dataclass(frozen=True)
class StagedBatch:
    """Entries that are durable and wait to be made part of a log of `since` entries."""

    since: int
    entries: tuple[bytes, ...]

    def emit(self) -> bytes:
        """The stored form; the inverse of `parse`."""
        head = f"{_STAGED_HEADER}\nsince {self.since}\ncount {len(self.entries)}\n\n"
        return head.encode() + emit_bundle(self.entries)

    @classmethod
    def parse(cls, data: bytes) -> StagedBatch:
        """The batch in `data`. Raises LogDamaged."""
        (since, count), body = _read(data, _STAGED_HEADER, ("since", "count"))
        try:
            return cls(since, tuple(parse_bundle(body, count)))
        except Malformed as error:
            raise _damaged(_STAGED_HEADER) from error


def _read(data: bytes, header: str, names: tuple[str, str]) -> tuple[tuple[int, int], bytes]:
    """The two numbers and the body of a record."""
    head, blank, body = data.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    if not blank or len(lines) != 3 or lines[0] != header:
        raise _damaged(header)
    numbers = []
    for name, line in zip(names, lines[1:], strict=True):
        try:
            numbers.append(parse_decimal(line.removeprefix(f"{name} ")))
        except Malformed as error:
            raise _damaged(header) from error
        if not line.startswith(f"{name} "):
            raise _damaged(header)
    return (numbers[0], numbers[1]), body


def _damaged(header: str) -> LogDamaged:
    return LogDamaged(
        f"the record {header} of the log can't be read",
        remedy="a newer release may have written it; otherwise restore the newest backup of the "
        "whole log directory, never of one file of it",
    )
