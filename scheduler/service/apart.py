"""Campaigns take their turns one after the other: the trouble of one is its own.

A file that is gone, a vote that no root carries any more, a fault of our own: whatever one
campaign meets is said of it and bounded in time, and the next one has its turn.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from scheduler.domain.reasons import Reason
from scheduler.errors import StoreFailed
from scheduler.service.desk import Desk
from scheduler.service.waiting import wait
from trust.problem import Problem

_LOG = logging.getLogger("cadastre.scheduler.apart")


async def apart(desk: Desk, campaign: str, step: Awaitable[None]) -> None:
    """Let `step` happen to `campaign`. Raises StoreFailed alone: that is everybody's trouble."""
    try:
        await step
    except StoreFailed:
        raise
    except Problem as problem:
        # A disk that refuses everything refuses this, too.
        await wait(desk, campaign, Reason.WAITING_FOR_REPAIR, problem.sentence)
    except Exception as error:  # noqa: BLE001 - a fault of our own: counted, logged, tried again
        desk.meters.faults.labels("campaign").inc()
        _LOG.exception("a campaign's step failed", extra={"campaign": campaign})
        what = f"a fault of the scheduler itself ({type(error).__name__}); its log says more"
        await wait(desk, campaign, Reason.WAITING_FOR_REPAIR, what)
