"""The main job: 5,029 commuters, each record sealed in its owner's capsule, counted unseen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo import comparison, dry_run, mapping, survey, truth
from demo.regression import NAME as REGRESSION
from demo.regression import Regression
from demo.steps import HOSTS, Steps
from demo.survey import Trip
from jobs.opening import built_in_folder
from trust.documents.reporting import Partial
from trust.entropy import SYSTEM

FLOWS, STATISTICS = "commute_flows", "travel_statistics"
SAYS_NOTHING = 10  # every tenth owner never answers, and silence is no
SHOWN = 3


class Commuters(Steps):
    """The steps of `make demo`, in order."""

    trips: list[Trip]
    owners: dict[tuple[int, bool], Path]  # host and whether they consent -> owners' folder

    def play(self) -> None:
        """Everything."""
        self.trips = survey.fetch(self.out / "cache")
        self.found()
        self.seal()
        self.vote(*map(built_in_folder, (FLOWS, STATISTICS, REGRESSION)))
        self.refuse_without_consent(FLOWS)
        yes = self.consent([folder for (_, willing), folder in self.owners.items() if willing])
        self.tell.check(
            "90 % of the owners consent, each with a signed decision per algorithm",
            held=yes == len(self.willing()),
            seen=f"{yes} of {len(self.trips)}",
        )
        self.count_flows()
        self.refuse_altered()
        shared = self.compute_statistics()
        Regression(self, survey.clipped(self.willing())).play(shared)
        self.spend(3, "consenting owner")
        self.audit()

    def seal(self) -> None:
        """One capsule per person, on the host that she chose."""
        self.owners = {}
        owners = self.grid.home / "owners"
        owners.mkdir(mode=0o700)
        plan = owners / "mapping.toml"
        plan.write_text(mapping.COMMUTERS, encoding="utf-8")
        started = time.monotonic()
        for host in range(HOSTS):
            for willing in (True, False):
                chosen = [
                    trip
                    for number, trip in enumerate(self.trips)
                    if number // SAYS_NOTHING % HOSTS == host and _willing(number) == willing
                ]
                folder = owners / f"{host + 1}-{'yes' if willing else 'silent'}"
                survey.write(chosen, owners / "rows.csv")
                self.seal_and_host(owners / "rows.csv", plan, folder, host)
                self.owners[host, willing] = folder
        self.grid.start_workers()
        took = time.monotonic() - started
        self.tell.say(
            f"  data {len(self.trips)} real work trips (Bay Area survey) sealed in as many "
            f"capsules on {HOSTS} machines, in {took:.0f} s"
        )

    def willing(self) -> list[Trip]:
        """The people who consent."""
        return [trip for number, trip in enumerate(self.trips) if _willing(number)]

    def count_flows(self) -> None:
        """The first campaign; one owner changes her mind while it runs."""
        campaign = self.start(FLOWS)
        self.wait_for_work()
        quitter = self.withdraw()
        report = self.finish(campaign)
        partials = self.statements(campaign, Partial)
        counted = [trip for trip in self.willing() if trip is not quitter]
        capsules = sum(partial["capsules"] for partial in partials)
        self.tell.check(
            "one owner withdrew while the round ran; her capsule is not in the batch",
            held=capsules == len(counted),
            seen=f"{capsules} of {len(counted) + 1} counted on {len(partials)} machines",
        )
        exact, (rule,) = survey.flows(counted), self.rules(FLOWS)
        told = truth.compare_counts(report, "flows", exact, rule, len(partials))
        self.tell.check("commuting flows match the plain truth", held=told.held, seen=told.seen)
        cells = np.array(report["arrays"]["flows"]["cells"], dtype=object).reshape(exact.shape)
        for flat in np.argsort(exact.reshape(-1))[::-1][:SHOWN]:
            home, work, mode = np.unravel_index(flat, exact.shape)
            self.tell.say(
                f"         secteur {home + 1} -> {work + 1}, mode {mode + 1}: released "
                f"{cells[home, work, mode]}, truth {exact[home, work, mode]}"
            )

    def withdraw(self) -> Trip:
        """One owner revokes her consent; who she was, for the truth."""
        folder = self.owners[0, True]
        capsule = min((folder / "capsules").glob("*.capsule")).stem
        self.run("consent", "revoke", folder, "--bundle", self.bundles[FLOWS], "--capsule", capsule)
        newest = max((folder / "consents").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        self.submit_consents(newest)
        index = (folder / "index.csv").read_text(encoding="utf-8").splitlines()
        row = next(line.split(",") for line in index if capsule in line)
        case = next(entry for entry in row if entry != capsule)
        return next(trip for trip in self.trips if trip.row["casenum"] == case)

    def refuse_altered(self) -> None:
        """A bought scheduler serves an altered algorithm under the true authorisation."""
        self.grid.replace_scheduler(("-m", "demo.bought_scheduler"))
        campaign = self.start(STATISTICS)
        view = self.until(campaign, "refused")
        self.tell.check(
            "a bought scheduler serves an altered algorithm: a worker refuses it",
            held=bool(_refusal(view)),
            seen=_refusal(view) or view["state"],
        )
        self.cancel(campaign, "altered bundle")
        self.grid.replace_scheduler()

    def compute_statistics(self) -> dict[str, Any]:
        """The second campaign, under `shared`: moments beside the truth; its report."""
        campaign = self.start(STATISTICS)
        report = self.finish(campaign)
        values = survey.clipped(self.willing())
        exact = dry_run.exact_of(values)
        self.tell_halves(campaign, report, exact, values)
        rows = comparison.rows_of({"shared": report}, exact)
        told = truth.compare_rows(rows, "shared", ("means", "variances", "correlations"))
        self.tell.check(
            "means, variances and correlations match the plain truth",
            held=told.held,
            seen=told.seen,
        )
        means = report["arrays"]["means"]["cells"]
        shown = ", ".join(
            f"{name} {means[i]:.4g} ({exact['means'][i]:.4g})"
            for i, name in enumerate(mapping.VARIABLES)
        )
        self.tell.say(f"         released mean (truth, known to this script alone): {shown}")
        return report

    def tell_halves(
        self,
        campaign: str,
        report: dict[str, Any],
        exact: dict[str, NDArray[np.float64]],
        values: NDArray[np.float64],
    ) -> None:
        """What `shared` changes: who could see what, and how much of the noise is left."""
        partials = self.statements(campaign, Partial)
        (rule,), workers = self.rules(STATISTICS), len(partials)
        count = truth.compare_count(report, len(values), rule, workers)
        # What the same people's report would be if each worker released a noised sum of its own.
        clear = dry_run.report_of(values, workers, SYSTEM, self.sources[STATISTICS])
        rows = comparison.rows_of({"clear": clear, "shared": report}, exact)
        widths = truth.compare_widths(rows, rule, workers)
        self.tell.check(
            "scheduler and helper each held half of every sum, neither saw one",
            held=self.halved(campaign, partials) and count.held and widths.held,
            seen=f"{count.seen}; bands {widths.seen}",
        )


def _willing(number: int) -> bool:
    return number % SAYS_NOTHING != 0


def _refusal(view: dict[str, Any]) -> str:
    """What the first worker that refused says."""
    reasons = (unit.partition("(")[2].rstrip(")") for unit in view["units"])
    return next((reason for reason in reasons if "refused" in reason), "")
