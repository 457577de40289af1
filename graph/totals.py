"""What is consumed, produced and traded in all: per source, relation, resource, unit and period.

Ways to work have indicators of their own. Totals of several sources, relations or units are
never added up: what one actor produces and another one consumes is the same thing twice. A
factor is used where its unit fits the total's, scaled if need be; otherwise nobody guesses.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from graph import concepts
from graph.commuting import Estimate
from graph.indicator import Indicator, told
from graph.model import Factor, Flow, Relation, Source, SourceKind, TerritoryGraph

COUNTED = (Relation.CONSUMPTION, Relation.PRODUCTION, Relation.TRANSACTION)


@dataclass(frozen=True)
class Total:
    """The flows that one total adds up; they share everything but their ends."""

    source: Source
    relation: Relation
    resource: str
    unit: str
    begins: str
    ends: str
    flows: tuple[Flow, ...]

    @property
    def banded(self) -> int:
        """How many of the flows state a band."""
        return sum(flow.upper is not None for flow in self.flows)

    @property
    def estimate(self) -> Estimate:
        """The sum; its range assumes independent noise per flow, as releases add it."""
        value = math.fsum(float(flow.quantity) for flow in self.flows)
        below = _spread(_gap(flow.lower, flow.quantity) for flow in self.flows)
        above = _spread(_gap(flow.upper, flow.quantity) for flow in self.flows)
        # A band that ends at zero was cut there: its other end says how wide the noise is.
        half = max(below, above)
        return Estimate(value, max(0.0, value - half), value + half)


def totals(graph: TerritoryGraph) -> list[Total]:
    """Every total, contributed data first."""
    sources = {source.id: source for source in graph.sources}
    groups: dict[tuple[str, Relation, str, str, str, str], list[Flow]] = defaultdict(list)
    for flow in graph.flows:
        if flow.relation in COUNTED:
            kind = (flow.source, flow.relation, flow.resource)
            groups[*kind, flow.unit, flow.begins, flow.ends].append(flow)
    found = [Total(sources[key[0]], *key[1:], tuple(groups[key])) for key in sorted(groups)]
    return sorted(found, key=lambda item: item.source.kind is not SourceKind.RELEASE)


def indicators(graph: TerritoryGraph) -> Iterator[Indicator]:
    """Each total under its relation's name, and the CO2e that a fitting factor makes of it."""
    factors = {factor.resource: factor for factor in graph.factors}
    for one in totals(graph):
        sources = (one.source.id,)
        yield told(
            one.relation.value, one.resource, one.estimate, one.unit, sources, note=_note(one)
        )
        yield _emissions(one, factors.get(one.resource))


def _emissions(one: Total, factor: Factor | None) -> Indicator:
    name, unit = f"{one.relation.value}-emissions", "kgCO2e"
    if factor is None:
        note = f"no factor for this resource, total in {one.unit}"
        return told(name, one.resource, None, unit, (one.source.id,), note=note)
    sources = (one.source.id, factor.source)
    scale = concepts.FACTOR_UNITS[factor.unit].get(one.unit)
    if scale is None:
        note = f"its factor is in {factor.unit}, which does not fit a total in {one.unit}"
        return told(name, one.resource, None, unit, sources, note=note)
    whole = one.estimate
    emitted = Estimate(
        whole.value * scale * float(factor.value),
        whole.low * scale * float(factor.low),
        whole.high * scale * float(factor.high),
    )
    note = f"total in {one.unit} x {factor.value} {factor.unit}, {one.begins} to {one.ends}"
    return told(name, one.resource, emitted, unit, sources, note=note)


def _note(one: Total) -> str:
    parts = [f"{one.begins} to {one.ends}", f"flows: {len(one.flows)}, with a band: {one.banded}"]
    if one.source.withheld:
        parts.append(f"{one.source.withheld} edges of the source withheld")
    return "; ".join(parts)


def _gap(end: str | None, quantity: str) -> float:
    return 0.0 if end is None else abs(float(end) - float(quantity))


def _spread(halves: Iterator[float]) -> float:
    return math.sqrt(math.fsum(half**2 for half in halves))
