"""A real writer killed with SIGKILL in the middle of its commits."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.log.writer import LogWriter
from trust.clock import SystemClock
from trust.keys import PrivateKey
from trust.log.checkpoint import VerifiedCheckpoint
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.replay import check_log

ORIGIN = "log.example/journal"
KEY = PrivateKey(bytes(32))
POLICY = Policy.parse(f"log {LogKey(ORIGIN, KEY.public)}\nquorum none\n".encode())
KILLS = 8

WRITER = """
import sys
from pathlib import Path
from scheduler.log.writer import LogWriter
from trust.clock import SystemClock
from trust.keys import PrivateKey
log = LogWriter.open(Path(sys.argv[1]), PrivateKey(bytes(32)), sys.argv[2], SystemClock())
size = log.size
while True:
    log.append([b"%d\\n" % number for number in range(size, size + 50)])
    size += 50
    print(size, flush=True)
"""


@pytest.mark.processes
def test_a_killed_writer_loses_and_repeats_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    LogWriter.create(directory, KEY, ORIGIN, SystemClock())
    earlier: VerifiedCheckpoint | None = None
    acknowledged = 0

    def served(path: str) -> bytes:
        return (directory / "public" / path).read_bytes()

    for kill in range(KILLS):
        arguments = [sys.executable, "-c", WRITER, str(directory), ORIGIN]
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as process:
            assert process.stdout is not None
            for _ in range(random.Random(kill).randint(1, 4)):
                acknowledged = int(process.stdout.readline())
            process.kill()  # it is committing the next batch
            for line in process.stdout:
                acknowledged = int(line)
        # What it had published is whole before anything is repaired, and after.
        earlier = check_log(served, POLICY, earlier).checkpoint
        LogWriter.open(directory, KEY, ORIGIN, SystemClock()).close()
        replayed = check_log(served, POLICY, earlier)
        earlier = replayed.checkpoint
        assert len(replayed.entries) >= acknowledged
        assert list(replayed.entries) == [b"%d\n" % n for n in range(len(replayed.entries))]
