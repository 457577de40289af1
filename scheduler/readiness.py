"""What keeps a scheduler from working, as sentences for `/readyz`: alive is not yet ready.

Causes only, never who: no worker, person or campaign is named here, since everybody may ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from shutil import disk_usage
from typing import Protocol

from scheduler.service.desk import Desk
from trust.clock import to_text

# A turn is taken every second; whatever lasts longer than this is stuck and not slow.
STUCK = timedelta(seconds=60)
# Below this a commit, a log entry or a member's blob may not fit any more.
LEAST_FREE_BYTES = 256 * 1024**2


class Witnesses(Protocol):
    """Who is waited for; a LogWriter is one. Each says itself as a sentence."""

    def waiting(self) -> Sequence[object]: ...


def trouble(desk: Desk, log: Witnesses, folder: Path) -> list[str]:
    """What an operator should see to; empty when the scheduler is ready."""
    found = [str(waiting) for waiting in log.waiting()]
    now = desk.now()
    if desk.store.clock.leaping:
        found.append("the machine's clock leapt ahead and is not believed yet")
    if now >= desk.root.document.expires_at:
        found.append("the territory root has expired")
    if desk.turned_at is not None and now - desk.turned_at > STUCK:
        since = to_text(desk.turned_at)
        found.append(f"nothing has moved since {since}: the scheduler's own log says why")
    if disk_usage(folder).free < LEAST_FREE_BYTES:
        found.append(f"less than {LEAST_FREE_BYTES >> 20} MiB are free where the state lies")
    return found
