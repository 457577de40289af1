"""One capsule's run as the host sees it: descriptors out, bytes and one report back, bounded.

The child is hostile: what it writes is counted, never parsed. The report comes from the trusted
zygote; when it does not come in time, the whole sandbox is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass

from capsule_runtime.sandbox.layers import ALL, Layers
from capsule_runtime.sandbox.model import MAXIMUM_FRAME_BYTES, Limits, Outcome, Status

# The zygote's messages (inside/zygote.py has the other end).
RUN = struct.Struct("<cBIId")
DONE = struct.Struct("<ciBddq")
STOP = b"S"
FRAME_LENGTH = struct.Struct("<I")
PACKET_BYTES = 4096
CHUNK_BYTES = 65536  # of a pipe as the kernel makes it
# The kernel's own limit for whoever is not root (/proc/sys/fs/pipe-max-size): a frame of many
# megabytes then wakes its reader a sixteenth as often.
LARGE_PIPE_BYTES = 1 << 20
STDERR_BYTES = 4096
# Ours: the zygote enforces the wall limit itself; this much later the host stops believing in it.
GRACE_SECONDS = 2.0
EXIT_MEMORY, EXIT_OUTPUT = 72, 73  # inside/harness.py; a hostile child may forge them, harmlessly


class ZygoteLost(Exception):
    """The zygote died, or (`late`) stopped answering; never leaves this package."""

    late = False


class ZygoteLate(ZygoteLost):
    """No report came by the host's own deadline."""

    late = True


@dataclass(frozen=True)
class Report:
    """The zygote's word on one child."""

    status: int
    stopped: bool
    cpu_seconds: float
    wall_seconds: float
    peak_rss_kib: int

    @property
    def signal(self) -> int | None:
        """The signal that ended the child, or None when it exited."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None


@dataclass(frozen=True)
class Inputs:
    """What one child gets: two sealed memories and its limits."""

    job_fd: int
    data_fd: int
    limits: Limits
    keep_stderr: bool


@dataclass(frozen=True)
class Written:
    """What one child wrote, cut at its caps."""

    frame: bytes | bytearray
    overflowed: bool
    stderr: bytes


class _Tap:
    """A pipe's reading end with a cap.

    Past the cap a frame is wrong and nothing more is read; `endless` text is read on and dropped,
    so that somebody who prints too much is not stopped by a full pipe.
    """

    def __init__(self, descriptor: int, cap: int, *, endless: bool) -> None:
        self.descriptor = descriptor
        self._cap = cap
        self._endless = endless
        self._chunk = CHUNK_BYTES if cap <= CHUNK_BYTES else LARGE_PIPE_BYTES
        self.content = bytearray()
        self.overflowed = False
        self.listening = True

    def drain(self) -> None:
        """Take what is there now."""
        try:
            while self.listening:
                chunk = os.read(self.descriptor, self._chunk)
                room = self._cap - len(self.content)
                self.content += chunk[:room]
                self.overflowed = len(chunk) > room and not self._endless
                self.listening = bool(chunk) and not self.overflowed
        except BlockingIOError:
            pass


class _Listening:
    """The wait for one report, with the child's pipes emptied meanwhile so that it can go on."""

    def __init__(self, control: socket.socket, taps: list[_Tap]) -> None:
        self._control = control
        self._taps = taps
        self._poller = select.poll()
        self._poller.register(control, select.POLLIN)
        for tap in taps:
            self._poller.register(tap.descriptor, select.POLLIN)

    def until(self, deadline: float | None) -> Report:
        """The zygote's report; afterwards the taps hold all that the child wrote.

        Raises ZygoteLost when the report does not come by `deadline`.
        """
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0) * 1000
            ready = {descriptor for descriptor, _ in self._poller.poll(left)}
            if not ready:
                raise ZygoteLate("no report by the deadline")
            for tap in self._taps:
                if tap.descriptor in ready:
                    self._empty(tap)
            if self._control.fileno() in ready:
                report = _receive_report(self._control)
                # The child is gone: whatever it wrote is in the pipes, and complete.
                for tap in self._taps:
                    tap.drain()
                return report

    def _empty(self, tap: _Tap) -> None:
        tap.drain()
        if tap.listening:
            return
        self._poller.unregister(tap.descriptor)
        if tap.overflowed:
            # One byte too many is already a refusal; no reason to let it run on.
            try:
                self._control.send(STOP)
            except OSError as error:
                raise ZygoteLost(str(error)) from error


def exchange(
    control: socket.socket, inputs: Inputs, frame_bytes: int, layers: Layers
) -> tuple[Outcome, Report]:
    """Run one capsule. Raises ZygoteLost, after which the sandbox must be killed."""
    limits = inputs.limits
    allowed = frame_bytes if layers.frame_check else MAXIMUM_FRAME_BYTES
    caps = [FRAME_LENGTH.size + allowed, *([STDERR_BYTES] if inputs.keep_stderr else [])]
    with contextlib.ExitStack() as stack:
        taps: list[_Tap] = []
        given: list[int] = []
        for cap in caps:
            reading, writing = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, reading)
            os.set_blocking(reading, False)
            if cap > CHUNK_BYTES:
                # Where this user has no more room for pipes the frame comes in smaller pieces.
                with contextlib.suppress(OSError):
                    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, LARGE_PIPE_BYTES)
            taps.append(_Tap(reading, cap, endless=bool(taps)))
            given.append(writing)
        message = RUN.pack(
            b"R", inputs.keep_stderr, limits.memory_mib, limits.cpu_seconds, limits.wall_seconds
        )
        try:
            descriptors = [given[0], inputs.job_fd, inputs.data_fd, *given[1:]]
            socket.send_fds(control, [message], descriptors)
        except OSError as error:
            raise ZygoteLost(str(error)) from error
        finally:
            for descriptor in given:
                os.close(descriptor)
        deadline = time.monotonic() + limits.wall_seconds + GRACE_SECONDS
        report = _Listening(control, taps).until(deadline if layers.wall else None)
    written = Written(
        taps[0].content,
        taps[0].overflowed,
        bytes(taps[1].content) if inputs.keep_stderr else b"",
    )
    return judge(report, written, frame_bytes, layers), report


def _receive_report(control: socket.socket) -> Report:
    try:
        message = control.recv(PACKET_BYTES)
    except OSError as error:
        raise ZygoteLost(str(error)) from error
    if len(message) != DONE.size:
        raise ZygoteLost("the channel closed")
    _, status, stopped, cpu, wall, rss = DONE.unpack(message)
    return Report(status, bool(stopped), cpu, wall, rss)


def judge(report: Report, written: Written, frame_bytes: int, layers: Layers = ALL) -> Outcome:
    """The one place where an end becomes one of five words. Pure.

    A frame counts only when the child exited with 0 and wrote exactly the declared bytes.
    """
    status = Status.refused_output if written.overflowed else _status(report)
    frame = None
    if status is Status.ok:
        frame = bytes(memoryview(written.frame)[FRAME_LENGTH.size :])
        exact = written.frame[: FRAME_LENGTH.size] == FRAME_LENGTH.pack(frame_bytes)
        if layers.frame_check and not (exact and len(frame) == frame_bytes):
            status, frame = Status.refused_output, None
    return Outcome(
        status=status,
        frame=frame,
        cpu_seconds=report.cpu_seconds,
        wall_seconds=report.wall_seconds,
        peak_rss_kib=report.peak_rss_kib,
        stderr=written.stderr,
    )


def _status(report: Report) -> Status:
    if report.signal == signal.SIGSYS:
        return Status.killed_policy
    if report.stopped or report.signal in {signal.SIGKILL, signal.SIGXCPU}:
        return Status.killed_limit
    words = {0: Status.ok, EXIT_MEMORY: Status.killed_limit, EXIT_OUTPUT: Status.refused_output}
    return words.get(os.waitstatus_to_exitcode(report.status), Status.error)
