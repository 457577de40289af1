"""The zygote: a warm, trusted process that forks one confined child per capsule.

It never imports or compiles bundle code and never reads an owner's data: it forwards sealed
descriptors to the child it forks, waits with a deadline, and reports how the child ended.
"""

from __future__ import annotations

import array
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

from . import confine, harness, landlock, warmup

# Messages on the control channel, one per packet (SOCK_SEQPACKET keeps their borders).
RUN = struct.Struct("<cBIId")  # b"R", keep_stderr, memory MiB, CPU seconds, wall seconds
STOP = b"S"  # the host has seen enough of the running child
DONE = struct.Struct("<ciBddq")  # b"D", wait status, stopped, CPU s, wall s, peak RSS KiB
READY = b"Y"
CONTROL_FD = 60
PACKET_BYTES = 4096
MAXIMUM_FDS = 4


@dataclass
class Zygote:
    """What every child starts from."""

    control: socket.socket
    libc: Any
    filter_program: confine.Filter | None
    landlock_abi: int
    switches: dict[str, bool]

    def serve(self) -> None:
        """Fork on demand until the host closes the channel."""
        while True:
            message, descriptors = receive(self.control)
            if not message:
                return
            if message == STOP:  # crossed with the end of its child
                continue
            try:
                self._one(message, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _one(self, message: bytes, descriptors: list[int]) -> None:
        _, keep_stderr, memory_mib, cpu_seconds, wall = RUN.unpack(message)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            code = harness.EXIT_CONFINEMENT
            try:
                code = self._child(
                    descriptors, (memory_mib, cpu_seconds), talkative=bool(keep_stderr)
                )
            finally:
                os._exit(code)
        status, stopped, usage, alive = self._wait(pid, started + wall)
        if alive:
            self.control.send(
                DONE.pack(
                    b"D",
                    status,
                    stopped,
                    usage.ru_utime + usage.ru_stime,
                    time.monotonic() - started,
                    usage.ru_maxrss,
                )
            )

    def _wait(self, pid: int, deadline: float) -> tuple[int, bool, Any, bool]:
        """Wait for the child; kill it at the deadline, at the host's word, or without a host."""
        watch = os.pidfd_open(pid)
        stopped, alive = False, True
        try:
            poller = select.poll()
            poller.register(watch, select.POLLIN)
            poller.register(self.control, select.POLLIN)
            while not stopped:
                left = max(deadline - time.monotonic(), 0.0)
                timeout = None if not self.switches["wall"] else left * 1000
                ready = [descriptor for descriptor, _ in poller.poll(timeout)]
                if watch in ready:
                    break
                if self.control.fileno() in ready:
                    alive = self.control.recv(PACKET_BYTES) == STOP
                stopped = True
            if stopped:
                os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
        finally:
            os.close(watch)
        return status, stopped, usage, alive

    def _child(self, descriptors: list[int], limits: tuple[int, int], *, talkative: bool) -> int:
        result, job_fd, data_fd = descriptors[:3]
        errors = descriptors[3] if len(descriptors) > 3 else None
        job = harness.unpack(harness.read_all(job_fd))
        tables = harness.decode(harness.read_all(data_fd))
        confine.keep_descriptors(result, errors, close_others=self.switches["close_fds"])
        confine.seal(
            self.libc,
            filter_program=self.filter_program,
            landlock_abi=self.landlock_abi,
            limits=limits,
            switches=self.switches,
        )
        # ---- from here on the algorithm's bytes are compiled and run ----
        return harness.run(job, tables, talkative=talkative)


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """One packet and the descriptors that came with it; an empty packet means the host is gone."""
    room = socket.CMSG_SPACE(4 * MAXIMUM_FDS)
    message, ancillary, _, _ = control.recvmsg(PACKET_BYTES, room)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % 4])
    return message, list(descriptors)


def main() -> None:
    """Start from one argument, the control channel's descriptor; serve until the host is gone."""
    given = int(sys.argv[1])
    if given != CONTROL_FD:  # a host with many open files may hand it over under this very number
        os.dup2(given, CONTROL_FD)
    os.set_inheritable(CONTROL_FD, False)  # noqa: FBT003 - it takes no keyword
    os.closerange(3, CONTROL_FD)
    os.closerange(CONTROL_FD + 1, os.sysconf("SC_OPEN_MAX"))
    control = socket.socket(fileno=CONTROL_FD)
    message, descriptors = receive(control)
    if not message:
        return
    settings = json.loads(message)
    libc = confine.load_libc()
    filter_program = None
    for descriptor in descriptors:
        filter_program = confine.Filter(harness.read_all(descriptor))
        os.close(descriptor)
    warmup.load(settings["libraries"], settings["modules"])
    confine.require_single_thread(libc)
    if settings["switches"]["dumpable"]:
        confine.forbid_inspection(libc)
    zygote = Zygote(
        control, libc, filter_program, landlock.supported_abi(libc), settings["switches"]
    )
    gc.collect()
    gc.freeze()
    os.dup2(1, 2)  # boot messages went to the host; nothing else may
    control.send(READY + json.dumps({"landlock_abi": zygote.landlock_abi}).encode())
    zygote.serve()
