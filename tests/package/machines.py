"""A territory's servers on this machine, and a second machine: a network namespace with a cable."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FRONT_DOOR = Path(sys.executable).with_name("cadastre")
TERRITORY = "package.cadastre.example"
MEMBERS = ("habitants", "professionnels")
# A documentation-like corner of the private range, unlikely to be routed anywhere.
HERE, THERE, PREFIX = "10.213.77.1", "10.213.77.2", 30
COMMAND_SECONDS = 120.0
WAIT_SECONDS = 90.0


def wait_for(what: str, ready: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    """Poll a real process until it is ready; nothing else is told when it is."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)


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
        self._running: list[subprocess.Popen[bytes]] = []
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
        self._serve("witness", "witness", "serve", "--state", watcher, "--listen")
        self.run("scheduler", "install-root", "--state", state, root)
        status: list[str | Path] = ["status", "serve", "--state", home / "governance"]
        status += ["--key", home / "status", "--root", root]
        self._serve("status", *status, "--listen")
        self._serve("enrol", "scheduler", "serve", "--state", state)
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

    def stop(self) -> None:
        """End every server."""
        for server in reversed(self._running):
            server.terminate()
        for server in reversed(self._running):
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def _serve(self, name: str, *words: str | Path) -> None:
        address = [f"{HERE}:{self._ports[name]}"] if words[-1] == "--listen" else []
        with (self.home / f"{name}.log").open("wb") as log:
            server = subprocess.Popen(
                [FRONT_DOOR, *map(str, words), *address],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running.append(server)
        wait_for(name, lambda: server.poll() is not None or _answers(self._ports[name]))
        assert server.poll() is None, (self.home / f"{name}.log").read_text()[-1500:]

    def _public(self, names: tuple[str, ...] | list[str]) -> list[Path]:
        return [self.home / f"{name}.pub" for name in names]


def _answers(port: int) -> bool:
    try:
        socket.create_connection((HERE, port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for entry in sockets:
            entry.bind(("", 0))
        return [entry.getsockname()[1] for entry in sockets]
    finally:
        for entry in sockets:
            entry.close()
