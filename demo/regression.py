"""The commuters' third campaign, under `encrypted`: a regression, and all statistics compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo import comparison, dry_run, truth
from demo.custody import Custody
from demo.steps import Steps
from trust.documents.reporting import Partial
from trust.entropy import SYSTEM

NAME = "encrypted_statistics"


class Regression:
    """The chapter of the story whose numbers nobody could open alone."""

    def __init__(self, steps: Steps, values: NDArray[np.float64]) -> None:
        self._steps = steps
        self._values = values  # the consenting people's, clipped: the truth

    def play(self, shared: dict[str, Any]) -> None:
        """From the start to the release; `shared` is the other campaign's report."""
        campaign, report = Custody(self._steps).play(NAME)
        self._tell_numbers(shared, report, len(self._steps.statements(campaign, Partial)))

    def _tell_numbers(self, shared: dict[str, Any], report: dict[str, Any], workers: int) -> None:
        """Every statistic beside the truth, and by how much the bands shrank."""
        tell, rule = self._steps.tell, self._steps.rules(NAME)[0]
        # What the same people's report would be if each worker released a noised sum of its own.
        clear = dry_run.report_of(self._values, workers, SYSTEM, self._steps.sources[NAME])
        reports = {"clear": clear, "shared": shared, "encrypted": report}
        rows = comparison.rows_of(reports, dry_run.exact_of(self._values))
        count = truth.compare_count(report, len(self._values), rule, workers)
        told = truth.compare_statistics(rows, "encrypted")
        tell.check(
            "the regression and all statistics match the plain truth",
            held=count.held and told.held,
            seen=told.seen,
        )
        widths = truth.compare_widths(rows, rule, workers)
        tell.check(
            "one noise for all: bands shrink; the table of all protections is in the report",
            held=widths.held,
            seen=widths.seen,
        )
        tell.detail(f"{NAME} over {len(self._values):,} people; shared: travel_statistics' release")
        tell.detail("clear: the same people and noise, computed here; [95 % band]; delta 1e-6")
        for line in comparison.markdown(rows, reports).splitlines():
            tell.detail(line)
