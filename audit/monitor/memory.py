"""What a monitor remembers between two looks, in one file that is replaced whole.

    {"monitor": "cadastre-monitor-v1", "root": "sha256:…", "note": "…", "frontier": ["…"], …}

A crash leaves the old file or the new one. What a new look found is stored before it is told.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from audit.errors import MonitorStateRefused
from durable.files import make_directory, write_atomic
from trust.errors import TrustError
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.frontier import Frontier
from trust.log.note import Note
from trust.log.tree import EMPTY_ROOT

FORM = "cadastre-monitor-v1"
MAXIMUM_BYTES = 64 << 20


@dataclass
class Seen:
    """A witness: POSIX second and size of its newest cosignature; 0 when there was none yet."""

    time: int = 0
    size: int = 0
    since: int = 0  # watched from then on


@dataclass
class Ahead:
    """A head that others were shown and this monitor was not yet."""

    note: str
    source: str
    since: int  # POSIX second


@dataclass
class Split:
    """Two signed heads of which one log can have one at most. Never forgotten."""

    sentence: str
    notes: list[str]


@dataclass
class Memory:
    """Everything between two looks. `note` is "" before the first head was verified."""

    root: str  # digest of the pinned first root
    note: str = ""
    frontier: list[str] = field(default_factory=list)  # hex
    checked_at: int = 0  # POSIX second
    witnesses: dict[str, Seen] = field(default_factory=dict)  # by vkey
    ahead: list[Ahead] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)

    @property
    def head(self) -> Checkpoint | None:
        """The newest head that was verified, None before the first."""
        return Checkpoint.parse(Note.parse(self.note.encode()).text) if self.note else None

    @property
    def edge(self) -> Frontier:
        """The tree's edge at that head."""
        head = self.head
        return Frontier(head.size if head else 0, [bytes.fromhex(one) for one in self.frontier])

    def emit(self) -> bytes:
        """The file."""
        return json.dumps({"monitor": FORM, **asdict(self)}, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Memory:
        """What a file says. Raises MonitorStateRefused."""
        try:
            found: dict[str, Any] = json.loads(data)
            if found.pop("monitor") != FORM:
                raise MonitorStateRefused("it is of another form")
            made = cls(**found)
            made.witnesses = {name: Seen(**one) for name, one in found["witnesses"].items()}
            made.ahead = [Ahead(**one) for one in found["ahead"]]
            made.splits = [Split(**one) for one in found["splits"]]
            head = made.head
            if made.edge.root() != (head.root if head else EMPTY_ROOT):
                raise MonitorStateRefused("its edge does not lead to its head")
        except (ValueError, TypeError, KeyError, AttributeError, TrustError) as error:
            raise MonitorStateRefused(f"it is damaged: {str(error)[:200]!a}") from error
        return made


def load(path: Path, root: Digest) -> Memory:
    """What is remembered about the territory of `root`. Raises MonitorStateRefused."""
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise MonitorStateRefused(f"{path} has over {MAXIMUM_BYTES} bytes")
        data = path.read_bytes()
    except FileNotFoundError:
        return Memory(str(root))
    except OSError as error:
        raise MonitorStateRefused(f"{path} can't be read: {error.strerror}") from error
    try:
        found = Memory.parse(data)
    except MonitorStateRefused as error:
        raise MonitorStateRefused(f"{path}: {error.sentence}") from error
    if found.root != root:
        raise MonitorStateRefused(
            f"{path} is about the territory of root {found.root}, the policy pins {root}",
            remedy="name a state file for each territory",
        )
    return found


def save(path: Path, memory: Memory) -> None:
    """Replace the file, whole. Raises StorageFailed."""
    make_directory(path.parent)
    write_atomic(path, memory.emit())
