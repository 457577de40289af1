"""A territory from nothing: keys, root ceremony, scheduler, witness, governance, workers.

Every step is a command that an operator or a member would type (docs/operations.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.processes import Processes, free_ports

TERRITORY = "demo.cadastre.example"
MEMBERS = ("habitants", "professionnels", "scientifiques")
THRESHOLD = 2


@dataclass(frozen=True)
class Site:
    """Where a worker stands and who administers it."""

    operator: str
    site: str


class Territory:
    """The processes of one demonstration and the folders they keep."""

    def __init__(self, processes: Processes, home: Path) -> None:
        self.processes = processes
        self.home = home
        self.operator = home / "operator"
        self.auditor = home / "auditor"
        self.workers: list[Path] = []
        names = ("work", "enrol", "http", "witness", "status")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))

    @property
    def registry(self) -> str:
        """Governance's address."""
        return f"http://127.0.0.1:{self.ports['status']}"

    @property
    def root(self) -> Path:
        """The signed territory root."""
        return self.home / "root.json"

    def member(self, name: str) -> Path:
        """A member's private key file."""
        return self.home / "keys" / name

    def found(self) -> None:
        """Keys, root, scheduler, witness, status server; an operator joins."""
        run, home, ports = self.processes.run, self.home, self.ports
        (home / "keys").mkdir()
        roots: list[str] = [f"root-{name}" for name in MEMBERS]
        for name in (*roots, *MEMBERS, "status"):
            run("college", "key", "--out", self.member(name))
        run(
            *("scheduler", "init", "--territory", TERRITORY, "--host", "127.0.0.1"),
            *("--state", str(home / "scheduler"), "--work-port", str(ports["work"])),
            *("--enrol-port", str(ports["enrol"]), "--http-port", str(ports["http"])),
        )
        offer = home / "scheduler" / "offer.json"
        run("witness", "init", "--state", home / "witness", "--name", "temoin.example")
        run("witness", "follow", "--state", home / "witness", "--log-vkey-from", offer)
        witness = f"{home / 'witness' / 'witness.vkey'}=http://127.0.0.1:{ports['witness']}"
        draft: list[str | Path] = ["root", "draft", "--offer", offer, "--out", self.root]
        draft += ["--root-key", *self._public(roots), "--root-threshold", str(THRESHOLD)]
        draft += ["--college", *self._public(MEMBERS), "--college-threshold", str(THRESHOLD)]
        draft += ["--status-key", *self._public(["status"]), "--witness", witness, "--quorum", "1"]
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
        self._serve("work", "scheduler", "serve", "--state", home / "scheduler")
        self.processes.wait_until("work", self.processes.answers(ports["enrol"]))
        for folder, role, name in (
            (self.operator, "operator", "ville"),
            (self.auditor, "auditor", "cour-des-comptes"),
        ):
            run("operator", "join", "-", "--as", folder, typed=self._token(role, name, "mairie"))

    def enrol(self, sites: list[Site]) -> None:
        """Join a worker per site."""
        for number, place in enumerate(sites, start=1):
            state = self.home / f"worker-{number}"
            token = self._token("worker", place.operator, place.site)
            self.processes.run("worker", "join", "-", "--state", state, typed=token)
            self.workers.append(state)

    def start_workers(self) -> None:
        """Start every worker's agent."""
        for state in self.workers:
            self.processes.serve(state.name, "worker", "run", "--state", state)

    def replace_scheduler(self, *, bought: bool) -> None:
        """Stop the scheduler and start it, or the one that somebody bought, in its place."""
        state = self.home / "scheduler"
        self.processes.stop("work")
        if bought:
            program = ("-m", "demo.bought_scheduler")
            self.processes.serve("work", state, program=program)
        else:
            self.processes.serve("work", "scheduler", "serve", "--state", state)
        self.processes.wait_until("work", self.processes.answers(self.ports["enrol"]))

    def authorise(self, bundle: Path, image: str, *, campaigns: int, rho: str) -> str:
        """Two members of three sign; the scheduler takes it. The authorisation's id."""
        run, draft = self.processes.run, bundle.with_suffix(".authorisation.json")
        drafted = run(
            *("authorisation", "draft", bundle, "--territory", TERRITORY, "--image", image),
            *("--campaigns", str(campaigns), "--rho-budget", rho, "--out", draft),
        )
        for name in MEMBERS[:THRESHOLD]:
            run("authorisation", "sign", draft, "--key", self.member(name))
        run("bundle", "authorise", draft, "--as", self.operator)
        return str(drafted.get("id", ""))

    def _token(self, role: str, operator: str, site: str) -> str:
        answer = self.processes.run(
            *("scheduler", "token", "create", "--state", self.home / "scheduler"),
            *("--role", role, "--operator", operator, "--site", site),
        )
        return str(answer["token"])

    def _serve(self, name: str, *words: str | Path) -> None:
        self.processes.serve(name, *words)
        self.processes.wait_until(name, self.processes.answers(self.ports[name]))

    def _at(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def _public(self, names: tuple[str, ...] | list[str]) -> list[Path]:
        return [self.member(name).with_name(f"{name}.pub") for name in names]
