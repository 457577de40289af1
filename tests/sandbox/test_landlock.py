"""Landlock on this machine's kernel, asked for as an older kernel would be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from capsule_runtime.sandbox.inside import confine, landlock

ABI = landlock.supported_abi(confine.load_libc())

PROGRAM = """
import socket, sys
from capsule_runtime.sandbox.inside import confine, landlock
libc = confine.load_libc()
libc.prctl(confine.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
landlock.forbid_everything(libc, int(sys.argv[1]))
try:
    open("/etc/passwd").close()
except PermissionError:
    print("files", end=" ")
try:
    socket.socket().connect(("127.0.0.1", 9))
except PermissionError:
    print("tcp", end=" ")
except OSError:
    pass
"""


@pytest.mark.skipif(ABI < 1, reason="this kernel has no Landlock")
@pytest.mark.parametrize("abi", range(1, 8))
def test_every_abi_is_asked_only_for_what_it_knows(abi: int) -> None:
    if abi > ABI:
        pytest.skip(f"this kernel answers ABI {ABI}")
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(abi)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert answer.stdout.split() == (["files", "tcp"] if abi >= 4 else ["files"])


def test_without_landlock_nothing_is_asked() -> None:
    landlock.forbid_everything(confine.load_libc(), 0)
    assert Path("/etc/passwd").read_bytes()
