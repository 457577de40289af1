"""The third campaign, under `encrypted`: a regression out of sums that nobody could open alone.

The keyholder's operator holds the ceremony, workers encrypt under its key, helper and keyholder
see half of what an opening takes, and three trustees of five have to want it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo import comparison, dry_run, truth
from demo.steps import Steps, rules_of
from demo.territory import TRUSTEES, TRUSTEES_NEEDED
from jobs.opening import built_in_folder
from trust.documents.aggregation import AggregateShare, Side
from trust.documents.custody import AggregateOpened, EpochKey, ShareReturned
from trust.documents.reporting import Partial
from trust.entropy import SYSTEM

NAME = "encrypted_statistics"
ENDED = ("released", "failed", "cancelled")
CAME = (1, 3, 5)  # the trustees who come; the others need not
# Close to linear in the sums, so that a band of the noise can be widened; the others' coverage
# is told. A correlation's band is stretched towards 1, never beyond what it can be.
SMOOTH = ("persons", "means", "variances", "covariances", "correlations", "coefficients")


class Regression:
    """The chapter of the story that keyholder and trustees play."""

    def __init__(self, steps: Steps, values: NDArray[np.float64]) -> None:
        self._steps = steps
        self._values = values  # the consenting people's, clipped: the truth

    def play(self, shared: dict[str, Any]) -> None:
        """From the start to the release; `shared` is the other campaign's report."""
        tell, grid = self._steps.tell, self._steps.grid
        campaign = self._steps.start(NAME)
        waits = self._until(campaign, "ceremony")
        made = grid.hold_ceremony(campaign)
        tell.check(
            "the campaign waits until its key is made and shared among trustees, then workers "
            "encrypt",
            held="ceremony" in reason_of(waits) and made["trustees"] == _needed(),
            seen=f"{made['trustees']} open it",
        )
        self._open(campaign)
        report = self._steps.finish(campaign)
        self._tell_secrecy(campaign)
        self._tell_numbers(shared, report, len(self._steps.statements(campaign, Partial)))

    def _open(self, campaign: str) -> None:
        """Two trustees, who are not enough, then the third."""
        grid, tell = self._steps.grid, self._steps.tell
        self._until(campaign, "trustees")
        *first, last = CAME
        came = [grid.contribute(number) for number in first]
        view = self._until(campaign, "trustees")
        came.append(grid.contribute(last))
        tell.check(
            "two trustees open nothing; the third opens it",
            held=came == [1, 2, 3] and "trustees" in reason_of(view) and not view["release"],
            seen=f"{len(came)} of {TRUSTEES} came",
        )

    def _until(self, campaign: str, word: str) -> dict[str, Any]:
        """The view once the campaign waits for what has `word` in it, or once it ended."""
        return self._steps.follow(
            campaign, lambda view: word in reason_of(view) or view["state"] in ENDED
        )

    def _tell_secrecy(self, campaign: str) -> None:
        steps = self._steps
        partials = steps.statements(campaign, Partial)
        sides = sorted(share["side"] for share in steps.statements(campaign, AggregateShare))
        given = steps.statements(campaign, ShareReturned)
        opened = steps.statements(campaign, AggregateOpened)
        keys = steps.statements(campaign, EpochKey)
        strangers = truth.halves(steps.evidence(campaign), partials)
        steps.tell.check(
            "nobody could see any sum before its noise: scheduler masked ciphertexts, helper "
            "masks, trustees a share each",
            held=sides == sorted(Side)
            and len(keys) == len(opened) == 1
            and len(given) == len(CAME)
            and not strangers,
            seen=f"{len(partials)} ciphertexts added blind, opened once by {len(given)} shares",
        )

    def _tell_numbers(self, shared: dict[str, Any], report: dict[str, Any], workers: int) -> None:
        """Every statistic beside the truth, and by how much the bands shrank."""
        tell = self._steps.tell
        # What the same people's report would be if each worker released a noised sum of its own.
        clear = dry_run.report_of(self._values, workers, SYSTEM, built_in_folder(NAME))
        reports = {"clear": clear, "shared": shared, "encrypted": report}
        exact = dry_run.exact_of(self._values)
        rows = comparison.rows_of(reports, exact)
        count = truth.compare_count(report, len(self._values), rules_of(NAME)[0])
        smooth = truth.compare_rows(rows, "encrypted", SMOOTH)
        held, total = comparison.covered(rows, "encrypted")
        beyond = "none beyond the simultaneous one" if smooth.held else smooth.seen
        tell.check(
            "the regression and all statistics match the plain truth",
            held=count.held and smooth.held,
            seen=f"{held} of {total} within their 95 % bands, {beyond}",
        )
        narrower = comparison.narrowing(rows, "clear", "encrypted")
        expected = (truth.DRAWS["encrypted"] / workers) ** 0.5
        tell.check(
            "one noise for all: bands shrink; the table of all protections is in the report",
            held=abs(narrower["persons"] / expected - 1) < 0.01,
            seen=f"{float(np.median(list(narrower.values()))):.2f} x clear's",
        )
        tell.detail(f"statistics: {smooth.seen}; band widths, encrypted / clear: {narrower}")
        tell.detail(f"{NAME} over {len(self._values):,} people; shared: travel_statistics' release")
        tell.detail("clear: the same people and noise, computed here; [95 % band]; delta 1e-6")
        for line in comparison.markdown(rows, reports).splitlines():
            tell.detail(line)


def reason_of(view: dict[str, Any]) -> str:
    """What a campaign waits for, "" where it waits for nothing."""
    return view["reason"] or ""


def _needed() -> str:
    return f"{TRUSTEES_NEEDED} of {TRUSTEES}"
