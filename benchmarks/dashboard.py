"""The operators' pages: over a thousand units and a million, and with 300 browsers that follow.

Both stores are served by processes of their own, asked in turn: a machine that is busy elsewhere
slows both sides of the ratio.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.errors import MeasurementFailed
from benchmarks.figures import Figure
from benchmarks.filled import Filled, fill
from benchmarks.house import SCRATCH
from benchmarks.visiting import Visitor, visiting
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from web.listing import cursor as cursors
from web.listing.cursor import Cursor

FEW, MANY = 1_000, 1_000_000
QUICK_MANY = 5_000
CLIENTS, QUICK_CLIENTS = 300, 20
# Seconds: until everybody is connected, and as long as is measured.
SETTLING, FOLLOWING = 5.0, 30.0
QUICK_SETTLING, QUICK_FOLLOWING = 1.0, 3.0
TURNS, QUICK_TURNS = 15, 3
# Of the messages that a client should get in its time: fewer mean that it was not served.
ENOUGH = 0.8
_KIB = 1024


def measure(*, quick: bool) -> list[Figure]:
    """All of the group; a full run fills a million units first, a minute or two."""
    many, clock = QUICK_MANY if quick else MANY, SystemClock()
    with tempfile.TemporaryDirectory(prefix="cadastre-bench-", dir=SCRATCH) as home:
        few = fill(Path(home) / "few", FEW, clock, SYSTEM)
        filled = fill(Path(home) / "many", many, clock, SYSTEM)
        found = _pages(few, filled, many, turns=QUICK_TURNS if quick else TURNS)
        clients = QUICK_CLIENTS if quick else CLIENTS
        seconds = (QUICK_SETTLING, QUICK_FOLLOWING) if quick else (SETTLING, FOLLOWING)
        with visiting(filled.state.folder, changing=filled.running) as visitor:
            weight = visitor.weight("/")
            found.append(asyncio.run(_followed(visitor, clients, *seconds)))
        how = "the first page with its styles, scripts and pictures, as sent to a new browser, gzip"
        found.append(Figure("dashboard.first_load_kib", weight / _KIB, 1, how))
    return found


def _paths(filled: Filled) -> dict[str, str]:
    units = f"/campaigns/{filled.running}/units"
    deep = cursors.write(Cursor((filled.middle, filled.unit)), "unit", descending=True)
    return {
        "health": "/",
        "campaigns": "/campaigns",
        "campaign": f"/campaigns/{filled.running}",
        "units": units,
        "units, deep in": f"{units}?cursor={deep}",
        "a unit": f"/units/{filled.unit}",
        "a round's timeline": f"/campaigns/{filled.running}/timeline?round={filled.middle}",
        "all units": "/units",
        "workers": "/workers",
        "sites": "/sites",
        "energy": "/energy",
        "log": "/log",
    }


def _pages(few: Filled, filled: Filled, many: int, *, turns: int) -> list[Figure]:
    with visiting(few.state.folder) as small, visiting(filled.state.folder) as large:
        here, there = _paths(few), _paths(filled)
        times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in here}
        for turn in range(turns + 1):
            for name, (ours, theirs) in times.items():
                pair = small.seconds(here[name]), large.seconds(there[name])
                if turn:  # the first one opens files and compiles statements
                    ours.append(pair[0])
                    theirs.append(pair[1])
    ratios = {
        name: statistics.median(theirs) / statistics.median(ours)
        for name, (ours, theirs) in times.items()
    }
    slowest = max(times, key=lambda name: statistics.median(times[name][1]))
    each = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    return [
        Figure(
            "dashboard.page_ratio",
            max(ratios.values()),
            turns,
            f"the worst page's time with {many:,} units over its time with {FEW:,}: {each}",
        ),
        Figure(
            "dashboard.page_ms",
            1000 * statistics.median(times[slowest][1]),
            turns,
            f"the slowest of those pages ({slowest}) with {many:,} units, over loopback",
        ),
    ]


async def _followed(visitor: Visitor, clients: int, settling: float, seconds: float) -> Figure:
    """What the server uses while `clients` follow the first page, which changes every second."""
    frames = [0] * clients
    readers = [
        asyncio.create_task(visitor.follow("/live/health", frames, mine)) for mine in range(clients)
    ]
    await asyncio.sleep(settling)
    before, used, started = list(frames), visitor.cpu(), time.perf_counter()
    await asyncio.sleep(seconds)
    used, passed = visitor.cpu() - used, time.perf_counter() - started
    got = [after - earlier for after, earlier in zip(frames, before, strict=True)]
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    if min(got) < ENOUGH * seconds - 1:
        raise MeasurementFailed(
            f"a client got {min(got)} messages in {seconds:.0f} s",
            remedy="measure again on a machine that has nothing else to do",
        )
    return Figure(
        "dashboard.sse_cpu_percent",
        100 * used / passed,
        1,
        f"of one core, by the server's whole process, while {clients} clients of another process "
        f"follow the first page, which changes every second ({statistics.mean(got) / passed:.2f} "
        "messages a second each)",
    )
