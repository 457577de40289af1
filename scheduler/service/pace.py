"""One turn of everything that moves by itself: idempotent, driven by what is stored.

Each step looks, decides and commits on its own; a crash anywhere leaves a state from which the
next turn goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from scheduler.service import (
    concluding,
    helping,
    keyholding,
    leases,
    moving,
    outbox,
    planning,
    rounds,
)
from scheduler.service.bell import PACE
from scheduler.service.desk import Desk
from scheduler.service.moving import Step
from trust.problem import Problem

_LOG = logging.getLogger("cadastre.scheduler.pace")

# Without a ring a turn is taken this often: leases and deadlines have this resolution.
TURN_SECONDS = 1.0
# A ring may call for further turns (an opening must be logged before its conclude unit moves).
MAXIMUM_TURNS = 8


STEPS: dict[Step, Callable[[Desk], Awaitable[object]]] = {
    Step.TIME: leases.let_time_pass,
    Step.PLANS: planning.plan_rounds,
    Step.LOG: outbox.flush,
    Step.INPUTS: leases.release_inputs,
    Step.ROUNDS: rounds.close_rounds,
    Step.CONCLUSIONS: concluding.settle,
    Step.HELPER: helping.end_all,
    Step.KEYHOLDER: keyholding.end_all,
}


async def turn(desk: Desk) -> Mapping[str, int]:
    """Let everything move that can; returns the rings that it took notice of.

    Raises what the store or the disk refuse.
    """
    heard = desk.bell.heard(PACE)
    for _ in range(MAXIMUM_TURNS):
        heard = desk.bell.heard(PACE)
        due = await moving.steps(desk)
        for step, take in STEPS.items():
            # What one step makes due for another rings for a further turn, or was due before it.
            if step in due:
                await take(desk)
        if not due or desk.bell.heard(PACE) == heard:
            break
    return heard


async def keep_pace(desk: Desk) -> None:
    """Take turns until the bell closes. A failing turn is counted, logged and tried again."""
    desk.turned_at = desk.now()
    while not desk.bell.closed:
        heard = desk.bell.heard(PACE)
        try:
            heard = await turn(desk)
            desk.turned_at = desk.now()
        except Problem as error:
            desk.meters.faults.labels("pace").inc()
            _LOG.error("a turn was refused", extra={"code": error.code, "cause": error.sentence})
            await asyncio.sleep(TURN_SECONDS)
        except Exception:  # noqa: BLE001 - the outermost edge of a loop: counted, logged, tried again
            desk.meters.faults.labels("pace").inc()
            _LOG.exception("a turn failed")
            await asyncio.sleep(TURN_SECONDS)
        await desk.bell.wait(heard, TURN_SECONDS)
