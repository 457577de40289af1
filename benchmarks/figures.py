"""A measured number, what it is to reach, and how it travels between our processes."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One number; its group is the part of `name` before the dot, its unit the last part."""

    name: str
    value: float
    samples: int  # how many repetitions `value` is the median of; 1 for a single reading or count
    how: str  # one sentence for the reader of the table

    @property
    def group(self) -> str:
        """The part before the dot."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Target:
    """The number to reach: at most `bound`, or at least."""

    bound: float
    at_most: bool = True

    def met(self, value: float) -> bool:
        """Whether `value` reaches it."""
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {self.bound:g}"


# Issues 2 to 5, "Measured".
TARGETS = {
    "capsule.warm_ms": Target(8),
    "capsule.cold_ratio": Target(12, at_most=False),
    "capsule.warm_torch_ms": Target(35),
    "worker.idle_pss_mib": Target(90),
    "worker.agent_pss_mib": Target(45),
    "sandbox.escapes_open": Target(4),
    "shared.split_ratio": Target(3),
    "shared.open_ratio": Target(3),
    "ckks.add_ratio": Target(4.5),
    "ckks.relative_error": Target(1e-8),
    "round.tiny_ratio": Target(1 / 100),
    "round.10mib_ratio": Target(1 / 10),
    "tasks.ratio": Target(100, at_most=False),
    "dashboard.page_ratio": Target(1.5),
    "dashboard.sse_cpu_percent": Target(10),
    "dashboard.first_load_kib": Target(150),
}


def median(name: str, samples: Sequence[float], how: str) -> Figure:
    """The figure of several repetitions of one thing."""
    return Figure(name, statistics.median(samples), len(samples), how)


def verdict(figure: Figure) -> tuple[str, str]:
    """The target as text and whether it is met: yes, no, or a dash when there is none."""
    target = TARGETS.get(figure.name)
    if target is None:
        return "-", "-"
    return str(target), "yes" if target.met(figure.value) else "no"


def flat(figures: Iterable[Figure]) -> dict[str, float]:
    """The JSON form: name -> number, rounded to what was measured and no further."""
    return {figure.name: rounded(figure.value) for figure in figures}


def rounded(value: float) -> float:
    """Four significant digits; whole numbers stay whole."""
    short = float(f"{value:.4g}")
    return int(short) if short == int(short) else short


def dump(figures: Iterable[Figure]) -> str:
    """One line for the process that asked."""
    return json.dumps([asdict(figure) for figure in figures])


def load(line: str) -> list[Figure]:
    """What `dump` wrote. Raises ValueError, TypeError."""
    return [Figure(**fields) for fields in json.loads(line)]
