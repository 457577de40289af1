"""A scheduler that hides a suspension: the real one, but it hears nothing from governance.

Run as its own process by the fault tests: `hiding_scheduler.py STATE HELPER-URL
KEYHOLDER-URL`. It has the real keys.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hasty_scheduler import LIMITS

from scheduler.program import serve
from scheduler.service.standing import Standing
from scheduler.state import State


async def deaf(standing: Standing) -> None:
    """Governance's word does not arrive."""


if __name__ == "__main__":
    Standing.refresh = deaf  # type: ignore[method-assign]
    asyncio.run(serve(State(Path(sys.argv[1])), LIMITS, *sys.argv[2:]))
