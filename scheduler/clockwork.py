"""APScheduler drives the clocks; every job is a use case that may run again at any time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from scheduler.service import committing, efforts, sweeping
from scheduler.service.bell import PACE
from scheduler.service.desk import Desk
from scheduler.service.exclusion import DenyList
from scheduler.service.standing import Standing
from scheduler.service.transfers import Transfers
from trust.problem import Problem

_LOG = logging.getLogger("cadastre.scheduler.clockwork")

# Leases, deadlines, round closing and missing witnesses are looked at this often.
PACE_SECONDS = 1
STATUS_SECONDS = 30
# Who was excluded from another program (`cadastre scheduler exclude`) is denied after this.
EXCLUSIONS_SECONDS = 5
COMMITMENTS = timedelta(hours=1)
SAMPLE_SECONDS = 60
SWEEP = timedelta(hours=1)
RENEWAL = timedelta(minutes=10)

Job = Callable[[], Awaitable[object]]


def make_clockwork(
    desk: Desk,
    standing: Standing,
    transfers: Transfers,
    deny: DenyList,
    renew: Callable[[], None],
    *,
    sign_out: Callable[[], int] | None = None,
) -> AsyncIOScheduler:
    """All recurring jobs; `renew` replaces the server's own certificate when it is due.

    `sign_out` forgets sessions of the pages that are over, where there are pages.
    """

    async def pace() -> None:
        desk.bell.ring([PACE])

    async def renewal() -> None:
        renew()

    async def sweep() -> None:
        await sweeping.sweep(desk)
        transfers.sweep()
        if sign_out is not None:
            await asyncio.to_thread(sign_out)

    clockwork = AsyncIOScheduler(timezone=UTC)
    jobs: dict[str, tuple[Job, float]] = {
        "pace": (pace, PACE_SECONDS),
        "standing": (standing.refresh, STATUS_SECONDS),
        "commitments": (lambda: committing.commit_waiting(desk), COMMITMENTS.total_seconds()),
        "exclusions": (deny.refresh, EXCLUSIONS_SECONDS),
        "sample": (lambda: efforts.sample(desk), SAMPLE_SECONDS),
        "sweep": (sweep, SWEEP.total_seconds()),
        "renewal": (renewal, RENEWAL.total_seconds()),
    }
    for name, (job, seconds) in jobs.items():
        clockwork.add_job(
            _guarded(desk, name, job),
            "interval",
            seconds=seconds,
            id=name,
            coalesce=True,  # a suspended machine catches up once, not a thousand times
            max_instances=1,
            misfire_grace_time=None,
        )
    return clockwork


def _guarded(desk: Desk, name: str, job: Job) -> Job:
    async def run() -> None:
        try:
            await job()
        except Problem as error:
            desk.meters.faults.labels(name).inc()
            _LOG.error("job refused", extra={"job": name, "code": error.code})
        except Exception:  # noqa: BLE001 - the outermost edge of a job: counted, tried again
            desk.meters.faults.labels(name).inc()
            _LOG.exception("job failed", extra={"job": name})

    return run
