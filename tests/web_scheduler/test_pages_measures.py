"""What Prometheus asks for every fifteen seconds costs no more with every unit that has ended."""

from __future__ import annotations

from scheduler.views.measures import measures
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans, whole_tables


def test_what_prometheus_asks_for_reads_what_moves(grid: Grid) -> None:
    found = plans(grid, lambda: measures(grid.world.desk))
    assert not whole_tables(found), found
