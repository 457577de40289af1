"""docs/benchmarks.md: one run's figures with the machine that they were taken on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from benchmarks.figures import Figure, rounded, verdict
from trust import clock

HEAD = """\
# What it costs

Written by `make bench` (`cadastre bench --write docs/benchmarks.md`): do not edit, repeat it.
One group alone: `cadastre bench capsule`; for machines: `cadastre bench --json`.
Every figure comes from the real path in real processes; every ratio from the two sides of one
run. Started by root, whatever touches a capsule runs as the worker's own user. Memory of
processes that forbid inspection is shown to root only: an ordinary user gets the upper end
`worker.idle_rss_mib` instead of `worker.idle_pss_mib`.
"""
COLUMNS = ("name", "value", "target", "met", "n", "what was measured")


def render(
    found: Sequence[Figure], house: Mapping[str, str], now: datetime, *, quick: bool = False
) -> str:
    """The page. `now` is when the run began; `n` is the number of runs whose median is shown."""
    run = "A quick run, for the tests: " if quick else "The run "
    parts = [
        HEAD,
        f"{run}of {clock.to_text(now)}; n is how many repetitions the value is the median of.\n",
        _table(COLUMNS, [_row(figure) for figure in found]),
        "## The machine\n",
        _table(("what", "which"), list(house.items())),
    ]
    return "\n".join(parts)


def _row(figure: Figure) -> tuple[str, ...]:
    target, met = verdict(figure)
    value = f"{rounded(figure.value):,}"
    return (f"`{figure.name}`", value, target, met, str(figure.samples), figure.how)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
