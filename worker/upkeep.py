"""What a worker renews by itself: governance's status, its certificate, the root, its journal.

Each is a loop that never returns and never ends another: a failure waits with back-off. They act
through the callables they are given, on whatever identity is in force at that moment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from trust import certificates
from trust.clock import Clock
from trust.entropy import Entropy
from trust.problem import Problem
from worker.exchange import BackOff
from worker.identity import Identity
from worker.journal import Journal

_LOG = logging.getLogger("cadastre.worker")
# A suspension or withdrawal should act within minutes, not within the 24 h that are tolerated.
STATUS_SECONDS = 60.0
# Roots change a few times a year; certificates at half of 24 h.
ROOT_SECONDS = 3600.0
RENEWAL_CHECK_SECONDS = 300.0
# Months are kept; when within the hour something is let go does not matter.
RETENTION_SECONDS = 3600.0

Current = Callable[[], Identity]


async def follow_status(
    current: Current,
    fetch: Callable[[str], Awaitable[bytes]],
    accept: Callable[[bytes], None],
    entropy: Entropy,
) -> None:
    """Fetch governance's status from governance itself, again and again."""
    back_off = BackOff(minimum=2.0, maximum=STATUS_SECONDS)
    while True:
        try:
            accept(await fetch(current().root.document.status_url))
            back_off = back_off.succeeded()
            await asyncio.sleep(STATUS_SECONDS)
        except Problem as problem:
            back_off = back_off.failed()
            _LOG.warning("governance's status: %s", problem)
            await asyncio.sleep(back_off.delay(entropy))


async def keep_certified(
    current: Current, renew: Callable[[], Awaitable[None]], clock: Clock, entropy: Entropy
) -> None:
    """Renew the certificate at half of its life."""
    back_off = BackOff(minimum=30.0, maximum=1800.0)
    while True:
        if clock.now() < certificates.renew_after(current().certificate):
            await asyncio.sleep(RENEWAL_CHECK_SECONDS)
            continue
        try:
            await renew()
            back_off = back_off.succeeded()
        except Problem as problem:
            back_off = back_off.failed()
            _LOG.warning("the certificate could not be renewed: %s", problem)
            await asyncio.sleep(back_off.delay(entropy))


async def follow_root(
    current: Current,
    fetch: Callable[[str, int], Awaitable[bytes | None]],
    rotate: Callable[[bytes], None],
) -> None:
    """Walk to every newer territory root that the scheduler's site serves."""
    while True:
        try:
            following = current().root.document.version + 1
            raw = await fetch(current().names.site_url, following)
            if raw is not None:
                rotate(raw)
                _LOG.info("territory root version %d is in force", following)
                continue
        except Problem as problem:
            _LOG.warning("the next territory root: %s", problem)
        await asyncio.sleep(ROOT_SECONDS)


async def keep_journal_small(journal: Journal, clock: Clock) -> None:
    """Let go of what was acknowledged long ago (`worker.retention`)."""
    while True:
        try:
            retired = journal.prune(clock.now())
            if retired:
                _LOG.info("the journal let go of %d acknowledged reports", retired)
        except Problem as problem:
            _LOG.warning("the journal could not be pruned: %s", problem)
        await asyncio.sleep(RETENTION_SECONDS)
