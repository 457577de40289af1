"""A territory of real processes in which no contribution can be lost or doubled unseen.

Capsule i holds the number i, its contribution is a one in cell i, and the data class is public,
so that `cells` is released without noise: exactly all ones, or somebody is missing (0) or was
counted twice (2). It also holds a mark that no other file of a territory has by chance: who finds
one elsewhere has found a leak. A third output, `paid`, carries noise and so has a price: the
ledger of every worker must hold exactly one charge per capsule and campaign.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from known import tell
from mortals import Mortals, TooLate, until

from capsule_runtime.ledger import Ledger
from demo.processes import CommandFailed
from demo.territory import Site, Territory
from scheduler.log.storage import PUBLIC
from trust.clock import SystemClock
from trust.errors import LogRefused
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.replay import check_log
from trust.root import trust_pinned

HOSTS = 3
CAPSULES = 12  # per host
CELLS = HOSTS * CAPSULES
SITES = [
    Site("ville", "mairie"),
    Site("departement", "college"),
    Site("association", "maison"),
    Site("ville", "salle-serveurs", concludes=True),  # holds no capsules
]
RHO = "0.001"
FIRST_MARK = 0xB6_5D_3A_C8_00
MARKS = [FIRST_MARK + number for number in range(CELLS)]
HASTY = Path(__file__).with_name("hasty_scheduler.py")
ENDED = {"released", "failed", "cancelled"}
CAMPAIGN_SECONDS = 240.0
UP_SECONDS = 60.0

MAPPING = """\
[capsule]
data_class = "public"
unit = "owner"
one_per = "number"
[tables.numbers]
columns.number = { type = "integer", from = "number" }
columns.mark = { type = "integer", from = "mark" }
"""
ALGORITHM = f'''\
import numpy as np


def contribute(capsule, parameters):
    """A one in the capsule's own cell; it takes its time, so that a kill finds it at work."""
    cells = np.zeros({CELLS}, np.int64)
    cells[int(capsule["numbers"]["number"][0])] = 1
    for _ in range(20):
        np.linalg.svd(np.ones((120, 120)))
    marks = np.array([int(capsule["numbers"]["mark"][0])], np.int64)
    return {{"cells": cells, "marks": marks, "paid": np.ones(1, np.int64)}}


def conclude(aggregate, parameters):
    return {{"cells": aggregate["cells"], "marks": aggregate["marks"]}}
'''
MANIFEST = f"""\
[bundle]
name = "roll_call"
version = "1.0.0"
title.fr = "Appel"
title.en = "Roll call"
purpose = "tests"
licence = "GPL-2.0-or-later"
authors = ["Tests"]
[entry]
contribute = "algorithm:contribute"
conclude = "algorithm:conclude"
runtime = "python"
profile = "min"
[needs]
tables.numbers = ["number", "mark"]
classes = ["public"]
libraries = ["numpy"]
memory_mib = 512
cpu_seconds = 20
wall_seconds = 30
[release.cells]
shape = [{CELLS}]
dtype = "int64"
step = 1
clip = {{ norm = "l1", bound = 1 }}
unit = "owner"
protection = "clear"
noise = {{ mechanism = "none" }}
minimum_contributors = {CAPSULES}
maximum_contributors = 1000
minimum_workers = {HOSTS}
minimum_operators = {HOSTS}
[release.marks]
shape = [1]
dtype = "int64"
step = 1
clip = {{ norm = "l1", bound = {1 << 40} }}
unit = "owner"
protection = "clear"
noise = {{ mechanism = "none" }}
minimum_contributors = {CAPSULES}
maximum_contributors = 1000
[release.paid]
shape = [1]
dtype = "int64"
step = 1
clip = {{ norm = "l1", bound = 1 }}
unit = "owner"
protection = "clear"
noise = {{ mechanism = "discrete_gaussian", rho = "{RHO}" }}
minimum_contributors = {CAPSULES}
maximum_contributors = 1000
[report.cells]
shape = [{CELLS}]
dtype = "int64"
unit = "capsules"
labels = [{json.dumps([str(cell) for cell in range(CELLS)])}]
[report.marks]
shape = [1]
dtype = "int64"
unit = "marks"
labels = [["sum"]]
[rounds]
maximum = 1
quorum = {HOSTS}
deadline_seconds = 600
[mock.numbers]
rows = 1
columns.number = {{ minimum = 0, maximum = {CELLS - 1} }}
columns.mark = {{ minimum = 0, maximum = 9 }}
"""


class Town:
    """The processes, and what must hold of them whatever happens."""

    manifest, algorithm = MANIFEST, ALGORITHM

    def __init__(self, home: Path, campaigns: int, protection: str) -> None:
        self.home = home
        self.lines: list[str] = []
        self.mortals = Mortals(home / "logs", self.lines.append)
        self.grid = Territory(self.mortals, home)
        self.run = self.mortals.run
        self.campaigns: list[str] = []
        self._allowed = campaigns
        self._manifest = self.manifest.replace('"clear"', f'"{protection}"')
        self.bundle = ""
        self.temporary = home  # where its processes put temporary files

    @property
    def workers(self) -> list[str]:
        """The names of the worker processes; the last one concludes."""
        return [state.name for state in self.grid.workers]

    @property
    def asked(self) -> tuple[str, str]:
        """Where the scheduler asks helper and keyholder."""
        return self.grid.helper, self.grid.keyholder

    def found(self) -> None:
        """Everything up to the point where a campaign can start."""
        self.grid.found()
        self.replace_scheduler(HASTY)
        self.grid.enrol(SITES)
        owners = [self._seal(host) for host in range(HOSTS)]
        for state in self.grid.workers:
            tell(state)
        self.grid.start_workers()
        self._vote()
        for folder in owners:
            self.run("consent", "grant", folder, "--bundle", self.bundle)
            registry = ("--registry", self.grid.registry)
            self.run("consent", "submit", folder, *registry, "--as", self.grid.operator)

    def replace_scheduler(self, program: Path) -> None:
        """Stop the scheduler and run `program` on its state; its ports answer afterwards."""
        self.mortals.stop("work")
        state = self.home / "scheduler"
        self.mortals.serve("work", state, *self.asked, program=(program,))
        for port in ("work", "enrol", "http"):
            self.mortals.wait_until("work", self.mortals.answers(self.grid.ports[port]))

    def start(self) -> str:
        """Start a campaign; its id. Its round waits until every worker has shown itself."""
        view = self.run("campaign", "start", self.bundle, "--as", self.grid.operator)
        self.campaigns.append(view["campaign"])
        return str(view["campaign"])

    def view(self, campaign: str) -> dict[str, Any]:
        """The campaign as its operator sees it; empty while the scheduler is not up."""
        shown = self.mortals.attempt("campaign", "show", campaign, "--as", self.grid.operator)
        view: dict[str, Any] = json.loads(shown.stdout) if shown.returncode == 0 else {}
        return view

    def follow(self, campaign: str, seconds: float = CAMPAIGN_SECONDS) -> dict[str, Any]:
        """Its last view, once it has ended. Raises TooLate with what it waits for."""
        last: dict[str, Any] = {}

        def ended() -> bool:
            self.mortals.require_alive()
            last.update(self.view(campaign))
            return last.get("state") in ENDED

        try:
            until(f"{campaign} ends", ended, seconds)
        except TooLate as error:
            raise TooLate(f"{error}; last seen {last}") from None
        return last

    def require_exact(self, campaign: str) -> None:
        """Released, and every capsule in it exactly once."""
        view = self.follow(campaign)
        assert view["state"] == "released", view
        report = self.run("campaign", "report", campaign, "--as", self.grid.operator)
        arrays = report["arrays"]
        assert arrays["cells"]["cells"] == [1] * CELLS, arrays
        assert arrays["marks"]["cells"] == [sum(MARKS)], arrays

    def require_charged_once(self) -> None:
        """Each worker's ledger has one charge per capsule and campaign, and its chain holds.

        The workers are stopped for it: an open ledger is nobody else's to read.
        """
        for state in self.grid.workers:
            self.mortals.stop(state.name)
        for host, state in enumerate(self.grid.workers[:HOSTS]):
            copy = self.home / f"ledger-of-{state.name}"
            copy.mkdir()
            for file in state.glob("ledger.sqlite*"):
                shutil.copy2(file, copy / file.name)
            Ledger(copy, SystemClock()).close()  # recomputes the whole chain
            capsules = {path.stem for path in (self._owners(host) / "capsules").glob("*.capsule")}
            connection = sqlite3.connect(copy / "ledger.sqlite")
            try:
                rows = connection.execute(
                    # A seal ends a transaction and charges nobody.
                    "SELECT kind, capsule, campaign, round, rho FROM entry WHERE kind <> 'seal'"
                ).fetchall()
            finally:
                connection.close()
            wanted = {
                ("reserve", capsule, campaign, 1)
                for capsule in capsules
                for campaign in self.campaigns
            }
            counted = Counter(row[:4] for row in rows)
            assert counted == Counter(dict.fromkeys(wanted, 1)), counted - Counter(wanted)
            assert len({row[4] for row in rows}) <= 1

    def entries(self) -> list[LogEntry]:
        """What the log holds, from its own files, once the witness has cosigned all of it."""
        raw = self.grid.root.read_bytes()
        policy = Policy.parse(trust_pinned(raw, Digest.of(raw)).document.log_policy.encode())
        public = self.home / "scheduler" / "log" / PUBLIC
        found: list[LogEntry] = []

        def whole() -> bool:
            try:
                lines = check_log(lambda path: (public / path).read_bytes(), policy).entries
            except LogRefused:
                return False  # it was appended to just now
            found[:] = [LogEntry.parse(line) for line in lines]
            return True

        until("the log is whole and witnessed", whole, UP_SECONDS)
        return found

    def kinds(self) -> Counter[Kind]:
        """How many documents of each kind are in the log."""
        return Counter(entry.kind for entry in self.entries())

    def require_audited(self) -> None:
        """The log is whole, from its own files and from an auditor's."""
        raw = self.grid.root.read_bytes()
        kinds = self.kinds()
        for kind in (Kind.OPENING, Kind.RELEASE):
            assert kinds[kind] == len(self.campaigns)
        evidence = self.home / "evidence"
        self.run("log", "evidence", "--out", evidence, "--as", self.grid.auditor)
        pinned = self.home / "policy.txt"
        pinned.write_text(f"cadastre-audit-policy-v1\nroot {Digest.of(raw)}\n")
        self.run("audit", "verify", evidence, "--policy", pinned)

    def status(self, worker: str) -> dict[str, Any]:
        """What `cadastre worker status` shows; empty while it does not run."""
        state = self.home / worker
        shown = self.mortals.attempt("worker", "status", "--state", state)
        told: dict[str, Any] = json.loads(shown.stdout) if shown.returncode == 0 else {}
        return told

    def _owners(self, host: int) -> Path:
        return self.home / "owners" / str(host + 1)

    def _seal(self, host: int) -> Path:
        owners = self.home / "owners"
        owners.mkdir(mode=0o700, exist_ok=True)
        mapping, table = owners / "mapping.toml", owners / "numbers.csv"
        mapping.write_text(MAPPING)
        numbers = range(host * CAPSULES, (host + 1) * CAPSULES)
        rows = (f"{number},{MARKS[number]}\n" for number in numbers)
        table.write_text("number,mark\n" + "".join(rows))
        folder, state = self._owners(host), self.grid.workers[host]
        card = ("--worker", state / "card.json")
        self.run("capsule", "seal", table, "--mapping", mapping, "--out", folder, *card)
        self.run("capsule", "host", folder, "--state", state)
        return folder

    def _vote(self) -> None:
        source, folder = self.home / "roll_call", self.home / "bundles"
        source.mkdir()
        folder.mkdir()
        (source / "bundle.toml").write_text(self._manifest)
        (source / "algorithm.py").write_text(self.algorithm)
        image = self.run("worker", "image", "--state", self.grid.workers[0])["image"]
        author = ("--key", folder / "author", "--new-key", "--out", folder)
        self.bundle = self.run("bundle", "sign", source, *author)["digest"]
        archive = next(folder.glob("roll_call-*.cadastre"))
        self.run("bundle", "submit", archive, "--as", self.grid.operator)
        self.grid.authorise(archive, image, campaigns=self._allowed, rho="0.5")


T = TypeVar("T", bound=Town)


@contextmanager
def town(campaigns: int = 100, protection: str = "clear") -> Iterator[Town]:
    """A founded territory, as `founded` says."""
    with founded(Town, campaigns, protection) as made:
        yield made


@contextmanager
def founded(kind: type[T], campaigns: int, protection: str) -> Iterator[T]:
    """A founded territory in a directory that the workers' own user can reach."""
    # Workers of a root test run as their own user, who can't enter pytest's private folders.
    home = Path(tempfile.mkdtemp(prefix="cadastre-faults-"))
    home.chmod(0o711)
    made = kind(home, campaigns, protection)
    started = time.monotonic()
    try:
        made.found()
        made.lines.append(f"founded in {time.monotonic() - started:.1f} s")
        yield made
    except (AssertionError, CommandFailed):
        for log in sorted(made.mortals.logs.glob("*.log")):
            print(f"--- {log.name}\n{made.mortals.tail(log.stem, 4000)}")
        print("\n".join(made.lines[-40:]))
        raise
    finally:
        made.mortals.stop_all()
        if "CADASTRE_KEEP" not in os.environ:
            shutil.rmtree(home, ignore_errors=True)
