"""docs/benchmarks.md: each group's newest figures, and the run and the machine they come from.

A run of some groups replaces these groups' lines and leaves the others as they are, so the page is
read back before it is written. What is read is what this module wrote, to the digit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.errors import PageUnreadable
from benchmarks.figures import Figure, rounded, verdict

HEAD = """\
# What it costs

Written by `make bench` (`cadastre bench --write docs/benchmarks.md`): do not edit, repeat it.
One group again: `cadastre bench capsule --write docs/benchmarks.md` replaces the lines of that
group alone; without `--write` it only shows them; for machines: `cadastre bench --json`.
Every figure comes from the real path in real processes; every ratio from the two sides of one
run. Started by root, whatever touches a capsule runs as the worker's own user. Memory of
processes that forbid inspection is shown to root only: an ordinary user gets the upper end
`worker.idle_rss_mib` instead of `worker.idle_pss_mib`.
What models are worth and not what they take (Cora, travel modes) is measured by
`make bench-learning`: [learning.md](learning.md).

n is how many repetitions the value is the median of; the runs, with their machines, are below.
"""
COLUMNS = ("name", "value", "target", "met", "n", "run", "what was measured")
QUICK = ", a quick one for the tests"
_HEADING = re.compile(r"## Run (\d+): (\S+?)(" + re.escape(QUICK) + r")?")
_GROUP = re.compile(r"([a-z]+) \((\d+) s\)")
_MEASURED = "Measured: "


@dataclass(frozen=True)
class Run:
    """What was measured in one go on one machine."""

    moment: str  # when it began, RFC 3339
    house: Mapping[str, str]  # the machine and its versions, in the order to show them
    seconds: Mapping[str, int]  # how long each group took
    figures: tuple[Figure, ...]
    quick: bool = False

    def without(self, groups: Sequence[str]) -> Run:
        """The run with nothing of `groups` in it."""
        return replace(
            self,
            seconds={name: took for name, took in self.seconds.items() if name not in groups},
            figures=tuple(figure for figure in self.figures if figure.group not in groups),
        )


def merged(earlier: Sequence[Run], fresh: Run) -> list[Run]:
    """The runs of a page after `fresh`: of each group the newest figures, all of one run.

    A group that `fresh` could not measure keeps what an earlier run found.
    """
    again = sorted({figure.group for figure in fresh.figures})
    kept = [one.without(again) for one in earlier]
    return [one for one in (*kept, fresh) if one.figures]


def render(runs: Sequence[Run], order: Sequence[str]) -> str:
    """The page of `runs`, which share no group; the groups in `order`, others behind them."""
    found = [(number, figure) for number, one in enumerate(runs, 1) for figure in one.figures]
    places = {name: place for place, name in enumerate(order)}
    found.sort(key=lambda pair: (places.get(pair[1].group, len(places)), pair[1].group))
    parts = [HEAD, _table(COLUMNS, [_row(number, figure) for number, figure in found])]
    for number, one in enumerate(runs, 1):
        took = ", ".join(f"{name} ({seconds} s)" for name, seconds in one.seconds.items())
        parts += [
            f"## Run {number}: {one.moment}{QUICK if one.quick else ''}\n",
            f"{_MEASURED}{took}\n",
            _table(("what", "which"), list(one.house.items())),
        ]
    return "\n".join(parts)


def read(page: str) -> list[Run]:
    """The runs of a page that `render` wrote. Raises PageUnreadable."""
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    try:
        told = [_figure(cells) for cells in _cells(head)]
        runs = [_run(number, text, told) for number, text in enumerate(sections, 1)]
        # No line may get lost: each belongs to one of the runs.
        if not runs or {number for number, _ in told} != set(range(1, len(runs) + 1)):
            raise PageUnreadable
    except (ValueError, AttributeError) as error:
        raise PageUnreadable from error
    return runs


def _run(number: int, section: str, told: Sequence[tuple[int, Figure]]) -> Run:
    heading = _HEADING.fullmatch(section.partition("\n")[0])
    if heading is None or int(heading[1]) != number:
        raise PageUnreadable
    (measured,) = re.findall(rf"^{_MEASURED}(.*)$", section, flags=re.MULTILINE)
    return Run(
        moment=heading[2],
        house=dict(_cells(section)),
        seconds={name: int(took) for name, took in _GROUP.findall(measured)},
        figures=tuple(figure for its, figure in told if its == number),
        quick=heading[3] is not None,
    )


def _row(number: int, figure: Figure) -> tuple[str, ...]:
    target, met = verdict(figure)
    value = f"{rounded(figure.value):,}"
    samples, run = str(figure.samples), str(number)
    return (f"`{figure.name}`", value, target, met, samples, run, figure.how)


def _figure(cells: Sequence[str]) -> tuple[int, Figure]:
    """What `_row` made `cells` of: the run's number, and the figure as it is shown."""
    name, value, _target, _met, samples, number, how = cells
    shown = Figure(name.strip("`"), float(value.replace(",", "")), int(samples), how)
    return int(number), shown


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _cells(text: str) -> list[list[str]]:
    """The rows of the one table in `text`, below its two lines of heading."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [re.split(r"(?<!\\) ?\| ?", line[2:].removesuffix(" |")) for line in lines[2:]]
    return [[cell.replace("\\|", "|") for cell in row] for row in rows]
