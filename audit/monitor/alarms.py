"""What a monitor alarms about, in sentences, with what proves it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class AlarmKind(enum.StrEnum):
    """Stable names, for programs that read reports."""

    SPLIT_VIEW = "split-view"  # two heads that no one log can have; both are kept
    MISSING_RANGE = "missing-range"  # entries that are withheld or are not what was signed
    FORGED_HEAD = "forged-head"  # a checkpoint that no key of the log signed
    STALE_WITNESS = "stale-witness"
    CLOCK = "clock"  # this machine's or a witness's clock went back, or is ahead
    ROOT = "root"  # the roots that are served are not those of the pinned first one
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Alarm:
    """One of them. `evidence` are signed notes, verbatim; `names` say where they were kept."""

    kind: AlarmKind
    sentence: str
    evidence: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """How one look ended. `notes` are worth a line and no alarm."""

    log: str
    size: int
    root: str  # hex
    checked_at: str
    alarms: tuple[Alarm, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was wrong."""
        return not self.alarms
