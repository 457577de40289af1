"""The building yard: what a build gathers before it is sorted into a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from graph import invariants
from graph.errors import CohortBroken, PlanRefused
from graph.model import Factor, Flow, Link, Node, Source, SourceKind, link_key
from graph.plan import Reference
from trust.ids import Digest


@dataclass
class Yard:
    """What is gathered before it is sorted."""

    nodes: dict[str, Node] = field(default_factory=dict)
    links: dict[tuple[str, str, str], Link] = field(default_factory=dict)
    flows: list[Flow] = field(default_factory=list)
    factors: dict[str, Factor] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)

    def add_node(self, node: Node) -> None:
        """Raises PlanRefused when another statement made this node before."""
        if self.nodes.setdefault(node.id, node) is not node:
            raise PlanRefused(f"{node.id} is stated twice")

    def add_link(self, link: Link) -> None:
        """A relation that several sources state is kept as the first one states it."""
        self.links.setdefault(link_key(link), link)

    def add_source(self, source: Source) -> None:
        """Raises PlanRefused when two would share a name."""
        if self.sources.setdefault(source.id, source) is not source:
            raise PlanRefused(
                f"two sources are called {source.id}", remedy="give each table its own series"
            )

    def add_flows(self, flows: Sequence[Flow], source: Source) -> None:
        """Those with enough persons behind them; the others are counted in the source."""
        kept = [flow for flow in flows if _is_kept(flow, source)]
        self.flows += kept
        self.withhold(source.id, len(flows) - len(kept))

    def withhold(self, source: str, number: int) -> None:
        """Count edges that were left out."""
        before = self.sources[source]
        self.sources[source] = replace(before, withheld=before.withheld + number)


def cited(name: str, reference: Reference, digest: Digest | None) -> Source:
    """A source that is cited: factors, limits, nomenclatures."""
    return Source(
        id=name,
        kind=SourceKind.REFERENCE,
        series=name.partition(":")[2],
        title=reference.title,
        attribution=reference.attribution,
        licence=reference.licence,
        digest=digest,
        minimum=0,
        withheld=0,
    )


def _is_kept(flow: Flow, source: Source) -> bool:
    try:
        invariants.cohort(flow, source)
    except CohortBroken:
        return False
    return True
