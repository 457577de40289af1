"""Random histories of appends, failed writes, crashes and restarts: nothing lost or repeated."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from durable.errors import StorageFailed
from scheduler.log.storage import DirectoryStore
from scheduler.log.writer import LogWriter
from trust.clock import ManualClock
from trust.keys import PrivateKey
from trust.log.checkpoint import VerifiedCheckpoint
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.replay import check_log

ORIGIN = "log.example/journal"
KEY = PrivateKey(bytes(32))
POLICY = Policy.parse(f"log {LogKey(ORIGIN, KEY.public)}\nquorum none\n".encode())

numbers = st.lists(st.integers(0, 400), max_size=120)


class Shaky(DirectoryStore):
    """A directory whose next-but-n write fails once, stored or not."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.left = -1
        self.stored = False

    def write(self, path: str, data: bytes) -> None:
        self.left -= 1
        if self.left != -1:
            super().write(path, data)
            self.left = max(self.left, -1)
            return
        self.left = -1
        if self.stored:
            super().write(path, data)
        raise StorageFailed(f"injected at {path}")


class Histories(RuleBasedStateMachine):
    """The model is the list of acknowledged entries; the log may hold more, never fewer."""

    @initialize()
    def start(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
        LogWriter.create(self.directory, KEY, ORIGIN, self.clock)
        self.acknowledged: dict[bytes, int] = {}
        self.earlier: VerifiedCheckpoint | None = None
        self._open()

    def _open(self) -> None:
        self.store = Shaky(self.directory)
        self.writer = LogWriter(self.store, KEY, ORIGIN, self.clock)

    def _append(self, chosen: list[int]) -> None:
        entries = [b"entry %d\n" % number for number in chosen]
        indexes = self.writer.append(entries)
        for entry, index in zip(entries, indexes, strict=True):
            assert self.acknowledged.setdefault(entry, index) == index

    @rule(chosen=numbers)
    def append(self, chosen: list[int]) -> None:
        self._append(chosen)

    @rule(chosen=numbers, fail_at=st.integers(0, 9), stored=st.booleans(), crash=st.booleans())
    def append_while_failing(
        self, chosen: list[int], fail_at: int, stored: bool, crash: bool
    ) -> None:
        self.store.left, self.store.stored = fail_at, stored
        with suppress(StorageFailed):
            self._append(chosen)
        self.store.left = -1
        if crash:
            self.restart()

    @rule()
    def restart(self) -> None:
        self.writer.close()
        self._open()

    @rule(seconds=st.integers(0, 100))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def whole(self) -> None:
        replayed = check_log(self.writer.fetch, POLICY, self.earlier)
        assert len(set(replayed.entries)) == len(replayed.entries)
        for entry, index in self.acknowledged.items():
            assert replayed.entries[index] == entry
        self.earlier = replayed.checkpoint

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
            shutil.rmtree(self.directory)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
