"""Why a ready unit is not at work, as things stand now: derived when it is read, never stored.

What keeps it is its worker's affair and changes without any event of the unit: a worker falls
silent by saying nothing. A stored sentence would go on saying what was true once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.backoff import Quota
from scheduler.domain.planning import silence
from scheduler.domain.reasons import Reason, sentence


@dataclass(frozen=True)
class Asker:
    """A worker, as far as it decides whether its ready units are leased at its next exchange."""

    last_seen: datetime | None
    slots: int  # attempts that it can start now
    quota: Quota  # as of today
    contributes: bool
    draining: bool  # by its keeper
    drained: bool  # by an operator
    banned: bool


def unleased(asker: Asker | None, now: datetime) -> tuple[Reason, str]:
    """The code and the sentence of what a ready unit waits for.

    `asker` is the unit's worker, None where any that concludes may take it. Never NONE: where
    nothing stands in the way, the unit waits until its worker asks.
    """
    if asker is None:
        return _said(Reason.WAITING_FOR_CONCLUDER)
    if asker.banned:
        return _said(Reason.WORKER_BANNED)
    if (gone := silence(asker.last_seen, now)) is not None:
        return gone
    if asker.draining or asker.drained:
        return _said(Reason.WORKER_DRAINING if asker.draining else Reason.WORKER_DRAINED)
    if not asker.contributes:
        return _said(Reason.WORKER_DOES_NOT_CONTRIBUTE)
    if asker.quota.left == 0:
        return _said(Reason.WORKER_QUOTA, quota=asker.quota.daily)
    return _said(Reason.WAITING_FOR_SLOT if asker.slots == 0 else Reason.WAITING_FOR_REQUEST)


def _said(reason: Reason, **details: object) -> tuple[Reason, str]:
    return reason, sentence(reason, **details)
