"""The broker's handle on a warm sandbox: load a job once, run it on one capsule after another.

The sandbox behind it is replaced without the caller's doing after a number of capsules, after any
forbidden system call, and when it died. One thread at a time, and it must be the thread that
started it: the kernel ends bubblewrap with the thread that started it.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Self

from capsule_runtime.errors import SandboxError
from capsule_runtime.sandbox import startup
from capsule_runtime.sandbox.exchange import Inputs, Report, ZygoteLost, exchange
from capsule_runtime.sandbox.layout import Layout, find_layout, sandbox_reader
from capsule_runtime.sandbox.model import Job, Outcome, Status
from capsule_runtime.sandbox.packing import LoadedJob, sealed_data
from jobs.libraries import TORCH

# Ours: forked siblings share their address layout; a few hundred capsules bound what one hostile
# capsule could learn for the next, at under 1 ms a capsule for a cold start of 0.2 s. With torch
# a start takes 3 s, which at the same number would be a third of all that training costs.
CAPSULES_PER_ZYGOTE = 256
CAPSULES_PER_TORCH_ZYGOTE = 1024


def share_of(libraries: Collection[str]) -> int:
    """How many runs one sandbox with `libraries` serves before another one takes its place."""
    return CAPSULES_PER_TORCH_ZYGOTE if TORCH in libraries else CAPSULES_PER_ZYGOTE


class Zygote:
    """A warm sandbox. `start`, then `load` and `run`; a context manager closes it."""

    def __init__(self, setup: startup.Setup, *, keep_stderr: bool = False) -> None:
        """Use `start`; this is for tests that take a layer away. Raises what startup.start does."""
        self._setup = setup
        self._keep_stderr = keep_stderr
        self._closed = False
        self._share = share_of(setup.layout.library_names)
        self._served = 0
        self._started: startup.Started | None = startup.start(setup)
        self._landlock_abi = self._started.landlock_abi
        self.starts = 1
        self._last_report: Report | None = None  # raw exit status: for the escape suite only

    @classmethod
    def start(
        cls,
        libraries: tuple[str, ...] = ("numpy",),
        *,
        run_as: tuple[int, int] | None = None,
        keep_stderr: bool = False,
        layout: Layout | None = None,
        bwrap: Path | None = None,
    ) -> Zygote:
        """A sandbox with `libraries` loaded and exercised, ready to fork.

        `run_as` (uid, gid) is required when this process is root, and must not be root's.
        `layout` is a staged runtime; by default the installation as it lies. `keep_stderr` is for
        runs on mock data only. Raises SandboxUnavailable, SandboxStartFailed, RuntimeUnreadable,
        LibraryMissing, RootUidRefused, PlatformRefused.
        """
        if run_as == (os.geteuid(), os.getegid()):
            run_as = None  # already that user, who may not be allowed to call setgroups
        startup.check_identity(run_as, os.geteuid())
        setup = startup.Setup(
            layout=layout or find_layout(libraries, sandbox_reader(run_as)),
            bwrap=startup.find_bwrap(bwrap),
            run_as=run_as,
        )
        return cls(setup, keep_stderr=keep_stderr)

    @property
    def landlock_abi(self) -> int:
        """The kernel's Landlock ABI as the zygote saw it; 0 for none."""
        return self._landlock_abi

    @property
    def process_id(self) -> int | None:
        """Bubblewrap's process id, for measurements; None while no sandbox is up."""
        return self._started.process.pid if self._started is not None else None

    def load(self, job: Job) -> LoadedJob:
        """Seal `job` once for many runs."""
        return LoadedJob(job)

    def run(self, loaded: LoadedJob, data: bytes) -> Outcome:
        """Run one capsule: `data` is its tables in the column format.

        Never raises for what the algorithm does. A lost zygote is an Outcome too (killed_limit
        past the deadline, else error) and the next run gets a new one. Raises SandboxError when
        no new one starts, JobRefused when the data is too large or the job closed.
        """
        started = self._ready()
        job_fd = loaded.descriptor
        data_fd = sealed_data(data)
        try:
            inputs = Inputs(job_fd, data_fd, loaded.job.limits, self._keep_stderr)
            outcome, report = exchange(
                started.control, inputs, loaded.job.frame_bytes, self._setup.layers
            )
        except ZygoteLost as loss:
            self._discard()
            return Outcome(Status.killed_limit if loss.late else Status.error)
        except BaseException:
            # Interrupted half way: the channel may hold a stale report, so it can't be used again.
            self._discard()
            raise
        finally:
            os.close(data_fd)
        self._last_report = report
        self._served += 1
        if self._setup.layers.recycle and (
            outcome.status is Status.killed_policy or self._served >= self._share
        ):
            self._discard()
        return outcome

    def close(self) -> None:
        """End the sandbox; harmless twice."""
        self._closed = True
        self._discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self) -> startup.Started:
        if self._closed:
            raise SandboxError("The sandbox was closed.", remedy="Start another one.")
        if self._started is not None and self._started.process.poll() is not None:
            self._discard()
        if self._started is None:
            self._started = startup.start(self._setup)
            self.starts += 1
        return self._started

    def _discard(self) -> None:
        started, self._started, self._served = self._started, None, 0
        if started is not None:
            started.control.close()
            startup.stop(started.process)
