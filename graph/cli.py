"""`cadastre graph`: build, verify, show, compare, measure, export and draw a territory's graph."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from graph.errors import LearningUnavailable
from terminal.arguments import leaf

if TYPE_CHECKING:
    from terminal.arguments import Verbs


def add_graph(verbs: Verbs) -> None:
    """Give `verbs` the verbs of `cadastre graph`."""
    from graph import commands

    build = leaf(
        verbs,
        "build",
        commands.build,
        summary="make the dated, signed graph of a territory from releases and open data",
        example="cadastre graph build plan.toml --releases evidence/ --root root.json "
        "--key authority.key --out plaine-commune.graph",
    )
    build.add_argument("plan", type=Path, metavar="PLAN", help="plan.toml, its tables beside it")
    _releases(build)
    build.add_argument("--key", type=Path, required=True, metavar="FILE", help="the authority's")
    build.add_argument("--out", type=Path, required=True, metavar="FILE", help="as NAME.graph")
    _anchor(build)
    for name, run, summary, example in (
        ("verify", commands.verify, "check signature, bytes, minima and shapes", "G.graph"),
        ("show", commands.show, "print what a graph holds, and its sources", "G.graph"),
        (
            "indicators",
            commands.indicators,
            "flows, distances, CO2e, self-containment and the doughnut, with sources",
            "G.graph",
        ),
    ):
        parser = leaf(
            verbs,
            name,
            run,
            summary=summary,
            example=f"cadastre graph {name} {example} --root root.json",
        )
        parser.add_argument("graph", type=Path, metavar="GRAPH")
        _anchor(parser)
        if name == "verify":
            parser.add_argument(
                "--plan", type=Path, metavar="PLAN", help="build it again from this and compare"
            )
            _releases(parser)
        if name == "indicators":
            parser.add_argument(
                "--doughnut", action="store_true", help="the doughnut's dimensions alone"
            )
    diff = leaf(
        verbs,
        "diff",
        commands.diff,
        summary="what changed between two dated graphs",
        example="cadastre graph diff 2025.graph 2026.graph --root root.json",
    )
    diff.add_argument("before", type=Path, metavar="BEFORE")
    diff.add_argument("after", type=Path, metavar="AFTER")
    _anchor(diff)
    export = leaf(
        verbs,
        "export",
        commands.export,
        summary="write a graph in another program's form",
        example="cadastre graph export G.graph --to graphml --out exported/ --root root.json",
    )
    export.add_argument("graph", type=Path, metavar="GRAPH")
    export.add_argument(
        "--to", required=True, choices=("graphml", "parquet", "turtle", "pyg"), metavar="FORM"
    )
    export.add_argument("--out", type=Path, required=True, metavar="DIR")
    _anchor(export)
    draw = leaf(
        verbs,
        "draw",
        commands.draw,
        summary="draw a graph as SVG: a schematic map, or flows by way of travel",
        example="cadastre graph draw map G.graph --out map.svg --root root.json",
    )
    draw.add_argument("picture", choices=("map", "flows"))
    draw.add_argument("graph", type=Path, metavar="GRAPH")
    draw.add_argument("--out", type=Path, required=True, metavar="FILE")
    draw.add_argument("--language", choices=("fr", "en"), default="fr")
    _anchor(draw)
    _potential(verbs)


def _potential(verbs: Verbs) -> None:
    potential = leaf(
        verbs,
        "potential",
        _rank,
        summary="links to strengthen or create, ranked by avoided CO2e, each explained",
        example="cadastre graph potential G.graph --root root.json --top 5 --draw links.svg",
    )
    potential.add_argument("graph", type=Path, metavar="GRAPH")
    potential.add_argument("--top", type=int, default=10, metavar="N", help="how many links")
    potential.add_argument(
        "--scorer",
        choices=("auto", "gravity", "gnn"),
        default="auto",
        help="what tells plausible flows; auto: the network where it is clearly better",
    )
    potential.add_argument("--days", type=int, default=None, metavar="N", help="worked in a year")
    potential.add_argument("--seed", type=int, default=1, metavar="N")
    potential.add_argument("--language", choices=("fr", "en"), default="fr")
    potential.add_argument("--draw", type=Path, metavar="FILE", help="the links as an SVG map")
    _anchor(potential)


def _rank(arguments: argparse.Namespace) -> int:
    try:
        from graph import ranking  # numpy, for the one verb that needs it
    except ModuleNotFoundError as error:
        raise LearningUnavailable(
            f"the ranking needs the Python package {error.name}, which is not installed here",
            remedy="pip install 'cadastre[graph]'",
        ) from error
    return ranking.potential(arguments)


def _releases(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--releases",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="evidence folders, or releases with their reports and authorisations",
    )


def _anchor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE",
        help="the signed territory root; after rotations all its versions, the first one first",
    )
    parser.add_argument(
        "--pin", metavar="DIGEST", help="what the first root must be: sha256:…, from paper"
    )
