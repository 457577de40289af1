"""A campaign under `encrypted`, played by keyholder and trustees: sums that nobody opens alone.

The keyholder's operator holds the ceremony, workers encrypt under its key, helper and keyholder
see half of what an opening takes, and three trustees of five have to want it.
"""

from __future__ import annotations

from typing import Any

from demo.steps import OVER, Steps
from loopback.territory import TRUSTEES, TRUSTEES_NEEDED
from trust.documents.custody import AggregateOpened, EpochKey, ShareReturned
from trust.documents.reporting import Partial

CAME = (1, 3, 5)  # the trustees who come; the others need not


class Custody:
    """From the campaign's start to its release."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def play(self, name: str) -> tuple[str, dict[str, Any]]:
        """One campaign of the bundle `name`: its id and its report."""
        tell, grid = self._steps.tell, self._steps.grid
        campaign = self._steps.start(name)
        waits = self._steps.until(campaign, "ceremony")
        made = grid.hold_ceremony(campaign)
        tell.check(
            "the campaign waits until its key is made and shared among trustees, then workers "
            "encrypt",
            held=waits_for(waits, "ceremony") and made["trustees"] == _needed(),
            seen=f"{made['trustees']} open it",
        )
        self._open(campaign)
        report = self._steps.finish(campaign)
        self._tell_secrecy(campaign)
        return campaign, report

    def _open(self, campaign: str) -> None:
        """Two trustees, who are not enough, then the third."""
        grid, tell = self._steps.grid, self._steps.tell
        self._steps.until(campaign, "trustees")
        *first, last = CAME
        came = [grid.contribute(number) for number in first]
        view = self._steps.until(campaign, "trustees")
        came.append(grid.contribute(last))
        tell.check(
            "two trustees open nothing; the third opens it",
            held=came == [1, 2, 3] and waits_for(view, "trustees"),
            seen=f"{len(came)} of {TRUSTEES} came",
        )

    def _tell_secrecy(self, campaign: str) -> None:
        steps = self._steps
        partials = steps.statements(campaign, Partial)
        given = steps.statements(campaign, ShareReturned)
        opened = steps.statements(campaign, AggregateOpened)
        keys = steps.statements(campaign, EpochKey)
        steps.tell.check(
            "nobody could see any sum before its noise: scheduler masked ciphertexts, helper "
            "masks, trustees a share each",
            held=steps.halved(campaign, partials)
            and len(keys) == len(opened) == 1
            and len(given) == len(CAME),
            seen=f"{len(partials)} ciphertexts added blind, opened once by {len(given)} shares",
        )


def waits_for(view: dict[str, Any], word: str) -> bool:
    """Whether a campaign that is not over gives a reason with `word` in it."""
    return view["state"] not in OVER and word in (view["reason"] or "")


def _needed() -> str:
    return f"{TRUSTEES_NEEDED} of {TRUSTEES}"
