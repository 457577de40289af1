"""One number about the territory, with its range and the sources that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from graph.commuting import Estimate


@dataclass(frozen=True)
class Indicator:
    """One number about the territory, a way of travel, a place or a resource."""

    name: str  # stable, as in commuters, share, emissions, consumption, consumption-emissions
    about: str  # a node's id, or "territory"
    value: float | None
    low: float | None
    high: float | None
    unit: str
    sources: tuple[str, ...]
    note: str = ""


def told(
    name: str,
    about: str,
    estimate: Estimate | None,
    unit: str,
    sources: tuple[str, ...],
    *,
    note: str = "",
) -> Indicator:
    """The indicator that says `estimate`; without one it says nothing, and why."""
    if estimate is None:
        return Indicator(name, about, None, None, None, unit, sources, note or "nobody to count")
    value, low, high = map(_rounded, (estimate.value, estimate.low, estimate.high))
    return Indicator(name, about, value, low, high, unit, sources, note)


def _rounded(number: float) -> float:
    # Six digits: the same on every processor, and more than any of these numbers deserves.
    return float(f"{number:.6g}")
