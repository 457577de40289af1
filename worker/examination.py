"""The command `cadastre doctor`."""

from __future__ import annotations

import argparse
from pathlib import Path

from terminal import exits
from terminal.arguments import runs
from terminal.output import Output
from trust.clock import SystemClock
from worker.doctor import ThisHost, Verdict, examine

DEFAULT_STATE = Path("/var/lib/cadastre")


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Give the noun `doctor` its options."""
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="the worker's folder")
    parser.add_argument(
        "--site", default="", help="the scheduler's http address, to compare clocks"
    )
    parser.add_argument(
        "--reach",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="a port to reach (again for more)",
    )
    runs(parser, doctor)


def doctor(arguments: argparse.Namespace) -> int:
    """Print every finding; exit 0 when nothing is a problem, 1 otherwise."""
    found = list(
        examine(
            ThisHost(),
            SystemClock(),
            state=arguments.state,
            site=arguments.site,
            addresses=tuple(arguments.reach),
        )
    )
    rows = [[f.check, f.verdict.value, f.seen, f.fix or None] for f in found]
    Output(as_json=arguments.json).table(["check", "verdict", "seen", "fix"], rows)
    bad = any(finding.verdict is Verdict.PROBLEM for finding in found)
    return exits.FAILURE if bad else exits.OK
