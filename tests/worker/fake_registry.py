"""Governance's memory of ledgers, in memory, behind the agent's port."""

from __future__ import annotations

from dataclasses import dataclass, field

from trust import clock as clocks
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.budget import LedgerCheckpoint, LedgerStanding
from trust.ids import WorkerId
from trust.keys import PrivateKey
from wire.errors import Unreachable


@dataclass
class FakeRegistry:
    """Answers as the registry does; `lose` makes the next answers get lost."""

    key: PrivateKey
    lose: int = 0
    asked: list[LedgerCheckpoint] = field(default_factory=list)
    furthest: dict[WorkerId, LedgerCheckpoint] = field(default_factory=dict)

    async def __call__(self, address: str, body: bytes) -> bytes:
        """One posted checkpoint."""
        assert address.endswith("/checkpoints")
        asked = signed.verify_self_named(LedgerCheckpoint, body, "key")
        self.asked.append(asked.document)
        kept = self.furthest.setdefault(asked.document.worker, asked.document)
        if asked.document.counter > kept.counter:
            kept = self.furthest[asked.document.worker] = asked.document
        if self.lose:
            self.lose -= 1
            raise Unreachable("the answer was lost")
        standing = LedgerStanding(
            territory=asked.document.territory,
            worker=asked.document.worker,
            asked=asked.digest,
            counter=kept.counter,
            head=kept.head,
            answered_at=clocks.from_text(clocks.to_text(SystemClock().now())),
        )
        return signed.sign(standing, [self.key]).envelope.raw
