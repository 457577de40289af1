"""Which forms there are, and which extra of the package each needs.

A heavy library is imported when its form is asked for, so that nobody installs torch to draw a
map.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durable.files import make_directory, write_atomic
from graph.errors import ExportUnavailable
from graph.model import TerritoryGraph


@dataclass(frozen=True)
class Form:
    """One form of export: its files by name, and what makes them."""

    name: str
    module: str
    package: str  # what must be importable
    extra: str  # of cadastre
    summary: str


FORMS = {
    form.name: form
    for form in (
        Form("graphml", "graph.export.graphml", "xml", "graph", "GraphML, for Gephi and networkx"),
        Form("turtle", "graph.export.turtle", "rdflib", "graph", "RDF in Turtle"),
        Form("parquet", "graph.export.parquet", "pyarrow", "graph", "one Parquet file per table"),
        Form("pyg", "graph.export.pyg", "torch_geometric", "learning", "PyG HeteroData, for torch"),
    )
}


def files_of(graph: TerritoryGraph, form: str) -> dict[str, bytes]:
    """The files of one form, by name. Raises ExportUnavailable naming the missing extra."""
    chosen = FORMS[form]
    try:
        module: Any = importlib.import_module(chosen.module)
        importlib.import_module(chosen.package)
    except ModuleNotFoundError as error:
        raise ExportUnavailable(
            f"the form {form} needs the Python package {error.name}, which is not installed here",
            remedy=f"pip install 'cadastre[{chosen.extra}]'",
        ) from error
    write: Callable[[TerritoryGraph], dict[str, bytes]] = module.files
    return write(graph)


def export(graph: TerritoryGraph, form: str, folder: Path) -> list[Path]:
    """Write the files of one form into `folder`; their paths. Raises StorageFailed."""
    found = files_of(graph, form)
    make_directory(folder.absolute())
    paths = []
    for name, data in found.items():
        write_atomic(folder / name, data)
        paths.append(folder / name)
    return paths
