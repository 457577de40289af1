"""The territory's pages on a port, for a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.web_scheduler.served import serve
from tests.web_scheduler.territory import Grid, grid_in


@contextmanager
def serving(folder: Path) -> Iterator[Grid]:
    """Two campaigns and their log, at `grid.origin`."""
    grid = grid_in(folder, "domicile-travail", "mairie")
    server = serve(grid)
    try:
        yield grid
    finally:
        server.stop()
        grid.close()
