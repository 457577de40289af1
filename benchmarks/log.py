"""The log's writer on a real disk, and how fast its evidence is replayed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from audit.speed import entries_per_second, synthetic
from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.house import SCRATCH
from scheduler.log.writer import LogWriter
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from trust.keys import PrivateKey
from trust.log.entry import Kind, LogEntry
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.replay import check_log

BATCH = 1000
ORIGIN = "log.bench.example"
_US = 1e6


def append(*, quick: bool) -> list[Figure]:
    """Append durable batches to a log that grows, then replay it from its files."""
    key, clock = PrivateKey.generate(SYSTEM), SystemClock()
    seconds, rates = [], []
    rounds = 3 if quick else 20
    with tempfile.TemporaryDirectory(prefix="cadastre-bench-", dir=SCRATCH) as home:
        directory = Path(home) / "log"
        LogWriter.create(directory, key, ORIGIN, clock)
        writer = LogWriter.open(directory, key, ORIGIN, clock)
        try:
            for number in range(rounds):
                entries = [
                    LogEntry.of(Kind.PLAN, b"%d/%d" % (number, line)).emit()
                    for line in range(BATCH)
                ]
                started = time.perf_counter()
                writer.append(entries)
                seconds.append(time.perf_counter() - started)
        finally:
            writer.close()
        policy = Policy.parse(f"log {LogKey(ORIGIN, key.public)}\nquorum none\n".encode())
        for _ in range(3):
            started = time.perf_counter()
            check_log(lambda path: (directory / "public" / path).read_bytes(), policy)
            rates.append(rounds * BATCH / (time.perf_counter() - started))
    return [
        figures.median(
            "log.append_us",
            [_US * taken / BATCH for taken in seconds],
            f"per entry, in batches of {BATCH}: durable, signed and published when it returns",
        ),
        figures.median(
            "log.check_entries_per_second",
            rates,
            f"every tile and entry of that log of {rounds * BATCH} entries, from its files",
        ),
    ]


def audit(*, quick: bool) -> list[Figure]:
    """The whole audit over a log of signed documents."""
    entries = 500 if quick else 5000
    evidence = synthetic(entries, SYSTEM, SystemClock().now().replace(microsecond=0))
    rates = [entries_per_second(evidence) for _ in range(1 if quick else 5)]
    return [
        figures.median(
            "audit.entries_per_second",
            rates,
            f"the whole audit of {entries} logged, signed enrolments held in memory",
        )
    ]
