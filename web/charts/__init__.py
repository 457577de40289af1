"""Charts as SVG: pure functions of their numbers, drawn by the server, each with its data table.

Colours are classes of `assets/css/60-charts.css`; nothing has a style attribute. What colour tells
is told a second time, by a dash, an icon, a pattern or a word.
"""

from web.charts.bars import Bar, bars, histogram
from web.charts.chart import Chart
from web.charts.flow import flow
from web.charts.gantt import Group, Lane, Span, gantt
from web.charts.journeys import journeys
from web.charts.series import Line, Point, series, sparkline, training
from web.charts.stretches import Stretch, stretches
from web.charts.territory import Area, Tile, territory

__all__ = [
    "Area", "Bar", "Chart", "Group", "Lane", "Line", "Point", "Span", "Stretch", "Tile", "bars",
    "flow", "gantt", "histogram", "journeys", "series", "sparkline", "stretches", "territory",
    "training",
]  # fmt: skip
