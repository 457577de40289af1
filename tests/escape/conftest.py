"""The host around the escape suite: listeners and secrets that an escape would reach."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from capsule_runtime.sandbox.layers import ALL, Layers
from capsule_runtime.sandbox.layout import find_layout
from capsule_runtime.sandbox.startup import Setup, find_bwrap
from capsule_runtime.sandbox.zygote import Zygote

# Root hands the sandbox to a user who needs no entry in any file; others keep their own uid.
RUN_AS = (64123, 64123) if os.geteuid() == 0 else None
# What the attacks import, so that their system calls are reached and not a missing module.
ATTACK_MODULES = (
    "ctypes", "errno", "fcntl", "mmap", "pickle", "resource", "selectors", "signal", "socket",
    "stat", "termios", "threading",
)  # fmt: skip
SHM_KEY = 0x0CADA57E


@pytest.fixture(scope="session")
def host() -> Iterator[dict[str, Any]]:
    """Reachable things of the host, as parameters of the attacks."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="escape-"))
    folder.chmod(0o755)
    (folder / "secret").write_bytes(b"another capsule's secret")
    libc = ctypes.CDLL(None)
    shared = libc.shmget(SHM_KEY, 4096, 0o666 | 0o1000)
    os.environ["ESCAPE_TEST_SECRET"] = "visible"
    name = f"escape-{os.getpid()}"
    with (
        socket.socket() as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as path,
    ):
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        abstract.bind("\0" + name)
        path.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        for server in (tcp, abstract, path):
            server.listen(64)
        yield {
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "abstract": name,
            "unix": str(folder / "socket"),
            "secret": str(folder / "secret"),
            "shm_key": SHM_KEY,
        }
    del os.environ["ESCAPE_TEST_SECRET"]
    libc.shmctl(shared, 0, None)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sandbox(host: dict[str, Any]) -> Iterator[Callable[..., Zygote]]:
    """`sandbox(layers, keep_stderr=...)`: one warm zygote for each combination in use.

    Cases come sorted by combination, so two are alive at most: the full one and the present one.
    """
    alive: dict[tuple[Layers, bool], Zygote] = {}
    layout = find_layout(("numpy",))
    bwrap = find_bwrap()

    def get(layers: Layers = ALL, *, keep_stderr: bool = False) -> Zygote:
        key = (layers, keep_stderr)
        if key not in alive:
            for other in [known for known in alive if known != (ALL, False)]:
                alive.pop(other).close()
            setup = Setup(layout, bwrap, RUN_AS, ATTACK_MODULES, layers)
            alive[key] = Zygote(setup, keep_stderr=keep_stderr)
        return alive[key]

    yield get
    for zygote in alive.values():
        zygote.close()
