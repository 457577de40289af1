"""The front door kept warm: each command is a process of its own that imports nothing again.

Founding a town takes sixty commands and following a campaign ten a second. A fresh interpreter
spends half a second of a core on imports in each, which tells nothing about a command and starves
the servers that a test is about. Here one process imports everything once and forks per command;
servers, and the commands that a test kills, are started afresh as everywhere (mortals.py).

Run as a program it serves the socket whose number it is given: one request at a time, with three
descriptors; it answers with a process id, then with how that ended.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

HOUSE = Path(__file__).parents[2]
# What commands of a town import sooner or later.
ROOMS = ("trust", "wire", "client", "scheduler", "governance", "worker", "jobs", "audit")
ROOMS += ("capsule_runtime.capsules", "capsule_runtime.ledger")
NOT_FOR_IMPORT = ("jobs.bundles", "jobs.flower", "scheduler.store.migrations")
MOST_BYTES = 1 << 17


@functools.cache
def warm_door() -> WarmDoor:
    """The one of this test process."""
    return WarmDoor()


class WarmDoor:
    """Runs commands for one test process, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                env=os.environ | {"PYTHONPATH": str(HOUSE)},
            )
        atexit.register(self.close)

    def run(self, words: list[str], typed: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """One command, however it ends. Raises TimeoutExpired once it was killed for its time."""
        request = {"words": words, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        with self._lock, _file() as told, _file() as said, _file() as complained:
            told.write(typed)
            told.seek(0)
            message = json.dumps(request).encode()
            assert len(message) < MOST_BYTES
            streams = [file.fileno() for file in (told, said, complained)]
            socket.send_fds(self._end, [message], streams)
            process = self._answer(seconds)
            try:
                status = self._answer(seconds)
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                self._answer(seconds)
                raise subprocess.TimeoutExpired(words, seconds) from None
            said.seek(0)
            complained.seek(0)
            return subprocess.CompletedProcess(words, status, said.read(), complained.read())

    def close(self) -> None:
        """End the warm process; it serves nobody else."""
        self._end.close()
        self._server.wait()

    def _answer(self, seconds: float) -> int:
        self._end.settimeout(seconds)
        answer = self._end.recv(MOST_BYTES)
        assert answer, "the warm front door ended"
        return int(answer)


def _file() -> TextIO:
    return cast("TextIO", tempfile.TemporaryFile("w+", encoding="utf-8"))


def serve(end: socket.socket) -> None:
    """Commands from `end`, until whoever holds its other end is gone."""
    import cadastre  # noqa: F401 - kept warm with everything below

    for room in ROOMS:
        for name in _modules(room):
            importlib.import_module(name)
    while True:
        message, descriptors, _, _ = socket.recv_fds(end, MOST_BYTES, 3)
        if not message:
            return
        process = os.fork()
        if process == 0:
            end.close()
            _live(json.loads(message), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        end.send(str(process).encode())
        _, status = os.waitpid(process, 0)
        end.send(str(os.waitstatus_to_exitcode(status)).encode())


def _modules(room: str) -> list[str]:
    """`room` and every module in it that a command imports."""
    folder = str(HOUSE / room.replace(".", "/"))
    names = [room, *(module.name for module in pkgutil.walk_packages([folder], f"{room}."))]
    return [
        name for name in names if not name.startswith(NOT_FOR_IMPORT) and "__main__" not in name
    ]


def _live(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """The life of one command, from what a new interpreter would have found to its end."""
    import cadastre

    status = 1
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(request["environment"])
        tempfile.tempdir = None  # asked for again in this environment
        os.chdir(request["folder"])
        sys.argv = ["cadastre", *request["words"]]
        status = cadastre.main(request["words"])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - told as the interpreter tells it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
