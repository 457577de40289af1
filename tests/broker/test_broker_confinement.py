"""The broker has no way to a network, and neither has anything that it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from capsule_runtime.broker.confinement import network_filter

ROOT = Path(__file__).parents[2]
# Tries every way out after the filter stands; prints what worked.
PROGRAM = """
import ctypes, json, os, socket, subprocess, sys
from capsule_runtime.broker import confinement
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind("")  # a name of the kernel's choosing
heard = ear.getsockname()
confinement.forbid_network()
worked = {}
def attempt(name, action):
    try:
        action()
        worked[name] = True
    except OSError:
        worked[name] = False
for family in ("AF_INET", "AF_INET6", "AF_VSOCK", "AF_PACKET", "AF_UNIX", "AF_NETLINK"):
    kind = socket.SOCK_RAW if family in {"AF_PACKET", "AF_NETLINK"} else socket.SOCK_STREAM
    attempt(family, lambda: socket.socket(getattr(socket, family), kind).close())
attempt("connect", lambda: udp.connect(("127.0.0.1", 9)))
attempt("unix connect", lambda: socket.socket(socket.AF_UNIX).connect("/run/nothing"))
attempt("accept", lambda: (listener.setblocking(False), listener.accept()))
attempt("pair", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
# A datagram needs no connection: whoever bound a name would hear it.
flags = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
for name, kind in (("datagram", socket.SOCK_DGRAM), ("raw", socket.SOCK_RAW)):
    attempt(name, lambda: socket.socket(socket.AF_UNIX, kind | flags).sendto(b"x", heard))
    attempt(name + " pair", lambda: socket.socketpair(socket.AF_UNIX, kind))
attempt("usersock", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 2))
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    left, right = socket.socketpair(socket.AF_UNIX, kind)
    attempt("address", lambda: left.sendto(b"x", heard))
    attempt("address in memory", lambda: left.sendmsg([b"x"], [], 0, heard))
ear.setblocking(False)
attempt("heard", lambda: ear.recv(1))
# The one way that is left, and said to be: bubblewrap needs the socket, the channel the call.
single = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
attempt("sendmsg to a name of this machine", lambda: single.sendmsg([b"x"], [], 0, heard))
libc = ctypes.CDLL(None, use_errno=True)
worked["io_uring"] = libc.syscall(425, 8, ctypes.create_string_buffer(256)) >= 0
child = "import socket\\ntry: socket.socket(); print(1)\\nexcept OSError: print(0)"
done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
worked["child"] = done.stdout.strip() == "1"
print(json.dumps(worked))
"""


@pytest.mark.processes
def test_every_way_to_a_network_is_closed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, cwd=ROOT
    )
    worked = {name for name, went in json.loads(done.stdout).items() if went}
    # A packet pair ignores an address in memory and keeps the packet for its own other end.
    known = {"AF_UNIX", "AF_NETLINK", "pair", "address in memory"}
    assert worked == known | {"sendmsg to a name of this machine"}


def test_the_filter_is_the_one_that_was_reviewed() -> None:
    program = network_filter()
    assert program.instructions == 40
    assert program.sha256 == "0dd10dc159ad49aae6eb55a3d39539128fe2203c99304dc49d8fec8dde17cef9"


@pytest.mark.processes
def test_the_broker_refuses_root() -> None:
    import os

    if os.geteuid() != 0:
        pytest.skip("only root can try")
    import socket

    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    done = subprocess.run(
        [sys.executable, "-m", "capsule_runtime.broker", str(right.fileno())],
        pass_fds=[right.fileno()],
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    left.close()
    right.close()
    assert done.returncode == 1
    assert b"never runs as root" in done.stderr
