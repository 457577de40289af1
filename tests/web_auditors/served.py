"""The territory's pages on a port, for a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.web_scheduler.territory import Grid, grid_in
from tests.web_scheduler.test_pages_browser import Door
from web.serving import WebServer


@contextmanager
def serving(folder: Path) -> Iterator[Grid]:
    """Two campaigns and their log, at `grid.origin`."""
    grid = grid_in(folder, "domicile-travail", "mairie")
    door = Door()
    server = WebServer(door, "127.0.0.1", 0, closing=grid.end_live)
    grid.open(f"http://127.0.0.1:{server.port}")
    door.app = grid.app
    server.start()
    try:
        yield grid
    finally:
        server.stop()
        grid.close()
