"""A territory of real processes in which no contribution can be lost or doubled unseen.

Capsule i holds the number i, its contribution is a one in cell i, and the data class is public,
so that `cells` is released without noise: exactly all ones, or somebody is missing (0) or was
counted twice (2). It also holds a mark that no other file of a territory has by chance: who finds
one elsewhere has found a leak. A third output, `paid`, carries noise and so has a price: the
ledger of every worker must hold exactly one charge per capsule and campaign.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import standing
from known import tell
from mortals import until
from standing import Standing

from capsule_runtime.ledger import Ledger
from loopback.territory import Site
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
UP_SECONDS = 120.0

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


class Town(Standing):
    """The processes, and what must hold of them whatever happens."""

    manifest, algorithm = MANIFEST, ALGORITHM
    rounds = 1  # of each campaign

    def __init__(self, home: Path, campaigns: int, protection: str) -> None:
        super().__init__(home, SITES)
        self.campaigns: list[str] = []
        self._allowed = campaigns
        self._protection = protection
        self.bundle = ""
        self.temporary = home  # where its processes put temporary files

    def found(self) -> None:
        """Everything up to the point where a campaign can start."""
        super().found()
        self.replace_scheduler(HASTY)
        for host in range(HOSTS):
            self._seal(host)
        for state in self.grid.workers:
            tell(state)
        self.grid.start_workers()
        self.bundle = self.vote("roll_call", self.manifest)

    def vote(self, name: str, manifest: str) -> str:
        """The town's algorithm under `manifest`, with every owner's consent; its digest."""
        source = self.home / name
        source.mkdir()
        protected = manifest.replace('"clear"', f'"{self._protection}"')
        (source / "bundle.toml").write_text(protected)
        (source / "algorithm.py").write_text(self.algorithm)
        return self.admit(source, campaigns=self._allowed)

    def start(self) -> str:
        """Start a campaign; its id."""
        self.campaigns.append(self.launch(self.bundle))
        return self.campaigns[-1]

    def require_exact(self, campaign: str) -> None:
        """Released, and every capsule in it exactly once."""
        self.require_released(campaign)
        report = self.run("campaign", "report", campaign, "--as", self.grid.operator)
        arrays = report["arrays"]
        assert arrays["cells"]["cells"] == [1] * CELLS, arrays
        assert arrays["marks"]["cells"] == [sum(MARKS)], arrays

    def require_charged_once(self) -> None:
        """Each worker's ledger has one charge per capsule and round; the workers stop for it."""
        self.stop_workers()
        for host in range(HOSTS):
            rows = self.charges(host)
            wanted = {
                (capsule, campaign, number)
                for capsule in self.capsules(host)
                for campaign in self.campaigns
                for number in range(1, self.rounds + 1)
            }
            counted = Counter(row[:3] for row in rows)
            assert counted == Counter(dict.fromkeys(wanted, 1)), counted - Counter(wanted)
            assert len({row[3] for row in rows}) <= 1

    def stop_workers(self) -> None:
        """An open ledger is nobody else's to read."""
        for state in self.grid.workers:
            self.mortals.stop(state.name)

    def capsules(self, host: int) -> set[str]:
        """The ids of a host's capsules."""
        return {path.stem for path in (self.owners[host] / "capsules").glob("*.capsule")}

    def charges(self, host: int) -> list[tuple[str, str, int, str]]:
        """(capsule, campaign, round, rho) of a stopped host's ledger, whose chain holds."""
        state = self.grid.workers[host]
        copy = self.home / f"ledger-of-{state.name}"
        copy.mkdir()
        for file in state.glob("ledger.sqlite*"):
            shutil.copy2(file, copy / file.name)
        Ledger(copy, SystemClock()).close()  # recomputes the whole chain
        with closing(sqlite3.connect(copy / "ledger.sqlite")) as connection:
            # A seal ends a transaction and charges nobody.
            query = "SELECT kind, capsule, campaign, round, rho FROM entry WHERE kind <> 'seal'"
            rows = connection.execute(query).fetchall()
        assert {kind for kind, *_ in rows} <= {"reserve"}
        return [tuple(row[1:]) for row in rows]

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
        kinds = self.kinds()
        assert kinds[Kind.OPENING] == self.rounds * len(self.campaigns)
        assert kinds[Kind.RELEASE] == len(self.campaigns)
        self.require_evidence()

    def status(self, worker: str) -> dict[str, Any]:
        """What `cadastre worker status` shows; empty while it does not run."""
        state = self.home / worker
        shown = self.mortals.attempt("worker", "status", "--state", state)
        told: dict[str, Any] = json.loads(shown.stdout) if shown.returncode == 0 else {}
        return told

    def _seal(self, host: int) -> None:
        owners = self.home / "owners"
        owners.mkdir(mode=0o700, exist_ok=True)
        mapping, table = owners / "mapping.toml", owners / "numbers.csv"
        mapping.write_text(MAPPING)
        numbers = range(host * CAPSULES, (host + 1) * CAPSULES)
        rows = (f"{number},{MARKS[number]}\n" for number in numbers)
        table.write_text("number,mark\n" + "".join(rows))
        self.host(host, table, mapping)


T = TypeVar("T", bound=Town)


@contextmanager
def town(campaigns: int = 100, protection: str = "clear") -> Iterator[Town]:
    """A founded territory, as `founded` says."""
    with founded(Town, campaigns, protection) as made:
        yield made


@contextmanager
def founded(kind: type[T], campaigns: int, protection: str) -> Iterator[T]:
    """A town of some kind, ready for its first campaign."""
    with standing.founded(lambda home: kind(home, campaigns, protection)) as made:
        yield made
