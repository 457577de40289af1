"""A territory from nothing: keys, root ceremony, scheduler, governance, keyholder, workers.

Every step is a command that an operator or a member would type (docs/operations.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopback.processes import Processes, free_ports

TERRITORY = "demo.cadastre.example"
MEMBERS = ("habitants", "professionnels", "scientifiques")
THRESHOLD = 2
AUTHORITY = "plaine-commune"  # who alone may make the territory's graph
TRUSTEES, TRUSTEES_NEEDED = 5, 3


@dataclass(frozen=True)
class Site:
    """Where a worker stands and who administers it."""

    operator: str
    site: str
    concludes: bool = False  # the operator names it to turn aggregates into reports


class Territory:
    """The processes of one demonstration and the folders they keep."""

    def __init__(self, processes: Processes, home: Path) -> None:
        self.processes = processes
        self.home = home
        self.operator = home / "operator"
        self.auditor = home / "auditor"
        self.workers: list[Path] = []
        names = ("work", "enrol", "http", "witness", "status", "helper", "keyholder")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))

    @property
    def registry(self) -> str:
        """Governance's address."""
        return f"http://127.0.0.1:{self.ports['status']}"

    @property
    def helper(self) -> str:
        """The second aggregator's address."""
        return f"http://127.0.0.1:{self.ports['helper']}"

    @property
    def keyholder(self) -> str:
        """Who opens `encrypted` campaigns, with the trustees."""
        return f"http://127.0.0.1:{self.ports['keyholder']}"

    @property
    def site(self) -> str:
        """Where the scheduler serves log and objects to everybody."""
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def root(self) -> Path:
        """The signed territory root."""
        return self.home / "root.json"

    @property
    def scheduling(self) -> tuple[str | Path, ...]:
        """The command of the scheduler's process."""
        state = self.home / "scheduler"
        asking = ("--helper", self.helper, "--keyholder", self.keyholder)
        return ("scheduler", "serve", "--state", state, *asking)

    def member(self, name: str) -> Path:
        """A member's private key file."""
        return self.home / "keys" / name

    def trustee(self, number: int) -> Path:
        """A trustee's folder; `number` from 1."""
        return self.home / f"trustee-{number}"

    def found(self) -> None:
        """Keys, root, scheduler, witness, status server, helper, keyholder; an operator joins."""
        run, home, ports = self.processes.run, self.home, self.ports
        (home / "keys").mkdir()
        roots: list[str] = [f"root-{name}" for name in MEMBERS]
        for name in (*roots, *MEMBERS, "status", AUTHORITY):
            run("college", "key", "--out", self.member(name))
        run(
            *("scheduler", "init", "--territory", TERRITORY, "--host", "127.0.0.1"),
            *("--state", str(home / "scheduler"), "--work-port", str(ports["work"])),
            *("--enrol-port", str(ports["enrol"]), "--http-port", str(ports["http"])),
        )
        offer = home / "scheduler" / "offer.json"
        run("witness", "init", "--state", home / "witness", "--name", "temoin.example")
        run("witness", "follow", "--state", home / "witness", "--log-vkey-from", offer)
        halves = home / "helper"
        run("helper", "init", "--state", halves)
        run("keyholder", "init", "--state", home / "keyholder")
        trustees = [self.trustee(number) for number in range(1, TRUSTEES + 1)]
        for trustee in trustees:
            run("trustee", "init", "--state", trustee)
        witness = f"{home / 'witness' / 'witness.vkey'}=http://127.0.0.1:{ports['witness']}"
        draft: list[str | Path] = ["root", "draft", "--offer", offer, "--out", self.root]
        draft += ["--root-key", *self._public(roots), "--root-threshold", str(THRESHOLD)]
        draft += ["--college", *self._public(MEMBERS), "--college-threshold", str(THRESHOLD)]
        draft += ["--graph-key", *self._public([AUTHORITY])]
        draft += ["--status-key", *self._public(["status"]), "--witness", witness, "--quorum", "1"]
        draft += ["--helper-key", halves / "helper.key.pub"]
        draft += ["--keyholder-key", home / "keyholder" / "keyholder.key.pub"]
        draft += ["--trustee-key", *(trustee / "trustee.key.pub" for trustee in trustees)]
        draft += ["--trustee-threshold", str(TRUSTEES_NEEDED)]
        run(*draft, "--status-url", f"{self.registry}/status.json")
        for name in roots[:THRESHOLD]:
            run("root", "sign", self.root, "--key", self.member(name))
        watching: tuple[str | Path, ...] = ("witness", "serve", "--state", home / "witness")
        self._serve("witness", *watching, "--listen", self._at("witness"))
        run("scheduler", "install-root", "--state", home / "scheduler", self.root)
        serving: tuple[str | Path, ...] = ("status", "serve", "--state", home / "governance")
        self._serve(
            "status",
            *serving,
            *("--key", self.member("status"), "--listen", self._at("status"), "--root", self.root),
        )
        self._serve("work", *self.scheduling)
        self._wait_for_scheduler()
        helping: tuple[str | Path, ...] = ("helper", "serve", "--state", halves)
        where = ("--listen", self._at("helper"), "--site", self.site)
        self._serve("helper", *helping, *where, "--root", self.root)
        for trustee in trustees:
            certified = ("--out", trustee.with_suffix(".trustee"))
            run("trustee", "certify", "--state", trustee, "--root", self.root, *certified)
        keeping: tuple[str | Path, ...] = ("keyholder", "serve", "--state", home / "keyholder")
        self._serve("keyholder", *keeping, "--listen", self._at("keyholder"), *self._reading)
        for folder, role, name in (
            (self.operator, "operator", "ville"),
            (self.auditor, "auditor", "cour-des-comptes"),
        ):
            run("operator", "join", "-", "--as", folder, typed=self._token(role, name, "mairie"))

    def hold_ceremony(self, campaign: str) -> dict[str, Any]:
        """The keyholder's operator makes a campaign's key and shares it among the trustees."""
        sheets = [self.trustee(number + 1).with_suffix(".trustee") for number in range(TRUSTEES)]
        answer: dict[str, Any] = self.processes.run(
            *("keyholder", "ceremony", campaign, "--state", self.home / "keyholder"),
            *(*self._reading, "--trustee", *sheets),
        )
        return answer

    def contribute(self, number: int) -> int:
        """One trustee reads the opening that waits; how many have given their share by then."""
        (given,) = self.processes.run(
            *("trustee", "contribute", "--state", self.trustee(number), *self._reading),
            *("--keyholder", self.keyholder),
        )
        return int(given["trustees"])

    def enrol(self, sites: list[Site]) -> None:
        """Join a worker per site."""
        for number, place in enumerate(sites, start=1):
            state = self.home / f"worker-{number}"
            named = ("--concludes",) if place.concludes else ()
            token = self._token("worker", place.operator, place.site, *named)
            self.processes.run("worker", "join", "-", "--state", state, typed=token)
            self.workers.append(state)

    def start_workers(self) -> None:
        """Start every worker's agent."""
        for state in self.workers:
            self.processes.serve(state.name, "worker", "run", "--state", state)

    def replace_scheduler(self, program: tuple[str | Path, ...] = ()) -> None:
        """Stop the scheduler; start it again, or `program` (of Python) on its state and helper."""
        self.processes.stop("work")
        if program:
            self.processes.serve("work", self.home / "scheduler", self.helper, program=program)
        else:
            self.processes.serve("work", *self.scheduling)
        self._wait_for_scheduler()

    def authorise(self, bundle: Path, *images: str, campaigns: int, rho: str) -> str:
        """Two members of three sign; the scheduler takes it. The authorisation's id."""
        run, draft = self.processes.run, bundle.with_suffix(".authorisation.json")
        drafted = run(
            *("authorisation", "draft", bundle, "--territory", TERRITORY),
            *("--campaigns", str(campaigns), "--rho-budget", rho),
            *("--out", draft, "--image"),
            *images,
        )
        for name in MEMBERS[:THRESHOLD]:
            run("authorisation", "sign", draft, "--key", self.member(name))
        run("bundle", "authorise", draft, "--as", self.operator)
        return str(drafted.get("id", ""))

    def invite(self, role: str, name: str) -> str:
        """The address of the pages that signs somebody in, once."""
        answer = self.processes.run(
            *("scheduler", "invite", "--state", self.home / "scheduler"),
            *("--role", role, "--name", name),
        )
        return str(answer["open"])

    def _token(self, role: str, operator: str, site: str, *more: str) -> str:
        answer = self.processes.run(
            *("scheduler", "token", "create", "--state", self.home / "scheduler"),
            *("--role", role, "--operator", operator, "--site", site, *more),
        )
        return str(answer["token"])

    def _serve(self, name: str, *words: str | Path) -> None:
        self.processes.serve(name, *words)
        self.processes.wait_until(name, self.processes.answers(self.ports[name]))

    def _wait_for_scheduler(self) -> None:
        for port in ("work", "enrol", "http"):
            self.processes.wait_until("work", self.processes.answers(self.ports[port]))

    @property
    def _reading(self) -> tuple[str | Path, ...]:
        return ("--root", self.root, "--site", self.site)

    def _at(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def _public(self, names: tuple[str, ...] | list[str]) -> list[Path]:
        return [self.member(name).with_name(f"{name}.pub") for name in names]
