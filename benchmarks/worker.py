"""A real worker's memory at rest: joined, one unit behind it, waiting in its long poll.

`python -m benchmarks.worker` (started by `measure` as an ordinary user) keeps the grid around the
worker and prints the agent's process id once its unit is acknowledged; the process that measures
is another one, because only root may look into processes that forbid inspection.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import grid, memory, ordinary, owners
from benchmarks.errors import MeasurementFailed
from benchmarks.figures import Figure
from benchmarks.house import SCRATCH
from benchmarks.territory import PARAMETERS, Territory
from capsule_runtime.sandbox.image import RuntimeImage
from capsule_runtime.sandbox.layout import find_layout
from trust.clock import SystemClock
from worker.hosting import LIBRARIES

CAPSULES = 300  # more than one sandbox serves (256), so that it has been renewed once
IDLE_SECONDS = 60
QUICK_IDLE_SECONDS = 2
UNIT_SECONDS = 180.0
STOP_SECONDS = 10.0
STATUS_PATH = "/status.json"
SHARING = "shared pages are split with whatever else maps them now"


def measure(*, quick: bool) -> list[Figure]:
    """Start the worker, let it work and rest, and add up what its processes hold."""
    rest = QUICK_IDLE_SECONDS if quick else IDLE_SECONDS
    with ordinary.process("benchmarks.worker") as child:
        assert child.stdin is not None
        assert child.stdout is not None
        line = child.stdout.readline().strip()
        if not line.isdecimal():
            return []  # `process` says what the child said
        time.sleep(rest)
        agent, *others = [int(line), *memory.descendants(int(line))]
        own = memory.of(agent)
        parts = {process: memory.of(process) for process in others}
        child.stdin.write("seen\n")
        child.stdin.flush()
    return _figures(own, list(parts.values()), f"{rest} s after a unit of {CAPSULES} capsules")


def _figures(own: memory.Memory, others: list[memory.Memory], when: str) -> list[Figure]:
    every = [own, *others]
    found = []
    if len(others) < 3:
        raise MeasurementFailed("the worker's broker or sandbox was not running when looked at")
    proportional = [one.proportional for one in every]
    known = [value for value in proportional if value is not None]
    if len(known) == len(every):
        what = f"agent, broker, bubblewrap and zygote, {when}; {SHARING}"
        found.append(Figure("worker.idle_pss_mib", sum(known), 1, what))
    if own.proportional is not None:
        found.append(Figure("worker.agent_pss_mib", own.proportional, 1, f"the agent, {when}"))
    if own.proportional is not None and len(known) == len(every):
        # Its first child is the broker; what is below that is the sandbox.
        found.append(Figure("worker.broker_pss_mib", known[1], 1, "the broker alone"))
        found.append(Figure("worker.sandbox_pss_mib", sum(known[2:]), 1, "bubblewrap and zygote"))
    resident = sum(one.resident for one in every)
    whole = "the same processes' resident memory, every shared page counted each time: an upper end"
    found.append(Figure("worker.idle_rss_mib", resident, 1, whole))
    return found


async def _keep(home: Path) -> None:
    pages: dict[str, bytes] = {}
    with grid.plain_site(pages) as site:
        territory = Territory(SystemClock().now(), site + STATUS_PATH)
        pages[STATUS_PATH] = territory.status()
        bundle = owners.commute_flows()
        image = RuntimeImage.of(find_layout(LIBRARIES)).digest
        work = grid.Work(territory, territory.papers(bundle, image))
        server, port = grid.work_server(territory, work, grid.Blobs(bundle.raw, PARAMETERS))
        await server.start()
        try:
            who = territory.join(home / "state", f"{grid.HOST}:{port}")
            owners.host(who.state, bundle, CAPSULES)
            await _run_worker(who.state, work)
        finally:
            await server.stop(grace=0)


async def _run_worker(state: Path, work: grid.Work) -> None:
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A word, or the end of the one who measures: either way the agent must not outlive us.
    loop.add_reader(sys.stdin.fileno(), leave.set)
    agent = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-B", "-m", "cadastre", "worker", "run", "--state", str(state)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        cwd="/",
        env=dict(os.environ),
    )
    leaving = asyncio.create_task(leave.wait())
    try:
        async with asyncio.timeout(UNIT_SECONDS):
            ways: set[asyncio.Future[Any]] = {work.finished, leaving}
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if work.finished.done():
            grid.expect_contribution(work.finished.result())
            sys.stdout.write(f"{agent.pid}\n")
            sys.stdout.flush()
            await leaving
    finally:
        leaving.cancel()
        loop.remove_reader(sys.stdin.fileno())
        if agent.returncode is None:
            agent.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await agent.wait()
        except TimeoutError:
            agent.kill()
            await agent.wait()


def main() -> None:
    """Keep the grid until the one who measures has seen enough."""
    with tempfile.TemporaryDirectory(prefix="cadastre-bench-", dir=SCRATCH) as home:
        asyncio.run(_keep(Path(home)))


if __name__ == "__main__":
    main()
