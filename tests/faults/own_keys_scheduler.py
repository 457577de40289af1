"""A scheduler that serves its own keys: the real one with keys that the territory never certified.

Run as its own process by the fault tests: `own_keys_scheduler.py STATE next|first`. It signs
orders with a key of its own and offers a root that lists it: as the successor of the real one
(`next`), or in the real one's place (`first`). Certificates stay the real authority's, or nobody
would listen to it at all.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hasty_scheduler import LIMITS

from scheduler.program import serve
from scheduler.state import State
from trust.documents import signed
from trust.documents.root import Duty, DutyKeys
from trust.entropy import SYSTEM
from trust.keys import PrivateKey
from trust.root import TrustedRoot

FORGED = PrivateKey.generate(SYSTEM)


class ForgedState(State):
    """The state directory with other keys and another root than the ceremony's."""

    mode = "next"

    def orders_key(self) -> PrivateKey:
        return FORGED

    def roots(self) -> list[bytes]:
        real = super().roots()
        mine = DutyKeys((FORGED.public,), 1)
        document = self.trusted_root().document
        forged = replace(
            document,
            version=len(real) + 1 if self.mode == "next" else 1,
            duties={**document.duties, Duty.ROOT: mine, Duty.ORDERS: mine},
        )
        raw = signed.sign(forged, [FORGED]).envelope.raw
        return [*real, raw] if self.mode == "next" else [raw]

    def trusted_root(self) -> TrustedRoot:
        return State(self.folder).trusted_root()


if __name__ == "__main__":
    state = ForgedState(Path(sys.argv[1]))
    state.mode = sys.argv[2]
    asyncio.run(serve(state, LIMITS))
