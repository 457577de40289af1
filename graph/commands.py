"""What `cadastre graph` does with files; nothing is shown of a graph that does not verify."""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import datetime
from pathlib import Path

from durable.files import make_directory, write_atomic
from durable.keyfile import read_key
from graph import building, document, doughnut, opentables, releases
from graph import difference as differences
from graph import indicators as measures
from graph import plan as plans
from graph.document import SIGNATURE_SUFFIX, SUFFIX, SignedGraph
from graph.errors import GraphMissing, GraphUnverified, NotTheAuthority, PlanRefused
from graph.export import forms
from graph.model import Flow, TerritoryGraph
from graph.pictures import schematic, streams
from terminal import exits
from terminal.output import Cell, Output
from trust import clock, dsse
from trust.documents.root import Duty
from trust.ids import Digest
from trust.root import TrustedRoot, walk

# How many rows of a comparison people are shown; machines get every one.
_SHOWN = 40


def build(arguments: argparse.Namespace) -> int:
    """Build, validate, sign and write; nothing is written unless all of it holds."""
    from graph import shapes  # noqa: PLC0415 - rdflib and pyshacl take half a second to import

    now = clock.SystemClock().now()
    root = _root(arguments)
    key = read_key(arguments.key)
    if key.public not in root.keys(Duty.GRAPH).keys:
        # Before minutes of work; `document.sign` asks again.
        raise NotTheAuthority(
            f"key {key.public.keyid} may not sign the graph of {root.document.territory}"
        )
    out: Path = arguments.out
    if out.suffix != SUFFIX:
        raise PlanRefused(f"{out} is no name of a graph", remedy=f"let it end in {SUFFIX}")
    graph = _built(arguments, root, now)
    shapes.require(graph)
    signed = document.sign(graph, key, root, now)
    make_directory(out.absolute().parent)
    # The signature first: a graph that is there without one was never signed.
    write_atomic(_signature(out), signed.statement.envelope.raw)
    write_atomic(out, signed.raw)
    output = Output(as_json=arguments.json)
    output.record({"graph": str(out), **about(signed)})
    output.line(f"next: cadastre graph indicators {out} --root {arguments.root[-1]}")
    return exits.OK


def verify(arguments: argparse.Namespace) -> int:
    """Signature, bytes, invariants, minima and shapes; with its plan, that it is no other's work.

    The signature says who made the graph. Built again from plan, tables and releases, it also
    says that they made it of these and of nothing else, under the minima that were voted.
    """
    from graph import shapes  # noqa: PLC0415 - as above

    signed = opened(arguments, arguments.graph)
    shapes.require(signed.graph)
    if arguments.plan is not None:
        again = document.encode(_built(arguments, _root(arguments), signed.graph.dated))
        if again != signed.raw:
            raise GraphUnverified(
                "the graph is not what its plan, tables and releases give",
                remedy="`cadastre graph diff` tells where, once you have built your own; if the "
                "sources are the same, ask the authority",
            )
    rebuilt = None if arguments.plan is None else True
    Output(as_json=arguments.json).record(
        {"graph": str(arguments.graph), **about(signed), "rebuilt": rebuilt}
    )
    return exits.OK


def show(arguments: argparse.Namespace) -> int:
    """What the graph holds: its tables' sizes and its sources."""
    signed = opened(arguments, arguments.graph)
    graph, output = signed.graph, Output(as_json=arguments.json)
    edges: Counter[str] = Counter(link.source for link in graph.links)
    edges.update(flow.source for flow in graph.flows)
    sources: list[dict[str, Cell]] = [
        {
            "source": source.id,
            "kind": source.kind.value,
            "title": source.title,
            "attribution": source.attribution,
            "licence": source.licence,
            "minimum": source.minimum,
            "withheld": source.withheld,
            "edges": edges[source.id],
        }
        for source in graph.sources
    ]
    record = {
        **about(signed),
        "title": graph.name_fr,
        "territories": len(graph.territories),
        "places": len(graph.places),
        "actors": len(graph.actors),
        "resources": len(graph.resources),
        "actions": len(graph.actions),
        "objectives": len(graph.objectives),
        "links": len(graph.links),
        "flows": len(graph.flows),
    }
    if arguments.json:
        output.record({**record, "sources": sources})
        return exits.OK
    output.record(record)
    output.line("")
    output.table(list(sources[0]), [list(row.values()) for row in sources])
    return exits.OK


def indicators(arguments: argparse.Namespace) -> int:
    """Every number with its range and its sources."""
    graph = opened(arguments, arguments.graph).graph
    output = Output(as_json=arguments.json)
    numbers: list[dict[str, Cell]] = [
        {
            "indicator": item.name,
            "about": item.about,
            "value": item.value,
            "low": item.low,
            "high": item.high,
            "unit": item.unit,
            "sources": " ".join(item.sources),
            "note": item.note,
        }
        for item in measures.indicators(graph)
    ]
    dimensions: list[dict[str, Cell]] = [
        {
            "dimension": stand.objective.name_fr,
            "side": stand.objective.side.value,
            "status": stand.status.value,
            "indicator": stand.indicator.name if stand.indicator else None,
            "value": stand.indicator.value if stand.indicator else None,
            "limit": stand.objective.limit,
            "unit": stand.indicator.unit if stand.indicator else None,
            "sources": " ".join(stand.sources),
        }
        for stand in doughnut.doughnut(graph)
    ]
    if arguments.json:
        parts = {"doughnut": dimensions}
        output.record(parts if arguments.doughnut else {"indicators": numbers, **parts})
        return exits.OK
    for rows in [dimensions] if arguments.doughnut else [numbers, dimensions]:
        if rows:
            output.table(list(rows[0]), [list(row.values()) for row in rows])
            output.line("")
    return exits.OK


def diff(arguments: argparse.Namespace) -> int:
    """Rows that were added, removed or changed; `clear` where noise alone does not explain it."""
    before = opened(arguments, arguments.before).graph
    after = opened(arguments, arguments.after).graph
    changes = differences.between(before, after)
    rows: list[list[Cell]] = [
        [
            change.kind,
            change.table,
            " ".join(change.key),
            change.before.quantity if isinstance(change.before, Flow) else None,
            change.after.quantity if isinstance(change.after, Flow) else None,
            change.clear,
            " ".join(change.fields),
        ]
        for change in changes
    ]
    output = Output(as_json=arguments.json)
    columns = ["change", "table", "key", "before", "after", "clear", "fields"]
    output.table(columns, rows if arguments.json else rows[:_SHOWN])
    if len(rows) > _SHOWN:
        output.line(f"… and {len(rows) - _SHOWN} more; --json shows every one")
    return exits.OK


def export(arguments: argparse.Namespace) -> int:
    """Another program's files of a verified graph."""
    signed = opened(arguments, arguments.graph)
    paths = forms.export(signed.graph, arguments.to, arguments.out)
    Output(as_json=arguments.json).record(
        {"form": arguments.to, "files": [str(path) for path in paths], **about(signed)}
    )
    return exits.OK


def draw(arguments: argparse.Namespace) -> int:
    """One picture of a verified graph."""
    signed = opened(arguments, arguments.graph)
    drawing = schematic.draw if arguments.picture == "map" else streams.draw
    out: Path = arguments.out
    make_directory(out.absolute().parent)
    write_atomic(out, drawing(signed.graph, arguments.language))
    Output(as_json=arguments.json).record({"picture": str(out), **about(signed)})
    return exits.OK


def opened(arguments: argparse.Namespace, path: Path) -> SignedGraph:
    """The graph at `path`, verified. Raises GraphMissing, or what `document.verify` raises."""
    raw = _read(path, document.MAXIMUM_GRAPH_BYTES)
    signature = _read(_signature(path), dsse.MAXIMUM_ENVELOPE_BYTES)
    return document.verify(raw, signature, _root(arguments))


def _built(arguments: argparse.Namespace, root: TrustedRoot, dated: datetime) -> TerritoryGraph:
    raw = _read(arguments.plan, plans.MAXIMUM_PLAN_BYTES)
    plan = plans.read(raw)
    return building.build(
        plan,
        raw,
        _tables(plan, arguments.plan.parent),
        releases.verified(releases.gather(arguments.releases), root),
        territory=root.document.territory,
        dated=dated,
    )


def _root(arguments: argparse.Namespace) -> TrustedRoot:
    chain = [_read(path, dsse.MAXIMUM_ENVELOPE_BYTES) for path in arguments.root]
    # Without a pin the file that the person names is the anchor, as with every other command.
    pin = Digest.parse(arguments.pin) if arguments.pin else Digest.of(chain[0])
    return walk(chain, pin)


def _tables(plan: plans.Plan, folder: Path) -> dict[str, bytes]:
    found = {}
    for table in plan.tables:
        path = folder / table.file
        if not path.resolve().is_relative_to(folder.resolve()):
            raise PlanRefused(
                f"{table.file} lies outside the plan's folder",
                remedy="keep a plan's tables beside it",
            )
        opentables.holds_nodes(table)  # refuses an unknown kind before anything is read
        found[table.file] = _read(path, releases.MAXIMUM_FILE_BYTES)
    return found


def about(signed: SignedGraph) -> dict[str, Cell]:
    """What the authority's statement says of a graph."""
    said = signed.statement.document
    return {
        "digest": str(said.graph),
        "territory": said.territory,
        "dated": clock.to_text(said.dated),
        "nodes": said.nodes,
        "edges": said.edges,
        "signed by": ", ".join(sorted(key.keyid for key in signed.statement.signers)),
    }


def _signature(path: Path) -> Path:
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise GraphMissing(f"could not read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise GraphMissing(
            f"{path} has over {limit} bytes", remedy="check that this is the file meant"
        )
    return data
