"""Exit codes, stable across commands (docs/operations.md lists them)."""

from __future__ import annotations

import sys

from terminal.words import several_lines
from trust.problem import Kind, Problem

OK = 0
FAILURE = 1
USAGE = 2
UNVERIFIED = 3
NOT_FOUND = 4
NOT_READY = 75  # EX_TEMPFAIL of sysexits.h: asking again later is right

_CODES = {
    Kind.INVALID: FAILURE,
    Kind.UNVERIFIED: UNVERIFIED,
    Kind.REFUSED: FAILURE,
    Kind.NOT_FOUND: NOT_FOUND,
    Kind.CONFLICT: FAILURE,
    Kind.EXHAUSTED: FAILURE,
    Kind.UNAVAILABLE: NOT_READY,
    Kind.INTERNAL: FAILURE,
}


def of(problem: Problem) -> int:
    """The exit code for `problem`."""
    return _CODES[problem.kind]


def explain(problem: Problem) -> int:
    """Write `problem` for a person to stderr and return its exit code."""
    sys.stderr.write(several_lines(f"error: {problem}\n"))
    return of(problem)
