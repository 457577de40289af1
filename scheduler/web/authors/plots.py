"""Which picture tells a released value best, and that picture: pure functions of the release.

What decides is what the report declares: the value's shape, its labels and its unit. Every picture
has its numbers as a table beside it, withheld cells included.
"""

from __future__ import annotations

import enum
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

from scheduler.views.releases import Array, Told
from web import charts
from web.cells import Cell
from web.charts import Bar, Chart, Line, Point
from web.sentences import Sentence, plural, say
from web.speech import Speech

MOST_BARS = 64
MOST_RIBBONS = 30
MOST_SIDE = 24  # rows or columns of a matrix that a page still shows
MOST_ROWS = 200
MOST_CURVES = 8
MOST_SERIES = 8  # histograms that one matrix becomes
Places = Mapping[str, tuple[float, float]]  # longitude and latitude by label, in degrees
NOWHERE: Places = MappingProxyType({})
NO_UNITS: Mapping[str, str] = MappingProxyType({})
COEFFICIENTS = frozenset({"coefficient", "coefficients", "score", "scores", "log-odds"})
_NOTHING = "\u2013"  # where a bundle told no number
_PER_LABEL = "per the label's"  # how a bundle says the unit of coefficients that each have another

T = TypeVar("T")


class Plot(enum.StrEnum):
    """How a value is shown."""

    SCALAR = "scalar"
    HISTOGRAM = "histogram"
    HISTOGRAMS = "histograms"  # one for each label of the first axis
    REGRESSION = "regression"  # an estimate per name, with its band
    FLOWS = "flows"  # from place to place
    MATRIX = "matrix"
    TABLE = "table"


@dataclass(frozen=True)
class Shown:
    """A value on its page: a picture where one tells it, and a table where none does."""

    name: str
    plot: Plot
    charts: Sequence[Chart] = ()
    headings: Sequence[Sentence | str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    notes: Sequence[Sentence] = ()


def plot_of(array: Array) -> Plot:
    """The picture for a value."""
    if len(array.cells) == 1:
        return Plot.SCALAR
    if len(array.shape) == 1:
        if array.unit in COEFFICIENTS or _PER_LABEL in array.unit:
            return Plot.REGRESSION
        # Labels with units of their own share no axis.
        return Plot.TABLE if _mixed(array) or len(array.cells) > MOST_BARS else Plot.HISTOGRAM
    places = array.labels[0] == array.labels[1] and array.unit not in COEFFICIENTS
    if places and not _mixed(array) and not _symmetric(array):
        return Plot.FLOWS
    if len(array.shape) != 2:
        return Plot.TABLE
    if max(array.shape) <= MOST_SIDE:
        return Plot.MATRIX
    first, second = array.shape
    several = first <= MOST_SERIES and second <= MOST_BARS
    return Plot.HISTOGRAMS if several and not _mixed(array) else Plot.TABLE


def shown(array: Array, speech: Speech, places: Places = NOWHERE) -> Shown:
    """A value of more than one cell as its page shows it; `places` lie where they are labelled."""
    plot = plot_of(array)
    notes = _notes(array)
    drawn: list[Chart] = []
    match plot:
        case Plot.HISTOGRAM:
            drawn = [_histogram(array, f"plot-{array.name}", speech)]
            return Shown(array.name, plot, drawn, notes=notes)
        case Plot.HISTOGRAMS:
            drawn = [
                _histogram(one, f"plot-{array.name}-{at}", speech)
                for at, one in enumerate(_series(array))
            ]
            return Shown(array.name, plot, drawn, notes=notes)
        case Plot.REGRESSION:
            # Coefficients with units of their own share no axis: the table tells them alone.
            if len(array.cells) <= MOST_BARS and not _mixed(array):
                drawn.append(
                    charts.bars(
                        f"plot-{array.name}",
                        array.name,
                        [one for one in _bars(array) if not one.withheld],
                        speech,
                        unit=array.unit,
                    )
                )
            return Shown(array.name, plot, drawn, *_estimates(array), notes)
        case Plot.FLOWS:
            drawn, left_out = _flows(array, speech)
            located, off = _map(array, speech, places)
            notes = [*notes, *left_out, *off]
            return Shown(array.name, plot, [*located, *drawn], *_long(array), notes)
        case Plot.MATRIX:
            return Shown(array.name, plot, drawn, *_matrix(array), notes)
        case _:
            return Shown(array.name, plot, drawn, *_long(array), notes)


def scalars(arrays: Sequence[Array]) -> list[list[Cell]]:
    """Single numbers, a row each: name, value, band's ends, unit."""
    return [
        [one.name, one.cells[0], *_ends(one, 0), one.unit]
        for one in arrays
        if plot_of(one) is Plot.SCALAR
    ]


def curves(
    told: Sequence[Told], speech: Speech, units: Mapping[str, str] = NO_UNITS
) -> list[Chart]:
    """A training curve per number that two rounds or more told, by name, in its unit."""
    by_name: dict[str, list[Point]] = defaultdict(list)
    for one in told:
        for name, value in one.values.items():
            by_name[name].append(Point(one.round, value))
    lines = [Line(name, points) for name, points in sorted(by_name.items()) if len(points) > 1]
    return [
        charts.training(
            f"curve-{line.name}", line.name, [line], speech, unit=units.get(str(line.name), "")
        )
        for line in lines[:MOST_CURVES]
    ]


def labels(array: Array) -> Iterator[tuple[str, ...]]:
    """The labels of every cell, in C order."""
    return itertools.product(*array.labels)


def _ends(array: Array, at: int) -> list[Cell]:
    return [array.low[at] if array.low else None, array.high[at] if array.high else None]


def _histogram(array: Array, identity: str, speech: Speech) -> Chart:
    return charts.histogram(identity, array.name, _bars(array), speech, unit=array.unit)


def _bars(array: Array) -> list[Bar]:
    bars = []
    for at, (words, cell) in enumerate(zip(labels(array), array.cells, strict=True)):
        if isinstance(cell, int | float):
            low = array.low[at] if array.low else None
            high = array.high[at] if array.high else None
            bars.append(Bar(" / ".join(words), float(cell), low, high))
        else:
            bars.append(Bar(" / ".join(words), 0.0, withheld=cell or _NOTHING))
    return bars


def _series(array: Array) -> list[Array]:
    """A matrix as one value per label of its first axis, bands and all."""
    names, inner = array.labels[0], array.shape[1]

    def part(cells: tuple[T, ...], at: int) -> tuple[T, ...]:
        return cells[at * inner : (at + 1) * inner]

    return [
        replace(
            array,
            name=name,
            shape=(inner,),
            labels=(array.labels[1],),
            cells=part(array.cells, at),
            low=part(array.low, at),
            high=part(array.high, at),
        )
        for at, name in enumerate(names)
    ]


def _estimates(array: Array) -> tuple[list[Sentence | str], list[list[Cell]]]:
    """A line per coefficient; whether its band leaves zero out, where it has one."""
    rows: list[list[Cell]] = []
    for at, (words, cell) in enumerate(zip(labels(array), array.cells, strict=True)):
        low, high = (array.low[at] if array.low else None, array.high[at] if array.high else None)
        apart: Cell = None
        if low is not None and high is not None:
            apart = say("yes") if low > 0 or high < 0 else say("no")
        rows.append([" / ".join(words), cell, low, high, apart])
    ends = [say("low"), say("high"), say("band without zero")]
    return [say("name"), array.unit, *ends], rows[:MOST_ROWS]


def _flows(array: Array, speech: Speech) -> tuple[list[Chart], list[Sentence]]:
    """The largest streams between the first two axes, summed over the others."""
    streams = _streams(array)
    ranked = sorted(streams.items(), key=lambda item: (-item[1], item[0]))
    drawn: dict[tuple[str, ...], float] = {
        path: amount for path, amount in ranked[:MOST_RIBBONS] if amount > 0
    }
    if not drawn:
        return [], [say("No flow is above zero: there is nothing to draw.")]
    chart = charts.flow(
        f"plot-{array.name}", array.name, drawn, [say("from"), say("to")], speech, unit=array.unit
    )
    hidden = sum(amount > 0 for _, amount in ranked) - len(drawn)
    notes = []
    if hidden:
        notes.append(
            plural("{number} smaller flow is not drawn.", "{number} smaller flows are not drawn.",
                   hidden)
        )  # fmt: skip
    return [chart], notes


def _streams(array: Array) -> dict[tuple[str, str], float]:
    """What flows between the first two axes, summed over the others."""
    streams: dict[tuple[str, str], float] = defaultdict(float)
    for words, cell in zip(labels(array), array.cells, strict=True):
        if isinstance(cell, int | float):
            streams[words[0], words[1]] += cell
    return streams


def _map(array: Array, speech: Speech, places: Places) -> tuple[list[Chart], list[Sentence]]:
    """The streams between the places that somebody located; none with fewer than two of them."""
    located = {label: places[label] for label in array.labels[0] if label in places}
    streams = {pair: amount for pair, amount in _streams(array).items() if amount > 0}
    drawn = {pair: amount for pair, amount in streams.items() if located.keys() >= set(pair)}
    if len({end for pair in drawn for end in pair}) < 2:
        return [], []
    chart = charts.journeys(
        f"map-{array.name}",
        say("{name}, where its places lie", name=array.name),
        located,
        drawn,
        speech,
        unit=array.unit,
    )
    # Of a thousand places a million streams: the table beside the map is as long as any other.
    chart = replace(chart, rows=chart.rows[:MOST_ROWS])
    off = sum(streams.values()) - sum(drawn.values())
    if off <= 0:
        return [chart], []
    words = say("{amount} {unit} have an end that nobody has located.", amount=off, unit=array.unit)
    return [chart], [words]


def _matrix(array: Array) -> tuple[list[Sentence | str], list[list[Cell]]]:
    across = array.shape[1]
    rows: list[list[Cell]] = [
        [label, *array.cells[at * across : (at + 1) * across]]
        for at, label in enumerate(array.labels[0])
    ]
    return [array.unit, *array.labels[1]], rows


def _long(array: Array) -> tuple[list[Sentence | str], list[list[Cell]]]:
    """The first cells, a row each."""
    first = itertools.islice(zip(labels(array), array.cells, strict=True), MOST_ROWS)
    banded = bool(array.low)
    rows: list[list[Cell]] = [
        [" / ".join(words), cell, *(_ends(array, at) if banded else [])]
        for at, (words, cell) in enumerate(first)
    ]
    return [say("name"), array.unit, *([say("low"), say("high")] if banded else [])], rows


def _notes(array: Array) -> list[Sentence]:
    notes = []
    withheld = sum(isinstance(cell, str) for cell in array.cells)
    if array.low:
        notes.append(
            say("The bands are the bundle's own.")
            if array.declared
            else say(
                "The bands are those of the noise that was added: each holds with 95 % confidence."
            )
        )
    else:
        notes.append(say("The bundle declares no bands: its numbers carry noise all the same."))
    if withheld:
        notes.append(
            plural("{number} cell is withheld because it is small.",
                   "{number} cells are withheld because they are small.", withheld)
        )  # fmt: skip
    if len(array.cells) > MOST_ROWS and len(array.shape) > 1:
        notes.append(
            say("The table has the first {shown} of {all} cells; a download has them all.",
                shown=MOST_ROWS, all=len(array.cells))
        )  # fmt: skip
    return notes


def _mixed(array: Array) -> bool:
    return any(word in array.unit for word in ("label", "coefficients'", ","))


def _symmetric(array: Array) -> bool:
    """Whether a square reads the same across its diagonal, as covariances do and flows do not."""
    side = array.shape[0]
    if len(array.shape) != 2 or side != array.shape[1]:
        return False
    cells = array.cells
    return all(
        cells[row * side + column] == cells[column * side + row]
        for row in range(side)
        for column in range(row)
    )
