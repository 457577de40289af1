"""A territory's servers on this machine, and a second machine: a network namespace with a cable."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from client.session import Session, within
from protos.cadastre.v1 import campaigns_pb2, campaigns_pb2_grpc, states_pb2

FRONT_DOOR = Path(sys.executable).with_name("cadastre")
TERRITORY = "package.cadastre.example"
MEMBERS = ("habitants", "professionnels")
# A documentation-like corner of the private range, unlikely to be routed anywhere.
HERE, THERE, PREFIX = "10.213.77.1", "10.213.77.2", 30
COMMAND_SECONDS = 120.0
WAIT_SECONDS = 90.0


class Server:
    """A process whose words go to a log file, and who says in one of them that it listens."""

    def __init__(self, command: list[str], log: Path, ready: bytes) -> None:
        """`ready` is what stands in the line that it writes once it listens."""
        self._log = log
        self._ready = ready
        self._told = threading.Event()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def wait_until_ready(self) -> None:
        """Until it said so; one that ended, or said nothing for too long, fails with its log."""
        assert self._told.wait(WAIT_SECONDS), f"{self._log.stem} says nothing"
        words = self._log.read_bytes()
        assert self._ready in words, f"{self._log.stem} did not start: {words[-1500:]!r}"

    def stop(self) -> None:
        """End it, and hear it out."""
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._listener.join(10)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as words, self._log.open("wb", buffering=0) as log:
            for line in words:
                log.write(line)
                if self._ready in line:
                    self._told.set()
        self._told.set()  # it ended: whoever waits looks at what it said


class SecondMachine:
    """A network namespace: its own loopback, and one cable to us. No other network."""

    def __init__(self) -> None:
        self.name = f"cadastre-{os.getpid()}"
        self._ours = f"cad{os.getpid()}"
        self.running: list[subprocess.Popen[bytes]] = []
        self.typed: list[str] = []

    def plug_in(self) -> None:
        """Make it."""
        theirs = f"{self._ours}n"
        for words in (
            f"netns add {self.name}",
            f"link add {self._ours} type veth peer name {theirs}",
            f"link set {theirs} netns {self.name}",
            f"addr add {HERE}/{PREFIX} dev {self._ours}",
            f"link set {self._ours} up",
            f"-n {self.name} addr add {THERE}/{PREFIX} dev {theirs}",
            f"-n {self.name} link set lo up",
            f"-n {self.name} link set {theirs} up",
        ):
            subprocess.run(["ip", *words.split()], check=True)

    def type(self, command: str, folder: Path, stdin: str = "") -> str:
        """One command of the person who installs it, counted; its standard output."""
        self.typed.append(command)
        return self.look(command, folder, stdin)

    def look(self, command: str, folder: Path, stdin: str = "") -> str:
        """A command of the test's, not counted."""
        ended = subprocess.run(
            self._inside(command),
            input=stdin,
            cwd=folder,
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout[-1500:]}{ended.stderr[-1500:]}"
        return ended.stdout

    def type_and_leave_running(self, command: str, log: Path) -> None:
        """What systemd would start, where there is no systemd."""
        self.typed.append(command)
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._inside(command),
                cwd="/",
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.running.append(process)

    def unplug(self) -> None:
        """Remove it, and whatever still runs on it."""
        found = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        for process in found.stdout.split():
            subprocess.run(["kill", "-9", process], check=False, stderr=subprocess.DEVNULL)
        for started in self.running:
            started.wait(10)
        for words in (f"netns del {self.name}", f"link del {self._ours}"):
            # The cable goes with either end; a half-made machine lacks some of it.
            subprocess.run(["ip", *words.split()], check=False, stderr=subprocess.DEVNULL)

    def _inside(self, command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, "sh", "-c", command]


class Servers:
    """Scheduler, witness and governance's status server, listening on our end of the cable."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.operator = home / "operator"
        self._running: list[Server] = []
        names = ("work", "enrol", "http", "witness", "status")
        self._ports = dict(zip(names, _free_ports(len(names)), strict=True))

    @property
    def registry(self) -> str:
        """Governance's address."""
        return f"http://{HERE}:{self._ports['status']}"

    def run(self, *words: str | Path, typed: str = "") -> Any:
        """One command; its parsed answer."""
        ended = subprocess.run(
            [FRONT_DOOR, *map(str, words), "--json"],
            input=typed,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, f"{words}: {ended.stderr[-1500:]}"
        return json.loads(ended.stdout) if ended.stdout.strip() else {}

    def found(self) -> None:
        """Keys, root and servers; an operator joins (docs/operations.md, in that order)."""
        home, state = self.home, self.home / "scheduler"
        roots = [f"root-{name}" for name in MEMBERS]
        for name in (*roots, *MEMBERS, "status"):
            self.run("college", "key", "--out", home / name)
        init: list[str | Path] = ["scheduler", "init", "--territory", TERRITORY, "--host", HERE]
        for name in ("work", "enrol", "http"):
            init += [f"--{name}-port", str(self._ports[name])]
        self.run(*init, "--state", state)
        offer, root, watcher = state / "offer.json", home / "root.json", home / "witness"
        self.run("witness", "init", "--state", watcher, "--name", "temoin.example")
        self.run("witness", "follow", "--state", watcher, "--log-vkey-from", offer)
        witness = f"{watcher / 'witness.vkey'}=http://{HERE}:{self._ports['witness']}"
        draft: list[str | Path] = ["root", "draft", "--offer", offer, "--out", root]
        draft += ["--root-key", *self._public(roots), "--root-threshold", "2"]
        draft += ["--college", *self._public(MEMBERS), "--college-threshold", "2"]
        draft += ["--status-key", *self._public(["status"]), "--witness", witness, "--quorum", "1"]
        self.run(*draft, "--status-url", f"{self.registry}/status.json")
        for name in roots:
            self.run("root", "sign", root, "--key", home / name)
        self._serve("witness", b" on http://", "witness", "serve", "--state", watcher, "--listen")
        self.run("scheduler", "install-root", "--state", state, root)
        status: list[str | Path] = ["status", "serve", "--state", home / "governance"]
        status += ["--key", home / "status", "--root", root]
        self._serve("status", b" on http://", *status, "--listen")
        self._serve("enrol", b'"serving"', "scheduler", "serve", "--state", state)
        self.run("operator", "join", "-", "--as", self.operator, typed=self.token("operator"))

    def token(self, role: str) -> str:
        """A one-time token."""
        answer = self.run(
            *("scheduler", "token", "create", "--state", self.home / "scheduler"),
            *("--role", role, "--operator", "ville", "--site", "mairie"),
        )
        return str(answer["token"])

    def authorise(self, folder: Path, image: str) -> str:
        """The author signs, the members authorise, the scheduler takes it: the bundle's digest."""
        key, out = self.home / "author", self.home / "bundles"
        signed = self.run("bundle", "sign", folder, "--key", key, "--new-key", "--out", out)
        packed, decision = Path(signed["bundle"]), self.home / "authorisation.json"
        self.run("bundle", "submit", packed, "--as", self.operator)
        draft: list[str | Path] = ["authorisation", "draft", packed, "--territory", TERRITORY]
        draft += ["--image", image, "--campaigns", "1", "--rho-budget", "0.2", "--out", decision]
        self.run(*draft)
        for name in MEMBERS:
            self.run("authorisation", "sign", decision, "--key", self.home / name)
        self.run("bundle", "authorise", decision, "--as", self.operator)
        return str(signed["digest"])

    def wait_for_a_unit(self, campaign: str) -> None:
        """Until a unit of `campaign` is satisfied; the scheduler tells every change of it."""
        request = campaigns_pb2.ShowCampaignRequest(campaign=campaign)

        async def follow(session: Session) -> None:
            stub = campaigns_pb2_grpc.CampaignsStub(session.channel)
            view = None
            async for view in session.stream(stub.Watch, request):
                states = {unit.state for entry in view.rounds for unit in entry.units}
                if states_pb2.UNIT_STATE_SATISFIED in states:
                    return
            raise AssertionError(f"the campaign ended without a unit: {view}")

        async def visit(session: Session) -> None:
            await asyncio.wait_for(follow(session), WAIT_SECONDS)

        within(self.operator, visit)

    def stop(self) -> None:
        """End every server."""
        for server in reversed(self._running):
            server.process.terminate()
        for server in reversed(self._running):
            server.stop()

    def _serve(self, name: str, ready: bytes, *words: str | Path) -> None:
        address = [f"{HERE}:{self._ports[name]}"] if words[-1] == "--listen" else []
        command = [str(FRONT_DOOR), *map(str, words), *address]
        server = Server(command, self.home / f"{name}.log", ready)
        self._running.append(server)
        server.wait_until_ready()

    def _public(self, names: tuple[str, ...] | list[str]) -> list[Path]:
        return [self.home / f"{name}.pub" for name in names]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for entry in sockets:
            entry.bind(("", 0))
        return [entry.getsockname()[1] for entry in sockets]
    finally:
        for entry in sockets:
            entry.close()
