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


class PageUnreadable(BenchError):
    """A page of figures that is not as `cadastre bench` writes it: its lines cannot be kept."""

    code = "bench-page-unreadable"
    advice = "measure every group (`cadastre bench --write FILE`), or write to another file"

    def __init__(self) -> None:
        super().__init__("the page that is there is not one that `cadastre bench` wrote")
