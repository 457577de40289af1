"""What `cadastre worker status` shows: facts of this machine, for its keeper."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """One snapshot; a new one is written only when something in it changed."""

    worker: str
    level: str  # "" until the first self-test has ended
    level_reasons: tuple[str, ...]  # why it is not higher, and when it is tried again
    capsules: int
    sequence: int
    running: str
    done: int
    total: int
    status_number: int
    waiting: tuple[str, ...]
    ledger: str  # why governance's registry lets nothing be contributed; "" while it does
    problem: str
