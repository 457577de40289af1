"""The agent as a process: lock, wiring, signals, and the snapshot that `worker status` reads."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from durable.errors import StorageFailed
from durable.files import write_atomic
from trust.clock import Clock, SystemClock
from trust.entropy import SYSTEM
from worker import checkpoints, governance, identity
from worker.agent import Agent, Ports
from worker.condition import Condition
from worker.errors import AlreadyRunning, NotRunning
from worker.hosting import Hosting, broker_of
from worker.journal import Journal
from worker.link import Link

LOCK_NAME = "agent.lock"
CONDITION_NAME = "agent.json"
COLLECT_AFTER = 5_000  # new objects


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the state directory's lock. Raises AlreadyRunning.

    The kernel drops the lock with the process, so a crash leaves nothing to clean up.
    """
    descriptor = os.open(state / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"an agent runs on {state} already",
                remedy="one agent per state directory; stop it with `cadastre worker stop`",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def running_process(state: Path) -> int:
    """The process id of the agent that holds the lock. Raises NotRunning."""
    try:
        descriptor = os.open(state / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _not_running(state) from error
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise _not_running(state)
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    # The file is the agent's user's to write, and root may ask in order to signal what it names.
    if not text.isdecimal() or not _belongs(int(text), state):
        raise _not_running(state)
    return int(text)


def _belongs(process: int, state: Path) -> bool:
    """Whether a process runs as the user who owns `state`."""
    if process <= 1:
        return False  # 0 would be our own process group
    try:
        # Not the directory's owner: that is root for whoever dropped privileges.
        status = Path(f"/proc/{process}/status").read_text("ascii", "replace")
        owner = state.stat().st_uid
    except OSError:
        return False
    users = next((line.split() for line in status.splitlines() if line.startswith("Uid:")), [])
    return users[1:3] == [str(owner), str(owner)]


def condition(state: Path) -> dict[str, Any]:
    """What the running agent last said about itself. Raises NotRunning."""
    running_process(state)
    try:
        shown: dict[str, Any] = json.loads((state / CONDITION_NAME).read_bytes())
    except (OSError, ValueError) as error:
        raise _not_running(state) from error
    return shown


def run(state: Path, *, concludes: bool | None) -> None:
    """Be the agent until SIGTERM or SIGINT.

    Raises NotJoined, AlreadyRunning, JournalRefused, RootRefused and what the disk refuses.
    """
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    with alone(state):
        asyncio.run(_serve(state, concludes))


async def _serve(state: Path, concludes: bool | None) -> None:  # noqa: FBT001 - private
    clock = SystemClock()
    who = identity.load(state)
    journal = Journal(state)
    hosting = Hosting(who, clock)
    agent = Agent(
        identity=who,
        journal=journal,
        hosting=hosting,
        broker=broker_of(who, journal, hosting, clock, SYSTEM),
        ports=_ports(who, clock),
        concludes=concludes,
        on_condition=_shower(state),
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop.set)
    # What was loaded lives as long as the program: the collector of cycles does not walk through it
    # again and again, nor after every 700 new objects, of which a unit's documents make thousands.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    try:
        await agent.run()
    finally:
        journal.close()


def _ports(who: identity.Identity, clock: Clock) -> Ports:
    return Ports(
        scheduler=Link(who),
        fetch_status=governance.fetch,
        fetch_root=governance.fetch_root,
        post_checkpoint=checkpoints.post,
        clock=clock,
        entropy=SYSTEM,
    )


def _shower(state: Path) -> Any:
    def show(now: Condition) -> None:
        plain = json.dumps(dataclasses.asdict(now), ensure_ascii=False, default=str)
        # A full disk must not stop the agent for a snapshot's sake.
        with contextlib.suppress(StorageFailed):
            write_atomic(state / CONDITION_NAME, plain.encode("utf-8", "replace"), 0o600)

    return show


def _not_running(state: Path) -> NotRunning:
    return NotRunning(
        f"no agent runs on {state}",
        remedy=f"start it: cadastre worker run --state {state}",
    )
