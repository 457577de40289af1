"""What a measurement can refuse or fail at."""

from __future__ import annotations

from trust.problem import Kind, Problem


class BenchError(Problem):
    """Root of this package's refusals."""

    code = "bench"
    kind = Kind.INVALID


class UnknownGroup(BenchError):
    """A group that nobody measures."""

    code = "bench-group-unknown"


class MeasurementFailed(BenchError):
    """What was to be measured did not run to its end, so there is no figure."""

    code = "bench-measurement-failed"
    kind = Kind.UNAVAILABLE
    advice = "run `cadastre doctor`, mend what it names, then measure again"
