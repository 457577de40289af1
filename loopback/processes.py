"""Real processes: one command and its answer, or a server and its log file."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loopback.footprint import Tally, trees

FRONT_DOOR = Path(__file__).resolve().parent.parent / "cadastre.py"
COMMAND_SECONDS = 150.0
START_SECONDS = 60.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.5  # a sandbox that ends is counted up to the last look
# The first port that the kernel gives to whoever asks for any.
_HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000
_STRIDE = 211  # between two programs with neighbouring process ids
_STEPS = itertools.count()  # a port that was given once is not given again soon


class CommandFailed(RuntimeError):
    """A command of the story ended in another way than the story needs."""


class Processes:
    """Runs the front door, remembers servers, stops them all at the end."""

    def __init__(self, logs: Path, detail: Callable[[str], None]) -> None:
        self._logs = logs
        self._detail = detail
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._tally = Tally()
        self._looking = threading.Lock()
        self._over = threading.Event()
        logs.mkdir(parents=True, exist_ok=True)

    def run(self, *words: str | Path, exits: int = 0, typed: str = "") -> Any:
        """One command with --json; its parsed answer. It must end with status `exits`."""
        ended = self.attempt(*words, typed=typed)
        if ended.returncode != exits:
            told = ended.stderr.strip() or ended.stdout.strip()
            shown = " ".join(map(str, words))
            raise CommandFailed(f"cadastre {shown} ended with {ended.returncode}: {told[-800:]}")
        return json.loads(ended.stdout) if ended.stdout.strip() else {}

    def attempt(self, *words: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
        """One command with --json, however it ends; `typed` is its standard input."""
        started = time.monotonic()
        ended = self._perform([*map(str, words), "--json"], typed)
        took = time.monotonic() - started
        self._detail(
            f"$ cadastre {' '.join(map(str, words))}  -> {ended.returncode} in {took:.1f} s"
        )
        if ended.returncode:
            self._detail(f"    {ended.stderr.strip()}")
        return ended

    def _perform(self, words: list[str], typed: str) -> subprocess.CompletedProcess[str]:
        """One command as a process, however it ends."""
        return subprocess.run(
            [sys.executable, str(FRONT_DOOR), *words],
            input=typed,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def serve(
        self, name: str, *words: str | Path, program: tuple[str | Path, ...] = (FRONT_DOOR,)
    ) -> None:
        """Start a server; its output goes to `<logs>/<name>.log`."""
        log = (self._logs / f"{name}.log").open("ab")
        command = [sys.executable, *map(str, program), *map(str, words)]
        self._servers[name] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self._detail(f"$ cadastre {' '.join(map(str, words))}  (server {name})")

    def wait_until(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until the server `name` is ready, at most a minute; a dead one fails at once."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._servers[name].poll() is not None or time.monotonic() > deadline:
                tail = (self._logs / f"{name}.log").read_text(errors="replace")[-1200:]
                raise CommandFailed(f"{name} did not start:\n{tail}")
            time.sleep(0.1)

    def answers(self, port: int) -> Callable[[], bool]:
        """Whether something listens on a loopback port."""

        def ready() -> bool:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return False
            return True

        return ready

    def cpu_seconds(self) -> float:
        """CPU seconds that the servers and their children have used so far.

        Of those that ended, up to the last time that this was asked, or see `watch_footprint`.
        """
        with self._looking:
            self._tally.look(trees([server.pid for server in list(self._servers.values())]))
            return self._tally.seconds

    def watch_footprint(self) -> None:
        """From now until `stop_all` look often enough that little of what ends is missed."""

        def look() -> None:
            while not self._over.wait(LOOK_SECONDS):
                self.cpu_seconds()

        threading.Thread(target=look, name="footprint", daemon=True).start()

    def stop(self, name: str) -> None:
        """End one server as its operator would."""
        self.cpu_seconds()
        server = self._servers.pop(name)
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._detail(f"{name} did not end within {STOP_SECONDS:.0f} s and was killed")
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    def stop_all(self) -> None:
        """End every server, the last started first."""
        self._over.set()
        for server in self._servers.values():
            server.send_signal(signal.SIGTERM)
        for name in reversed(list(self._servers)):
            self.stop(name)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody uses now, and that nobody is given who asks for any port.

    A server binds its port later, and again after a restart. One that the kernel hands out may be
    somebody's connection by then; below those come only programs that ask for a number, and two
    programs that look for ports here begin at different places.
    """
    handed_out = int(_HANDED_OUT.read_text().split()[0])
    room = handed_out - _LOWEST if handed_out > _LOWEST + _STRIDE else _STRIDE
    found: list[int] = []
    for step in itertools.islice(_STEPS, room):
        port = _LOWEST + (os.getpid() * _STRIDE + step) % room
        with socket.socket() as entry:
            entry.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                entry.bind(("127.0.0.1", port))
                found.append(port)
        if len(found) == count:
            break
    return found
