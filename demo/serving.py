"""`SERVE=1`: after the story its territory stays up: pages, a campaign to start, a unit to be late.

The worker that is switched off is a real one, at the moment when it has real work to do.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from demo.steps import Steps

FALLS_SILENT = 1  # the number of the worker that is switched off, from 0
LOOK_SECONDS = 0.5
ASK_SECONDS = 10.0


class Serving:
    """What stays up, and what happens there."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def play(self) -> None:
        """Until somebody ends it: ends with KeyboardInterrupt alone."""
        grid, say = self._steps.grid, self._steps.tell.say
        shutil.copy(grid.root, self._steps.out / "root.json")
        where = grid.invite("operator", "visite")
        say(f"  up   the pages of the scheduler; this address signs an operator in, once: {where}")
        worker = grid.workers[FALLS_SILENT].name
        if name := self._steps.startable:
            say(f"  try  start {name} there; {worker} is switched off as soon as it has work, and")
            say(
                "       its unit is late. Follow it to the log, take the receipt of its plan, then:"
            )
        else:
            say(
                "  try  every campaign that was voted has run. Take a receipt out of the log, then:"
            )
        say("       .venv/bin/cadastre audit proof receipt-….tlog-proof --root demo-out/root.json")
        say("       Ctrl-C ends everything")
        pages = urlsplit(where).netloc
        self._wait_for_work(pages)
        grid.processes.stop(worker)
        say(
            f"  off  {worker} was switched off: something is late now, the campaign's page says why"
        )
        while True:
            time.sleep(ASK_SECONDS)

    def _wait_for_work(self, pages: str) -> None:
        """Until the public log has a plan more than now: a round's work is handed out."""
        known: int | None = None
        while True:
            seen = newest_plan(pages, self._steps.tell.detail)
            if known is None:
                known = seen
            elif seen is not None and seen > known:
                return
            time.sleep(LOOK_SECONDS)


def newest_plan(pages: str, note: Callable[[str], None]) -> int | None:
    """The place of the newest plan in the public log of the pages at `host:port`.

    -1 where there is none; None where nobody answers, which `note` is told.
    """
    connection = HTTPConnection(pages, timeout=ASK_SECONDS)
    try:
        connection.request("GET", "/api/v1/log?kind=plan")
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        note(f"the pages did not answer: {error}")
        return None
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        note(f"the pages answered {answer.status}: {found}")
        return None
    return max((int(one["index"]) for one in found["items"]), default=-1)
