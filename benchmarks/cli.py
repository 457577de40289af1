"""`cadastre bench [GROUP...]`: what this house costs on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from terminal import exits
from terminal.arguments import runs
from terminal.output import Cell, Output

if TYPE_CHECKING:
    from benchmarks.document import Run

DOCUMENT_MODE = 0o644


def add_bench(parser: argparse.ArgumentParser) -> None:
    """Give the noun `bench` its options; it has no verbs."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "example:\n  cadastre bench capsule log --json"
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help="capsule, log, audit, worker, sandbox, shared, ckks, flower, round, tasks, "
        "dashboard (default: all)",
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="also write the page; lines of groups that are not measured now stay as they are",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few repetitions: shows that it runs, not how fast"
    )
    runs(parser, bench)


def bench(arguments: argparse.Namespace) -> int:
    """Measure, show, and write. A target that is missed is shown, not a failure."""
    from benchmarks import document, figures, groups, house
    from durable.files import write_atomic
    from terminal.progress import Progress
    from trust.clock import SystemClock, to_text

    names = groups.chosen(arguments.groups)
    earlier = _earlier(arguments.write, whole=names == list(groups.GROUPS))
    output, clock = Output(as_json=arguments.json), SystemClock()
    moment, facts = to_text(clock.now()), house.inspect_house()
    found: list[figures.Figure] = []
    seconds: dict[str, int] = {}
    with Progress(len(names), "measuring") as bar:
        for name in names:
            began = clock.boottime()
            group = groups.GROUPS[name](quick=arguments.quick)
            bar.advance()
            if not group:
                why = groups.ABSENT.get(name, "nothing could be run")
                output.note(f"note: {name} cannot be measured here: {why}")
                continue
            if (missing := groups.left_out(name)) is not None:
                output.note(f"note: {missing}")
            found += group
            seconds[name] = round(clock.boottime() - began)
            if arguments.write is not None:
                # After every group: a later one that fails takes nothing with it.
                run = document.Run(moment, facts, seconds, tuple(found), quick=arguments.quick)
                text = document.render(document.merged(earlier, run), list(groups.GROUPS))
                write_atomic(arguments.write, text.encode(), DOCUMENT_MODE)
    if arguments.json:
        output.record(figures.flat(found))
        return exits.OK
    rows: list[list[Cell]] = [
        [figure.name, f"{figures.rounded(figure.value):,}", *figures.verdict(figure)]
        for figure in found
    ]
    rows += [[f"house {what}", which, "-", "-"] for what, which in facts.items()]
    output.table(["name", "value", "target", "met"], rows)
    return exits.OK


def _earlier(path: Path | None, *, whole: bool) -> list[Run]:
    """What the page at `path` holds; only a `whole` run gives up one that cannot be read.

    Raises PageUnreadable, before anything is measured.
    """
    from benchmarks import document
    from benchmarks.errors import PageUnreadable

    if path is None or not path.exists():
        return []
    try:
        return document.read(path.read_text(encoding="utf-8"))
    except PageUnreadable:
        if not whole:
            raise
        return []
