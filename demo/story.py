"""The main job: 5,029 commuters, each record sealed in its owner's capsule, counted unseen."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from demo import mapping, survey, truth
from demo.narrator import Narrator
from demo.processes import CommandFailed
from demo.survey import Trip
from demo.territory import Site, Territory
from jobs.opening import built_in_folder
from protection import accounting
from trust.documents.rules import Mechanism
from trust.dsse import Envelope
from trust.errors import TrustError

SITES = [
    Site("ville", "mairie"),
    Site("ville", "mediatheque"),
    Site("departement", "college"),
    Site("association", "maison-des-associations"),
    Site("ville", "salle-serveurs"),  # holds no capsules: it concludes
]
HOSTS = 4
SAYS_NO = 10  # every tenth owner never answers, and silence is no
RHO = Fraction(1, 10)
THRESHOLD = 20
SIMULTANEOUS = 3.2  # a 95 % band (1.96 sigma) stretched to 1 - 1e-6 over 61 values (6.2 sigma)
# Electricity mix of mainland France, RTE éCO2mix 2022-2024 averages; the W are a stated guess.
GRAMS_PER_KWH = 52
WATTS_PER_CORE = 10
POLL_SECONDS = 0.5
WAIT_SECONDS = 150.0


class Story:
    """The steps of `make demo`, in order."""

    def __init__(self, narrator: Narrator, territory: Territory, out: Path) -> None:
        self.tell = narrator
        self.grid = territory
        self.run = territory.processes.run
        self.out = out
        self.trips: list[Trip] = []
        self.owners: list[tuple[Path, bool]] = []  # folder, and whether they consent
        self.bundles: dict[str, tuple[Path, str]] = {}

    def play(self) -> None:
        """Everything."""
        self.found()
        self.seal()
        self.vote()
        self.refuse_without_consent()
        self.consent()
        first = self.campaign("commute_flows", withdraw=True)
        self.show_flows(first)
        self.refuse_altered()
        second = self.campaign("travel_statistics")
        self.show_statistics(second)
        self.spend()
        self.audit()

    def found(self) -> None:
        """The processes of a territory."""
        self.tell.say("Cadastre: the algorithm travels, the data stays. Territory: demo (loopback)")
        self.grid.found()
        self.grid.enrol(SITES)
        self.tell.say(
            f"  up   scheduler, witness, governance's status server, {len(SITES)} workers enrolled "
            "over mutual TLS"
        )

    def seal(self) -> None:
        """One capsule per person, on the host that she chose."""
        self.trips = survey.fetch(self.out / "cache")
        owners = self.grid.home / "owners"
        owners.mkdir(mode=0o700)
        plan = owners / "mapping.toml"
        plan.write_text(mapping.COMMUTERS, encoding="utf-8")
        started = time.monotonic()
        for host in range(HOSTS):
            for consents in (True, False):
                chosen = [
                    trip
                    for number, trip in enumerate(self.trips)
                    if number // SAYS_NO % HOSTS == host and _consents(number) == consents
                ]
                folder = owners / f"{host + 1}-{'yes' if consents else 'silent'}"
                table = owners / "rows.csv"
                survey.write(chosen, table)
                state = self.grid.workers[host]
                card = state / "card.json"
                self.run(
                    *("capsule", "seal", table, "--mapping", plan, "--out", folder),
                    *("--worker", card),
                )
                table.unlink()
                self.run("capsule", "host", folder, "--state", state)
                self.owners.append((folder, consents))
        self.grid.start_workers()
        took = time.monotonic() - started
        self.tell.say(
            f"  data {len(self.trips)} real work trips (Bay Area survey) sealed in as many "
            f"capsules on {HOSTS} machines, in {took:.0f} s"
        )

    def vote(self) -> None:
        """Two algorithms, signed by their author and by two of three colleges."""
        image = self.run("worker", "image", "--state", self.grid.workers[0])["image"]
        folder = self.grid.home / "bundles"
        folder.mkdir()
        for number, name in enumerate(("commute_flows", "travel_statistics")):
            signed = self.run(
                *("bundle", "sign", built_in_folder(name), "--key", folder / "author"),
                *(["--new-key"] if number == 0 else []),
                *("--out", folder),
            )
            archive = next(folder.glob(f"{name}-*.cadastre"))
            self.bundles[name] = (archive, signed["digest"])
            self.run("bundle", "submit", archive, "--as", self.grid.operator)
            self.grid.authorise(archive, image, campaigns=3, rho="0.4")
        self.tell.say(
            "  vote two algorithms signed by their author, authorised by 2 of 3 colleges, logged"
        )

    def refuse_without_consent(self) -> None:
        """Nobody consents by default."""
        _, digest = self.bundles["commute_flows"]
        view = self.run("campaign", "start", digest, "--as", self.grid.operator)
        campaign = view["campaign"]
        view = self._follow(campaign, lambda view: bool(view["reason"]))
        self.tell.check(
            "nobody consents by default: a trial is refused",
            held=view["state"] == "draft" and "consent" in view["reason"],
            seen=view["reason"],
        )
        self.run(
            *("campaign", "cancel", campaign, "--reason", "a trial without consents"),
            *("--as", self.grid.operator),
        )

    def consent(self) -> None:
        """Nine owners of ten say yes to each algorithm; one of ten stays silent."""
        yes = 0
        for folder, consents in self.owners:
            if not consents:
                continue
            for _, digest in self.bundles.values():
                self.run("consent", "grant", folder, "--bundle", digest)
            answer = self.run(
                *("consent", "submit", folder, "--registry", self.grid.registry),
                *("--as", self.grid.operator),
            )
            yes += answer["accepted"] // len(self.bundles)
        self.tell.check(
            "90 % of the owners consent, each with a signed decision per algorithm",
            held=yes == sum(_consents(number) for number in range(len(self.trips))),
            seen=f"{yes} of {len(self.trips)}",
        )

    def campaign(self, name: str, *, withdraw: bool = False) -> str:
        """One campaign from order to release; its id."""
        _, digest = self.bundles[name]
        view = self.run("campaign", "start", digest, "--as", self.grid.operator)
        campaign: str = view["campaign"]
        if withdraw:
            self.withdraw(campaign, digest)
        self.run("campaign", "watch", campaign, "--as", self.grid.operator)
        return campaign

    def withdraw(self, campaign: str, digest: str) -> None:
        """One owner changes her mind while the round runs."""
        folder = self.owners[0][0]
        capsule = min((folder / "capsules").glob("*.capsule")).stem
        self._wait_for_work(campaign)
        self.run("consent", "revoke", folder, "--bundle", digest, "--capsule", capsule)
        newest = max((folder / "consents").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        self.run(
            *("consent", "submit", newest, "--registry", self.grid.registry),
            *("--as", self.grid.operator),
        )
        self.withdrawn = capsule
        self.tell.say("  …    one owner withdraws while the round runs")

    def show_flows(self, campaign: str) -> None:
        """The released counts beside the truth."""
        report = self._report(campaign)
        partials = self._partials(campaign)
        capsules = sum(partial["capsules"] for partial in partials)
        consenting = sum(_consents(number) for number in range(len(self.trips)))
        self.tell.check(
            "the withdrawn capsule is not in the batch",
            held=capsules == consenting - 1,
            seen=f"{capsules} of {consenting} capsules counted on {len(partials)} machines",
        )
        counted = [t for n, t in enumerate(self.trips) if _consents(n) and t is not self._quitter]
        noise = accounting.Noise(Mechanism.DISCRETE_GAUSSIAN, Fraction(5))
        told = truth.compare_flows(report, survey.flows(counted), noise, len(partials), THRESHOLD)
        self.tell.check("commuting flows match the plain truth", held=told.held, seen=told.seen)
        cells = np.array(report["arrays"]["flows"]["cells"], dtype=object).reshape(9, 9, 6)
        exact = survey.flows(counted)
        for home, work, mode in np.argwhere(exact >= np.sort(exact.reshape(-1))[-3]):
            self.tell.say(
                f"         secteur {home + 1} -> {work + 1}, mode {mode + 1}: released "
                f"{cells[home, work, mode]}, truth {exact[home, work, mode]}"
            )

    def refuse_altered(self) -> None:
        """A bought scheduler serves an altered algorithm under the old authorisation."""
        _, digest = self.bundles["travel_statistics"]
        self.grid.replace_scheduler(bought=True)
        view = self.run("campaign", "start", digest, "--as", self.grid.operator)
        view = self._follow(view["campaign"], lambda view: bool(_refusal(view)) or view["release"])
        reason = _refusal(view)
        self.tell.check(
            "a bought scheduler serves an altered algorithm: every worker refuses it",
            held=bool(reason),
            seen=reason,
        )
        self.run(
            *("campaign", "cancel", view["campaign"], "--reason", "altered bundle"),
            *("--as", self.grid.operator),
        )
        self.grid.replace_scheduler(bought=False)

    def show_statistics(self, campaign: str) -> None:
        """Means, variances and correlations beside the truth."""
        report = self._report(campaign)
        counted = [t for n, t in enumerate(self.trips) if _consents(n)]
        values = survey.clipped(counted)
        for name, exact in (
            ("means", values.mean(axis=0)),
            ("variances", values.var(axis=0)),
            ("correlations", np.asarray(np.corrcoef(values.T))),
        ):
            told = truth.compare_bands(report, name, exact, SIMULTANEOUS)
            self.tell.check(f"{name} match the plain truth", held=told.held, seen=told.seen)
        means = report["arrays"]["means"]["cells"]
        shown = ", ".join(
            f"{name} {means[i]:.4g} ({values[:, i].mean():.4g})"
            for i, name in enumerate(mapping.VARIABLES)
        )
        self.tell.say(f"         released mean (truth): {shown}")
        self.tell.say("         only this script, playing every owner, knows the truth")

    def spend(self) -> None:
        """Privacy and electricity."""
        rho = 2 * RHO
        cores = self.grid.processes.cpu_seconds()
        watt_hours = cores * WATTS_PER_CORE / 3600
        self.tell.say(
            f"  cost privacy: rho {float(rho)} per consenting owner for both "
            f"(epsilon {accounting.epsilon(rho):.2f} at delta 1e-6)"
        )
        self.tell.say(
            f"       footprint, an estimate: {cores:.0f} CPU-s x {WATTS_PER_CORE} W per core x "
            f"{GRAMS_PER_KWH} g/kWh = {watt_hours:.2f} Wh, {watt_hours * GRAMS_PER_KWH:.1f} mg CO2e"
        )

    def audit(self) -> None:
        """From files only; then again with one byte changed."""
        evidence = self.out / "evidence"
        self.run("log", "evidence", "--out", evidence, "--as", self.grid.auditor)
        policy = self.out / "policy.txt"
        pin = self.run("root", "show", self.grid.root)["digest"]
        policy.write_text(f"cadastre-audit-policy-v1\nroot {pin}\n", encoding="utf-8")
        green = self.grid.processes.attempt("audit", "verify", evidence, "--policy", policy)
        checks = json.loads(green.stdout) if green.stdout.strip() else {}
        self.tell.check(
            "the audit replays everything from files alone",
            held=green.returncode == 0,
            seen=f"{len(checks.get('checks', []))} checks, exit {green.returncode}",
        )
        forged = self.out / "evidence-forged"
        shutil.copytree(evidence, forged)
        victim = max((forged / "objects").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(bytes(data))
        red = self.grid.processes.attempt("audit", "verify", forged, "--policy", policy)
        failed = [c for c in json.loads(red.stdout or "{}").get("checks", []) if not c.get("ok")]
        self.tell.check(
            "the audit of a copy with one changed byte is red",
            held=red.returncode == 3,
            seen=f"exit {red.returncode}, {failed[0]['name'] if failed else 'no check named'}",
        )
        shutil.rmtree(forged)
        self.tell.say(
            "  next .venv/bin/cadastre audit verify demo-out/evidence --policy demo-out/policy.txt"
        )

    @property
    def _quitter(self) -> Trip:
        """Who withdrew; the owner's own index knows which row is which capsule."""
        index = (self.owners[0][0] / "index.csv").read_text().splitlines()
        case = next(line.split(",") for line in index if self.withdrawn in line)
        number = next(entry for entry in case if entry != self.withdrawn)
        return next(trip for trip in self.trips if trip.row["casenum"] == number)

    def _report(self, campaign: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.run(
            *("campaign", "report", campaign, "--out", self.out / campaign),
            *("--as", self.grid.operator),
        )
        return answer

    def _partials(self, campaign: str) -> list[dict[str, Any]]:
        """The campaign's partial statements, as an accredited auditor gets them."""
        folder = self.grid.home / f"evidence-{campaign}"
        self.run(
            *("log", "evidence", "--campaign", campaign, "--out", folder),
            *("--as", self.grid.auditor),
        )
        return list(_payloads(folder, "application/vnd.cadastre.partial.v1+json"))

    def _wait_for_work(self, campaign: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            for state in self.grid.workers[:HOSTS]:
                if self.run("worker", "status", "--state", state).get("running"):
                    return
            time.sleep(POLL_SECONDS)
        raise CommandFailed(f"no worker began with {campaign}")

    def _follow(self, campaign: str, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The campaign's view once it is `enough`; bounded, and then the last one seen."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            view: dict[str, Any] = self.run(
                "campaign", "show", campaign, "--as", self.grid.operator
            )
            if enough(view) or time.monotonic() > deadline:
                return view
            time.sleep(POLL_SECONDS)


def _consents(number: int) -> bool:
    return number % SAYS_NO != 0


def _refusal(view: dict[str, Any]) -> str:
    """What the first worker that refused says."""
    reasons = (unit.partition("(")[2].rstrip(")") for unit in view["units"])
    return next((reason for reason in reasons if "refused" in reason), "")


def _payloads(folder: Path, payload_type: str) -> Sequence[dict[str, Any]]:
    found: dict[bytes, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            envelope = Envelope.parse(path.read_bytes())
        except TrustError:
            continue
        if envelope.payload_type == payload_type:
            found[envelope.payload] = json.loads(envelope.payload)
    return list(found.values())
