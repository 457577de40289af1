"""What every variant of the demo does: found a territory, vote, consent, run, audit."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from demo import truth
from demo.narrator import Narrator
from jobs import archive, description
from loopback.processes import CommandFailed
from loopback.territory import Site, Territory
from protection import accounting
from terminal import exits
from trust.documents.aggregation import AggregateShare, Side
from trust.documents.rules import ReleaseRules
from trust.documents.signed import Document
from trust.dsse import Envelope
from trust.errors import TrustError

SITES = [
    Site("ville", "mairie"),
    Site("ville", "mediatheque"),
    Site("departement", "college"),
    Site("association", "maison-des-associations"),
    Site("ville", "salle-serveurs", concludes=True),  # holds no capsules
]
HOSTS = 4
CAMPAIGNS = 3
RHO_BUDGET = "0.4"  # per person and algorithm: three campaigns of 0.1 and a reserve
# Electricity mix of mainland France in the years 2022 to 2024; the watts are a stated guess.
GRAMS_PER_KWH = 52
WATTS_PER_CORE = 10
POLL_SECONDS = 0.5
WAIT_SECONDS = 120.0
OVER = ("released", "failed", "cancelled")
ENDED = "already-ended"  # the code of the refusal to cancel what is over


class Steps:
    """The commands of a story; each step is something that a person would type."""

    def __init__(self, narrator: Narrator, territory: Territory, out: Path) -> None:
        self.tell = narrator
        self.grid = territory
        self.run = territory.processes.run
        self.out = out
        self.bundles: dict[str, str] = {}  # name -> digest
        self.sources: dict[str, Path] = {}  # name -> the folder that it was packed from

    @property
    def startable(self) -> str:
        """The algorithm that has a campaign left when the story is over, "" for none."""
        return next(iter(self.bundles), "")

    def found(self) -> None:
        """The processes of a territory."""
        self.tell.say("Cadastre: the algorithm travels, the data stays. Territory: demo (loopback)")
        self.grid.found()
        self.grid.enrol(SITES)
        self.tell.say(
            "  up   scheduler, helper, keyholder, witness, governance's status server, "
            f"{len(SITES)} workers over mutual TLS"
        )

    def seal_and_host(self, table: Path, plan: Path, folder: Path, host: int) -> None:
        """Seal a table into capsules for one host, and host them there."""
        state = self.grid.workers[host]
        card = state / "card.json"
        self.run(*("capsule", "seal", table, "--mapping", plan, "--out", folder, "--worker", card))
        table.unlink()
        self.run("capsule", "host", folder, "--state", state)

    def vote(
        self,
        *sources: Path,
        library: str = "numpy",
        campaigns: int = CAMPAIGNS,
        rho: str = RHO_BUDGET,
    ) -> None:
        """The bundles in `sources`, signed by their author and by two of three colleges.

        They run on the runtime that has `library`; `campaigns` of each may start, for `rho` in all.
        """
        chosen = ("--library", library, "--state", self.grid.workers[0])
        image = self.run("worker", "image", *chosen)["image"]
        folder = self.grid.home / "bundles"
        folder.mkdir()
        for number, source in enumerate(sources):
            signed = self.run(
                *("bundle", "sign", source, "--key", folder / "author"),
                *(["--new-key"] if number == 0 else []),
                *("--out", folder),
            )
            packed = Path(signed["bundle"])
            self.bundles[source.name], self.sources[source.name] = signed["digest"], source
            self.run("bundle", "submit", packed, "--as", self.grid.operator)
            self.grid.authorise(packed, image, campaigns=campaigns, rho=rho)
        self.tell.say(
            f"  vote {', '.join(self.bundles)}: signed by the author, authorised by 2 of 3 colleges"
        )

    def refuse_without_consent(self, name: str) -> None:
        """Nobody consents by default."""
        campaign = self.start(name)
        # Until every worker has said what it can do, the scheduler waits for workers instead.
        view = self.until(campaign, "consent")
        self.tell.check(
            "nobody consents by default: a trial is refused",
            held=view["state"] == "draft" and "consent" in (view["reason"] or ""),
            seen=view["reason"] or "",
        )
        self.cancel(campaign, "a trial without consents")

    def consent(self, folders: Sequence[Path]) -> int:
        """The owners of `folders` say yes to every algorithm; how many did."""
        yes = 0
        for folder in folders:
            for digest in self.bundles.values():
                self.run("consent", "grant", folder, "--bundle", digest)
            yes += self.submit_consents(folder) // len(self.bundles)
        return yes

    def submit_consents(self, path: Path) -> int:
        """Hand signed decisions in; how many were accepted."""
        answer = self.run(
            *("consent", "submit", path, "--registry", self.grid.registry),
            *("--as", self.grid.operator),
        )
        return int(answer["accepted"])

    def start(self, name: str) -> str:
        """Start a campaign with the bundle's default parameters; its id."""
        chosen = description.defaults(archive.pack_folder(self.sources[name]).manifest)
        view = self.run(
            *("campaign", "start", self.bundles[name], "--as", self.grid.operator),
            *(word for key, value in chosen.items() for word in ("--set", f"{key}={value}")),
        )
        return str(view["campaign"])

    def finish(self, campaign: str) -> dict[str, Any]:
        """Wait for the release; its report, verified by the command that fetched it."""
        self.run("campaign", "watch", campaign, "--as", self.grid.operator)
        report: dict[str, Any] = self.run(
            *("campaign", "report", campaign, "--out", self.out / campaign),
            *("--as", self.grid.operator),
        )
        return report

    def cancel(self, campaign: str, reason: str) -> None:
        """Stop a campaign, unless it has ended by itself meanwhile, as one does that fails."""
        words = ("campaign", "cancel", campaign, "--reason", reason, "--as", self.grid.operator)
        ended = self.grid.processes.attempt(*words)
        if ended.returncode and ENDED not in ended.stderr:
            raise CommandFailed(f"campaign cancel ended with {ended.returncode}: {ended.stderr}")

    def until(self, campaign: str, word: str) -> dict[str, Any]:
        """The campaign's view once why it waits has `word` in it, or once it ended.

        Bounded, and then the view as it is.
        """
        who, deadline = ("--as", self.grid.operator), time.monotonic() + WAIT_SECONDS
        watch = ("campaign", "watch", campaign, "--until", word)
        view: dict[str, Any] = {}
        while not view or (view["state"] not in OVER and time.monotonic() < deadline):
            with suppress(subprocess.TimeoutExpired):
                seen = self.grid.processes.attempt(*watch, *who)
                if seen.returncode == exits.OK:
                    return dict(json.loads(seen.stdout))
            view = self.run("campaign", "show", campaign, *who)
        return view

    def wait_for_work(self) -> None:
        """Until some host runs a unit."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            for state in self.grid.workers[:HOSTS]:
                if self.run("worker", "status", "--state", state).get("running"):
                    return
            time.sleep(POLL_SECONDS)
        raise CommandFailed("no worker began to work")

    def evidence(self, campaign: str) -> Path:
        """The campaign's evidence as an accredited auditor gets it."""
        folder = self.grid.home / f"evidence-{campaign}"
        if not folder.exists():
            self.run(
                *("log", "evidence", "--campaign", campaign, "--out", folder),
                *("--as", self.grid.auditor),
            )
        return folder

    def statements(self, campaign: str, kind: type[Document]) -> list[dict[str, Any]]:
        """The campaign's signed documents of one kind, from its evidence."""
        found = _payloads(self.evidence(campaign), kind.TYPE)
        return [payload for payload in found if payload["campaign"] == campaign]

    def halved(self, campaign: str, partials: Sequence[dict[str, Any]]) -> bool:
        """Whether scheduler and helper each opened a sum of halves, and kept nobody's own half."""
        sides = sorted(share["side"] for share in self.statements(campaign, AggregateShare))
        return sides == sorted(Side) and not truth.halves(self.evidence(campaign), partials)

    def rules(self, name: str) -> tuple[ReleaseRules, ...]:
        """The release rules of a bundle that was voted on."""
        return rules_of(self.sources[name])

    def spend(self, campaigns: int, whom: str) -> None:
        """Privacy and electricity."""
        each = [accounting.rho_of(self.rules(name)) for name in self.bundles]
        rho = sum(each, start=Fraction(0)) * campaigns / len(each)
        cores = self.grid.processes.cpu_seconds()
        watt_hours = cores * WATTS_PER_CORE / 3600
        self.tell.say(
            f"  cost privacy: rho {float(rho)} per {whom} in all "
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
        checks = json.loads(green.stdout or "{}").get("checks", [])
        self.tell.check(
            "the audit replays everything from files alone",
            held=green.returncode == 0 and bool(checks),
            seen=f"{len(checks)} checks, exit {green.returncode}",
        )
        forged = self.out / "evidence-forged"
        shutil.copytree(evidence, forged)
        objects = [path for path in (forged / "objects").rglob("*") if path.is_file()]
        victim = max(objects, key=lambda path: path.stat().st_size)
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(bytes(data))
        red = self.grid.processes.attempt("audit", "verify", forged, "--policy", policy)
        failed = [c for c in json.loads(red.stdout or "{}").get("checks", []) if not c["ok"]]
        self.tell.check(
            "the audit of a copy with one changed byte is red",
            held=red.returncode == 3 and bool(failed),
            seen=f"exit {red.returncode}, {failed[0]['name'] if failed else 'no check named'}",
        )
        shutil.rmtree(forged)
        self.tell.say(
            "  next .venv/bin/cadastre audit verify demo-out/evidence --policy demo-out/policy.txt"
        )


def rules_of(source: Path) -> tuple[ReleaseRules, ...]:
    """The release rules of the bundle in a folder."""
    return archive.pack_folder(source).manifest.rules()


def _payloads(folder: Path, payload_type: str) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            envelope = Envelope.parse(path.read_bytes())
        except TrustError:
            continue
        if envelope.payload_type == payload_type:
            yield json.loads(envelope.payload)
