"""`make demo TERRITORY=1`: 20 companies of Plaine Commune and their staff's ways to work.

The table is the published census, aggregated (demo/figures). It is dealt out by work commune and
class to 20 companies, one `company` capsule each; the privacy unit is the person.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo import mapping, truth
from demo.steps import HOSTS, Steps
from jobs.opening import built_in_folder
from loopback.territory import AUTHORITY
from trust.documents.reporting import Partial

FLOWS = "commute_flows_territory"
FIGURES = Path(__file__).with_name("figures")
COMPANIES = 20
ELSEWHERE = "ailleurs"
MODES = 5
SHOWN = 4
SHOWN_INDICATORS = {"self-containment", "distance", "measured", "emissions-per-commuter"}


@dataclass(frozen=True)
class Row:
    """Persons of one home, one workplace, one class and one mode; places from 1."""

    home: int
    work: int
    occupation: int
    mode: int
    persons: int

    @property
    def company(self) -> int:
        """Which of the 20 companies employs them, from 0."""
        return ((self.work - 1) * 6 + self.occupation - 1) % COMPANIES


class Companies(Steps):
    """The steps of the territory's variant, in order."""

    def play(self) -> None:
        """Everything."""
        self.found()
        places, rows = read_figures()
        folders = self.seal(rows)
        self.vote(built_in_folder(FLOWS))
        self.refuse_without_consent(FLOWS)
        yes = self.consent(folders)
        self.tell.check("every company consents", held=yes == COMPANIES, seen=f"{yes}")
        self.draw(self.count(places, rows))
        self.spend(1, "person in a company's records")
        self.audit()

    def seal(self, rows: list[Row]) -> list[Path]:
        """One capsule per company; companies are dealt to the hosts in turn."""
        owners = self.grid.home / "owners"
        owners.mkdir(mode=0o700)
        plan = owners / "mapping.toml"
        plan.write_text(mapping.COMPANIES, encoding="utf-8")
        folders = []
        for company in range(COMPANIES):
            folder, table = owners / f"company-{company + 1}", owners / "rows.csv"
            write(own := [row for row in rows if row.company == company], table)
            self.seal_and_host(table, plan, folder, company % HOSTS)
            self.tell.detail(f"company {company + 1}: {sum(row.persons for row in own)} persons")
            folders.append(folder)
        self.grid.start_workers()
        self.tell.say(
            f"  data {sum(row.persons for row in rows):,} persons (INSEE, census 2014) in "
            f"{COMPANIES} company capsules on {HOSTS} machines"
        )
        return folders

    def count(self, places: list[str], rows: list[Row]) -> str:
        """One campaign; released flows beside the table. The campaign's id."""
        campaign = self.start(FLOWS)
        report = self.finish(campaign)
        partials = self.statements(campaign, Partial)
        exact = flows(rows)
        persons = sum(partial["contributors"] for partial in partials)
        self.tell.check(
            "every partial counts at least 20 persons and 3 capsules",
            held=all(p["contributors"] >= 20 and p["capsules"] >= 3 for p in partials),
            seen=f"{persons:,} persons, {sum(p['capsules'] for p in partials)} capsules",
        )
        (rule,), workers = self.rules(FLOWS), len(partials)
        told = truth.compare_counts(report, "flows", exact, rule, workers)
        self.tell.check("commuting flows match the table", held=told.held, seen=told.seen)
        told = truth.compare_totals(report, exact, rule, workers)
        self.tell.check("totals by commune of work match", held=told.held, seen=told.seen)
        cells = np.array(report["arrays"]["flows"]["cells"], dtype=object).reshape(exact.shape)
        for flat in np.argsort(exact.reshape(-1))[::-1][:SHOWN]:
            home, work, mode = np.unravel_index(flat, exact.shape)
            self.tell.say(
                f"         {places[home]} -> {places[work]}, mode {mode + 1}: released "
                f"{cells[home, work, mode]}, table {exact[home, work, mode]}"
            )
        return campaign

    def draw(self, campaign: str) -> None:
        """The authority makes the territory's graph of the release, and pictures of it."""
        graph, anchor = self.out / "plaine-commune.graph", ("--root", self.grid.root)
        built = self.run(
            *("graph", "build", FIGURES / "plan.toml", "--releases", self.evidence(campaign)),
            *("--key", self.grid.member(AUTHORITY), "--out", graph, *anchor),
        )
        verified = self.run(
            *("graph", "verify", graph, "--plan", FIGURES / "plan.toml"),
            *("--releases", self.evidence(campaign), *anchor),
        )
        self.tell.check(
            "the graph of the territory: built, signed, and built again by a reader",
            held=built["digest"] == verified["digest"] and verified["rebuilt"],
            seen=f"{built['nodes']} nodes, {built['edges']} edges",
        )
        told = self.run("graph", "indicators", graph, *anchor)
        for entry in told["indicators"]:
            if entry["about"] == "territory" and entry["indicator"] in SHOWN_INDICATORS:
                self.tell.say(
                    f"         {entry['indicator']}: {entry['value']} [{entry['low']}, "
                    f"{entry['high']}] {entry['unit']}"
                )
        held = ", ".join(
            f"{one['dimension']} {one['status']}"
            for one in told["doughnut"]
            if one["status"] in {"within", "beyond"}
        )
        for picture in ("map", "flows"):
            out = self.out / f"{picture}.svg"
            self.run("graph", "draw", picture, graph, "--out", out, *anchor)
        self.tell.say(f"  graph {graph}, map.svg and flows.svg beside it; cited limits: {held}")


def read_figures() -> tuple[list[str], list[Row]]:
    """Names of the ten places, and the census table with places numbered from 1."""
    with (FIGURES / "communes.csv").open(encoding="utf-8", newline="") as stream:
        communes = {row["code"]: row["name"] for row in csv.DictReader(stream)}
    codes = [*sorted(communes), ELSEWHERE]
    number = {code: index for index, code in enumerate(codes, start=1)}
    with (FIGURES / "flows.csv").open(encoding="utf-8", newline="") as stream:
        rows = [
            Row(
                number[row["home"]],
                number[row["work"]],
                int(row["class"]),
                int(row["mode"]),
                int(row["persons"]),
            )
            for row in csv.DictReader(stream)
        ]
    return [communes.get(code, ELSEWHERE) for code in codes], rows


def write(rows: list[Row], path: Path) -> None:
    """A company's own table."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        path.chmod(0o600)
        writer = csv.writer(stream)
        writer.writerow(["domicile", "travail", "moyen", "personnes"])
        writer.writerows([row.home, row.work, row.mode, row.persons] for row in rows)


def flows(rows: list[Row]) -> NDArray[np.int64]:
    """Persons by home, work and mode: [10, 10, 5]."""
    counts = np.zeros((10, 10, MODES), dtype=np.int64)
    for row in rows:
        counts[row.home - 1, row.work - 1, row.mode - 1] += row.persons
    return counts
