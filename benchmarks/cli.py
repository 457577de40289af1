"""`cadastre bench [GROUP...]`: what this house costs on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from terminal import exits
from terminal.arguments import runs
from terminal.output import Cell, Output

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
        "dashboard (default: all, ten minutes)",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="also write the table as a document"
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
    from trust.clock import SystemClock

    names = groups.chosen(arguments.groups)
    output = Output(as_json=arguments.json)
    now, facts = SystemClock().now(), house.inspect_house()
    found: list[figures.Figure] = []
    with Progress(len(names), "measuring") as bar:
        for name in names:
            group = groups.GROUPS[name](quick=arguments.quick)
            if not group:
                why = groups.ABSENT.get(name, "nothing could be run")
                output.note(f"note: {name} cannot be measured here: {why}")
            elif (missing := groups.left_out(name)) is not None:
                output.note(f"note: {missing}")
            found += group
            bar.advance()
    if arguments.write is not None:
        text = document.render(found, facts, now, quick=arguments.quick)
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
