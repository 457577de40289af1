"""A territory with pages in front of it, and a browser's manners to read them with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.browser import browse, chromium
from tests.web_scheduler.territory import Grid, grid_in

__all__ = ["browse", "chromium", "grid"]


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    """Two campaigns, one released and one with a late unit; four workers, one of them lost."""
    made = grid_in(tmp_path)
    yield made
    made.close()
