"""Processes that are killed without warning, and start again from what they had written."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from warm_door import warm_door

from demo.processes import COMMAND_SECONDS, Processes

# Nobody sets it: waiting on it is a pause between two looks at a condition.
_PAUSE = threading.Event()
LOOK_SECONDS = 0.1
LAST_SECONDS = 10.0
Words = tuple[str | Path, ...]
BROKER = b"capsule_runtime.broker"


class TooLate(AssertionError):
    """A condition did not come true in time."""


def until(what: str, condition: Callable[[], object], seconds: float) -> None:
    """Look at `condition` until it holds. Raises TooLate after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TooLate(f"{what}: not within {seconds:.0f} s")
        _PAUSE.wait(LOOK_SECONDS)


def pause(seconds: float) -> None:
    """A random instant comes; only the killer needs it, no condition waits on it."""
    _PAUSE.wait(seconds)


class Mortals(Processes):
    """Processes of which each may be killed, and is then started again with the same words."""

    def __init__(self, logs: Path, detail: Callable[[str], None]) -> None:
        super().__init__(logs, detail)
        self.logs = logs
        self._words: dict[
            str, tuple[tuple[str | Path, ...], dict[str, tuple[str | Path, ...]]]
        ] = {}

    def serve(self, name: str, *words: str | Path, **program: Words) -> None:
        """As in `Processes`, and remembered."""
        self._words[name] = words, program
        super().serve(name, *words, **program)

    def pid(self, name: str) -> int:
        """Its process id, which is that of its group too."""
        return self._servers[name].pid

    def kill(self, name: str) -> None:
        """SIGKILL to the whole group, all at one instant; then at once the next life."""
        dead = self._servers.pop(name)
        os.killpg(dead.pid, signal.SIGKILL)
        dead.wait()
        self._again(name)

    def kill_alone(self, name: str) -> None:
        """SIGKILL to the first process only; its children notice by themselves."""
        dead = self._servers.pop(name)
        dead.kill()
        dead.wait()
        self._again(name)

    def abort(self, name: str) -> None:
        """SIGABRT to the first process, which would dump its memory; then the next life."""
        dead = self._servers.pop(name)
        dead.send_signal(signal.SIGABRT)
        ended = dead.wait(LAST_SECONDS)
        assert ended == -signal.SIGABRT, f"{name} ended with {ended}"
        with suppress(ProcessLookupError):
            os.killpg(dead.pid, signal.SIGKILL)  # its children, where they did not notice
        self._again(name)

    def kill_broker(self, name: str) -> bool:
        """SIGKILL to the broker of a worker, if it has one just now; the agent goes on."""
        broker = self.broker(name)
        if broker is None:
            return False
        os.kill(broker, signal.SIGKILL)
        return True

    def freeze(self, name: str) -> None:
        """It neither answers nor dies."""
        os.killpg(self.pid(name), signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """It goes on as if nothing had been."""
        os.killpg(self.pid(name), signal.SIGCONT)

    def broker(self, name: str) -> int | None:
        """The process id of a worker's broker."""
        agent = self.pid(name)
        children = Path(f"/proc/{agent}/task/{agent}/children")
        for child in children.read_text().split():
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if BROKER in command:
                return int(child)
        return None

    def require_alive(self) -> None:
        """Raise when a process ended that nobody killed."""
        for name, server in self._servers.items():
            if server.poll() is not None:
                raise AssertionError(f"{name} ended with {server.returncode}:\n{self.tail(name)}")

    def tail(self, name: str, length: int = 1500) -> str:
        """The last words of its log."""
        return (self.logs / f"{name}.log").read_text(errors="replace")[-length:]

    def ended(self, name: str) -> bool:
        """Whether it ended by itself."""
        return self._servers[name].poll() is not None

    def runs(self, name: str) -> bool:
        """Whether it was started and nobody stopped or killed it since."""
        return name in self._servers

    def serve_again(self, name: str) -> None:
        """The next life of one that was stopped."""
        self._again(name)

    def _perform(self, words: list[str], typed: str) -> subprocess.CompletedProcess[str]:
        return warm_door().run(words, typed, COMMAND_SECONDS)

    def _again(self, name: str) -> None:
        words, program = self._words[name]
        super().serve(name, *words, **program)
