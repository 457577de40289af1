"""Privacy budgets between a worker and governance's registry: caps, and who stands how far.

A worker's ledger is a file, and a file can be put back. The registry keeps the furthest point
that each ledger was ever said to have reached; before and after every charge the worker asks it,
and contributes nothing while it knows of a further point than the ledger at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import ClassVar

from trust.ids import Digest, WorkerId
from trust.keys import PublicKey

# What one owner may spend on one worker, for ever: zCDP adds up. By epsilon = rho + 2 sqrt(rho ln
# 1/delta) (Bun and Steinke 2016, proposition 1.3) rho = 1 is at most epsilon = 8.5 at delta = 1e-6.
LEDGER_CAP = Fraction(1)
# What one owner's consents may open in a territory, for ever: three hosts, each with a ledger of
# its own. By the same proposition rho = 3 is at most epsilon = 16 at delta = 1e-6.
OWNER_CAP = Fraction(3)
# A counter is an SQL integer: a million links a second stay below this for a century.
MAXIMUM_COUNTER = 2**53
NONCE_BYTES = 16
# One status address serves both: what is said is posted beside the file that is read.
CHECKPOINTS_PATH = "/checkpoints"


@dataclass(frozen=True)
class LedgerCheckpoint:
    """A worker says how far its privacy ledger has grown; signed by its node key."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.ledger-checkpoint.v1+json"

    territory: str
    worker: WorkerId
    key: PublicKey  # the node's; the worker's id is derived from it
    counter: int
    head: Digest  # the ledger chain's hash at `counter`
    nonce: bytes  # NONCE_BYTES, so that no earlier answer fits this question
    made_at: datetime


@dataclass(frozen=True)
class LedgerStanding:
    """The registry's signed answer: the furthest point that it ever kept for this worker.

    Where it is the point that was asked about, the ledger is the newest copy; else it is an
    older one, or one that went its own way.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.ledger-standing.v1+json"

    territory: str
    worker: WorkerId
    asked: Digest  # of the checkpoint's envelope
    counter: int
    head: Digest
    answered_at: datetime
