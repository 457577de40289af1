"""A territory with pages in front of it, and a browser's manners to read them with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.browser import browse, chromium
from tests.web_scheduler.territory import Grid, grid_in

__all__ = ["browse", "chromium", "grid"]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """Two campaigns, one released and one with a late unit; four workers, one of them lost.

    Pages only read it: one for all tests of a module.
    """
    made = grid_in(tmp_path_factory.mktemp("grid"))
    yield made
    made.close()
