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
from capsule_runtime.sandbox.libraries import complete
from jobs.libraries import contents, runtime_of
from trust.clock import SystemClock
from trust.documents.budget import CHECKPOINTS_PATH

CAPSULES = 300  # more than one sandbox serves (256), so that it has been renewed once
IDLE_SECONDS = 60
QUICK_IDLE_SECONDS = 3
WARM_SECONDS = 2  # the agent has its receipt, the sandbox is still up
UNIT_SECONDS = 180.0
STOP_SECONDS = 10.0
STATUS_PATH = "/status.json"
WITHOUT_SANDBOX = "agent and broker (which has let its idle sandbox go)"
SHARING = "shared pages are split with whatever else maps them now"


def measure(*, quick: bool) -> list[Figure]:
    """Start the worker, let it work and rest, and add up what its processes hold."""
    rest = QUICK_IDLE_SECONDS if quick else IDLE_SECONDS
    warm, idle = _watch(rest)
    found = [
        *_sum("warm", warm, f"{WARM_SECONDS} s after a unit of {CAPSULES} capsules"),
        *_sum("idle", idle, f"{rest} s after it"),
        *_each(idle),
    ]
    if not quick and all(map(complete, owners.LEARNING)):  # half a minute of starting torch
        warm, idle = _watch(rest, "torch")
        found += [
            _learning("warm", warm, f"{WARM_SECONDS} s after a unit that trains with torch"),
            _learning("idle", idle, f"{rest} s after it"),
        ]
    return found


def _watch(rest: float, *arguments: str) -> tuple[list[memory.Memory], list[memory.Memory]]:
    """A worker's processes soon after its unit and `rest` seconds after it."""
    with ordinary.process("benchmarks.worker", arguments) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        line = child.stdout.readline().strip()
        if not line.isdecimal():
            return [], []  # `process` says what the child said
        agent = int(line)
        time.sleep(WARM_SECONDS)
        warm = _look(agent)
        time.sleep(rest - WARM_SECONDS)
        idle = _look(agent)
        child.stdin.write("seen\n")
        child.stdin.flush()
    return warm, idle


def _learning(moment: str, seen: list[memory.Memory], when: str) -> Figure:
    """Everything together on a worker with the extra `learning`: shared pages split if known."""
    shares = _shares(seen)
    total = sum(one.resident for one in seen) if shares is None else sum(shares)
    how = "every shared page counted each time" if shares is None else SHARING
    return Figure(f"worker.{moment}_torch_mib", total, 1, f"all processes, {when}; {how}")


def _look(agent: int) -> list[memory.Memory]:
    """Agent, broker, and the sandbox's processes when there is one; raises MeasurementFailed."""
    processes = [agent, *memory.descendants(agent)]
    if len(processes) < 2:
        raise MeasurementFailed("the worker's broker was not running when looked at")
    try:
        return [memory.of(process) for process in processes]
    except OSError as error:
        raise MeasurementFailed(
            f"a process of the worker ended as it was looked at: {error}"
        ) from (error)


def _sum(moment: str, seen: list[memory.Memory], when: str) -> list[Figure]:
    """All processes together, shared pages split where the kernel says how."""
    who = "agent, broker, bubblewrap and zygote" if len(seen) > 2 else WITHOUT_SANDBOX
    found = []
    shares = _shares(seen)
    if shares is not None:
        what = f"{who}, {when}; {SHARING}"
        found.append(Figure(f"worker.{moment}_pss_mib", sum(shares), 1, what))
    resident = sum(one.resident for one in seen)
    whole = f"{who}, {when}: resident, every shared page counted each time, so an upper end"
    found.append(Figure(f"worker.{moment}_rss_mib", resident, 1, whole))
    return found


def _each(seen: list[memory.Memory]) -> list[Figure]:
    found = []
    if seen[0].proportional is not None:
        found.append(Figure("worker.agent_pss_mib", seen[0].proportional, 1, "the agent, idle"))
    shares = _shares(seen)
    if shares is not None:
        # The agent's one child is the broker; what is below that is the sandbox.
        found.append(Figure("worker.broker_pss_mib", shares[1], 1, "the broker, idle"))
    return found


def _shares(seen: list[memory.Memory]) -> list[float] | None:
    shares = [one.proportional for one in seen if one.proportional is not None]
    return shares if len(shares) == len(seen) else None


async def _keep(home: Path, *, torch: bool) -> None:
    pages: dict[str, bytes] = {}
    answers: dict[str, grid.Answer] = {}
    with grid.plain_site(pages, answers) as site:
        territory = Territory(SystemClock().now(), site + STATUS_PATH)
        answers[CHECKPOINTS_PATH] = territory.standing
        pages[STATUS_PATH] = territory.status()
        bundle = owners.commute_flows(torch=torch)
        needed = contents(runtime_of(bundle.manifest.needs.libraries))
        image = RuntimeImage.of(find_layout(needed)).digest
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
    leaving, ended = asyncio.create_task(leave.wait()), asyncio.create_task(agent.wait())
    try:
        async with asyncio.timeout(UNIT_SECONDS):
            ways: set[asyncio.Future[Any]] = {work.finished, leaving, ended}
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise MeasurementFailed(f"the agent ended with {ended.result()}; it said why above")
        if work.finished.done():
            grid.expect_contribution(work.finished.result())
            sys.stdout.write(f"{agent.pid}\n")
            sys.stdout.flush()
            await leaving
    finally:
        leaving.cancel()
        ended.cancel()
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
        asyncio.run(_keep(Path(home), torch=sys.argv[1:] == ["torch"]))


if __name__ == "__main__":
    main()
