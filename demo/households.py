"""`make demo HEATING=1`: 900 households, one algorithm under each of the three protections.

The bundles differ in their name and in one word. All three campaigns are real ones over the same
capsules, so what the protection changes is told by nothing but their releases.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo import comparison, dry_run, heating, truth
from demo.comparison import Row
from demo.custody import Custody
from demo.steps import HOSTS, Steps
from trust.documents.reporting import Partial
from trust.documents.rules import Protection

SHRINKING = {
    Protection.SHARED: "two noises in all, from scheduler and helper, who each held half a sum",
    Protection.ENCRYPTED: "one noise in all, from the keyholder",
}


class Households(Steps):
    """The steps of the heating survey's variant, in order."""

    values: NDArray[np.float64]  # everybody's, clipped: the truth

    def play(self) -> None:
        """Everything."""
        survey = heating.fetch(self.out / "cache")
        self.values = heating.clipped(survey)
        self.found()
        owners = self.seal(survey)
        self.vote(*self.write_bundles())
        self.refuse_without_consent(_named(Protection.CLEAR))
        yes = self.consent(owners)
        self.tell.check(
            "every household consents, with a signed decision per protection",
            held=yes == len(self.values),
            seen=f"{yes} of {len(self.values)}",
        )
        self.compare()
        self.spend(len(Protection), "household")
        self.audit()

    def seal(self, survey: list[dict[str, str]]) -> list[Path]:
        """One capsule per household, dealt to the hosts in turn; the folders of their owners."""
        owners = self.grid.home / "owners"
        owners.mkdir(mode=0o700)
        plan = owners / "mapping.toml"
        plan.write_text(heating.MAPPING, encoding="utf-8")
        started = time.monotonic()
        folders = [owners / f"street-{host + 1}" for host in range(HOSTS)]
        for host, folder in enumerate(folders):
            heating.write(survey[host::HOSTS], owners / "rows.csv")
            self.seal_and_host(owners / "rows.csv", plan, folder, host)
        self.grid.start_workers()
        self.tell.say(
            f"  data {len(survey)} real households (Californian heating survey) sealed in as many "
            f"capsules on {HOSTS} machines, in {time.monotonic() - started:.0f} s"
        )
        return folders

    def write_bundles(self) -> list[Path]:
        """The same algorithm three times, each time with another word for its protection."""
        sources = self.grid.home / "sources"
        sources.mkdir()
        for protection in Protection:
            heating.write_bundle(sources / _named(protection), protection)
        return [sources / _named(protection) for protection in Protection]

    def compare(self) -> None:
        """Each protection's campaign beside the truth, its bands beside those of `clear`."""
        exact = dry_run.exact_of(self.values, self.sources[_named(Protection.CLEAR)])
        reports: dict[str, dict[str, Any]] = {}
        rows: list[Row] = []
        for protection in Protection:
            campaign, report = self.compute(protection)
            reports[protection.value] = report
            rows = comparison.rows_of(reports, exact)
            self.tell_release(protection, campaign, report, rows)
        for row in rows:
            if row.statistic == "means":
                told = ", ".join(f"{word} {comparison.banded(row.told[word])}" for word in reports)
                mean = comparison.number(row.exact)
                self.tell.say(f"         mean {row.label}, truth {mean}: {told}")
        self.tell.detail("every statistic, released [95 % band]; delta 1e-6")
        for line in comparison.markdown(rows, reports).splitlines():
            self.tell.detail(line)

    def compute(self, protection: Protection) -> tuple[str, dict[str, Any]]:
        """One campaign under `protection`: its id and its report."""
        if protection is Protection.ENCRYPTED:
            return Custody(self).play(_named(protection))
        campaign = self.start(_named(protection))
        return campaign, self.finish(campaign)

    def tell_release(
        self, protection: Protection, campaign: str, report: dict[str, Any], rows: list[Row]
    ) -> None:
        """One release: who could see what, its numbers, and what is left of the noise."""
        moments, histogram = self.rules(_named(protection))
        partials = self.statements(campaign, Partial)
        workers = len(partials)
        count = truth.compare_count(report, len(self.values), moments, workers)
        told = truth.compare_statistics(rows, protection.value)
        bins = truth.compare_counts(
            report,
            "histogram",
            heating.histograms(self.values),
            histogram,
            workers,
        )
        self.tell.check(
            f"{protection.value}: the statistics match the plain truth",
            held=count.held and told.held,
            seen=f"{count.seen}; {told.seen}",
        )
        self.tell.check(f"{protection.value}: histograms too", held=bins.held, seen=bins.seen)
        if protection in SHRINKING:
            widths = truth.compare_widths(rows, moments, workers)
            self.tell.check(
                f"{protection.value}: {SHRINKING[protection]}; bands shrink",
                held=self.halved(campaign, partials) and widths.held,
                seen=widths.seen,
            )


def _named(protection: Protection) -> str:
    return f"{heating.NAME}_{protection.value}"
