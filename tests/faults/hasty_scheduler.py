"""The real scheduler with a shorter back-off, so that a test of many kills ends today.

Run as its own process by the fault tests: `hasty_scheduler.py STATE HELPER-URL KEYHOLDER-URL`.
Nothing else differs.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from scheduler.domain.backoff import BackOff
from scheduler.program import serve
from scheduler.service.desk import Limits
from scheduler.state import State

LIMITS = Limits(
    heartbeat=5.0,
    back_off=BackOff(timedelta(seconds=1), timedelta(seconds=4)),
    # A unit may be hit by every kill of its campaign and by the restarts that they cause.
    maximum_attempts=12,
    patience=timedelta(seconds=1),
)

if __name__ == "__main__":
    asyncio.run(serve(State(Path(sys.argv[1])), LIMITS, *sys.argv[2:]))
