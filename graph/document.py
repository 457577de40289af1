"""The graph as canonical bytes, and the authority's signature over them.

Two files travel together: `NAME.graph`, the canonical JSON of a TerritoryGraph, and
`NAME.graph.sig`, a DSSE envelope with a GraphStatement that names those bytes by digest. Only a
key that the territory root names for the duty `graph` may sign one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from graph import invariants
from graph.errors import GraphUnverified, NotTheAuthority
from graph.model import SourceKind, TerritoryGraph
from trust import schema
from trust.documents import signed
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.errors import TooLarge
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.root import TrustedRoot

SUFFIX = ".graph"
SIGNATURE_SUFFIX = ".sig"
# A city of 200,000 edges of 300 bytes; what is larger is cut by territory or by year.
MAXIMUM_GRAPH_BYTES = 64 << 20


@dataclass(frozen=True)
class GraphStatement:
    """The authority vouches for the exact bytes of one dated graph."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.graph.v1+json"

    territory: str
    graph: Digest
    ontology: Digest  # of the vocabulary and shapes that it was validated against
    releases: tuple[Digest, ...]  # envelopes, sorted: what an auditor looks up in the log
    nodes: int
    edges: int
    dated: datetime
    signed_at: datetime


@dataclass(frozen=True)
class SignedGraph:
    """A graph with the authority's statement; made by `sign` and `verify` only."""

    graph: TerritoryGraph
    raw: bytes
    statement: Signed[GraphStatement]


def encode(graph: TerritoryGraph) -> bytes:
    """The canonical bytes of a sound graph. Raises GraphInvalid or CohortBroken."""
    invariants.check(graph)
    raw = schema.encode(graph) + b"\n"
    _require_size(raw)
    return raw


def decode(raw: bytes) -> TerritoryGraph:
    """The graph in `raw`. Raises Malformed, GraphInvalid, or GraphUnverified when not canonical."""
    _require_size(raw)
    graph = schema.decode(TerritoryGraph, raw)
    invariants.check(graph)
    if schema.encode(graph) + b"\n" != raw:
        raise GraphUnverified("the graph's bytes are not the canonical ones of what they say")
    return graph


def sign(
    graph: TerritoryGraph, key: PrivateKey, root: TrustedRoot, signed_at: datetime
) -> SignedGraph:
    """The graph under the authority's signature.

    Raises NotTheAuthority for every other key, GraphInvalid or CohortBroken for a faulty graph.
    """
    root.require_current(signed_at)
    if key.public not in root.keys(Duty.GRAPH).keys:
        raise NotTheAuthority(
            f"key {key.public.keyid} may not sign the graph of {root.document.territory}"
        )
    if graph.territory != root.document.territory:
        raise NotTheAuthority(
            f"the graph is of {graph.territory[:80]}, the root of {root.document.territory}",
            remedy="give the root of the territory that the graph is about",
        )
    raw = encode(graph)
    return SignedGraph(graph, raw, signed.sign(_statement(graph, raw, signed_at), [key]))


def verify(raw: bytes, signature: bytes, root: TrustedRoot) -> SignedGraph:
    """The graph in `raw`, once the authority of `root` vouches for exactly these bytes.

    Raises SignatureInvalid, WrongType, Malformed, RootRefused, GraphUnverified, GraphInvalid or
    CohortBroken. A root that has expired since the signature still tells who signed.
    """
    statement = root.verify(GraphStatement, signature, Duty.GRAPH)
    if statement.document.graph != Digest.of(raw):
        raise GraphUnverified(
            f"the graph's digest is {Digest.of(raw)}, the authority signed "
            f"{statement.document.graph}"
        )
    graph = decode(raw)
    if statement.document.territory != root.document.territory:
        raise GraphUnverified("the signature is about the graph of another territory")
    if statement.document != _statement(graph, raw, statement.document.signed_at):
        raise GraphUnverified("the signature tells another date, size or origin than the graph")
    return SignedGraph(graph, raw, statement)


def _statement(graph: TerritoryGraph, raw: bytes, signed_at: datetime) -> GraphStatement:
    releases = {
        source.digest
        for source in graph.sources
        if source.kind is SourceKind.RELEASE and source.digest is not None
    }
    return GraphStatement(
        territory=graph.territory,
        graph=Digest.of(raw),
        ontology=graph.ontology,
        releases=tuple(sorted(releases)),
        nodes=sum(1 for _ in graph.nodes()),
        edges=len(graph.links) + len(graph.flows),
        dated=graph.dated,
        signed_at=signed_at,
    )


def _require_size(raw: bytes) -> None:
    if len(raw) > MAXIMUM_GRAPH_BYTES:
        raise TooLarge(f"the graph has {len(raw)} bytes, over the limit of {MAXIMUM_GRAPH_BYTES}")
