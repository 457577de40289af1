"""A release in a notebook: values as numpy arrays, their bands, and where they come from."""

from __future__ import annotations

import html
import importlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.client.errors import GridAnswerUnfit, LibraryAbsent, NoSuchValue
from jobs.client.exchange import Exchange
from trust.ids import Digest

FORMAT = "cadastre-release-download-v1"
FORMS = {"csv": "csv", "parquet": "parquet", "report": "report", "model": "model", "card": "card"}
_ROWS_SHOWN = 12
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """One array of a release. `cells` are float64 of `shape`, NaN where nothing is told."""

    name: str
    unit: str
    labels: tuple[tuple[str, ...], ...]
    cells: Numbers
    low: Numbers | None
    high: Numbers | None
    withheld: Mapping[tuple[int, ...], str]  # by index: the mark of a cell, as "<20"


@dataclass(frozen=True)
class Release:
    """A campaign's release. `provenance` is what every download of it says of itself."""

    provenance: Mapping[str, Any]
    values: Mapping[str, Value]
    rounds: Sequence[Mapping[str, Any]]  # what each round told: {"round": 1, "values": {…}}
    raw: Mapping[str, Any] = field(repr=False)
    _exchange: Exchange = field(repr=False)

    @classmethod
    def of(cls, document: Any, exchange: Exchange) -> Release:
        """The release in the API's answer. Raises GridAnswerUnfit."""
        try:
            if document["provenance"]["format"] != FORMAT:
                raise GridAnswerUnfit("the release is in another form than this client reads")
            values = {one["name"]: _value(one) for one in document["arrays"]}
            return cls(document["provenance"], values, document["rounds"], document, exchange)
        except (KeyError, TypeError, ValueError) as error:
            raise GridAnswerUnfit("the release lacks something that this client reads") from error

    @property
    def names(self) -> list[str]:
        """The values' names."""
        return list(self.values)

    @property
    def campaign(self) -> str:
        """Whose release it is, as camp_… and so on."""
        return str(self.provenance["campaign"])

    def __getitem__(self, name: str) -> Numbers:
        """The value as float64, NaN where it is withheld. Raises NoSuchValue."""
        return self.value(name).cells

    def value(self, name: str) -> Value:
        """The value with its labels, unit and bands. Raises NoSuchValue."""
        if name not in self.values:
            raise NoSuchValue(f"the release has no value {name[:80]!r}: {', '.join(self.names)}")
        return self.values[name]

    def band(self, name: str) -> tuple[Numbers, Numbers]:
        """(low, high) around a value. Raises NoSuchValue where there is no band."""
        found = self.value(name)
        if found.low is None or found.high is None:
            raise NoSuchValue(f"{name} has no band: its bundle declares none")
        return found.low, found.high

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A value cell by cell: `labels`, `value`, `low`, `high`, `withheld`; None for NaN."""
        found = self.value(name)
        return [
            {
                "labels": labels,
                "value": _plain(found.cells[at]),
                "low": None if found.low is None else _plain(found.low[at]),
                "high": None if found.high is None else _plain(found.high[at]),
                "withheld": found.withheld.get(at, ""),
            }
            for labels, at in zip(
                itertools.product(*found.labels), np.ndindex(found.cells.shape), strict=True
            )
        ]

    def frame(self, name: str) -> Any:
        """A value as a pandas DataFrame, `attrs` with the provenance. Raises LibraryAbsent."""
        if find_spec("pandas") is None:
            raise LibraryAbsent(
                "pandas is not installed here", remedy="pip install pandas, or take `rows(name)`"
            )
        flat = []
        for row in self.rows(name):
            labels = {f"label_{at}": word for at, word in enumerate(row.pop("labels"), start=1)}
            flat.append({**labels, **row})
        frame = importlib.import_module("pandas").DataFrame(flat)
        frame.attrs["provenance"] = dict(self.provenance)
        return frame

    def to_dict(self) -> dict[str, Any]:
        """All of it, as the API said it."""
        return dict(self.raw)

    def save(self, path: Path | str, form: str = "") -> Path:
        """Write a download; `form` is csv, parquet, report, model or card, else the suffix's.

        A report's bytes are those that the scheduler signed for: another digest is refused.
        Raises ValueError for an unknown form, GridRefused, GridAnswerUnfit.
        """
        target = Path(path)
        wanted = form or {".safetensors": "model", ".md": "card", ".json": "report"}.get(
            target.suffix, target.suffix.removeprefix(".")
        )
        if wanted not in FORMS:
            raise ValueError(f"{wanted!r} is no form: there are {', '.join(FORMS)}")
        data = self._exchange.bytes("releases", self.campaign, FORMS[wanted])
        if wanted == "report" and str(Digest.of(data)) != self.provenance["report"]:
            raise GridAnswerUnfit("the report's bytes are not those that the release names")
        target.write_bytes(data)
        return target

    def _repr_html_(self) -> str:
        source = self.provenance
        about = "".join(
            f"<tr><th>{name}</th><td>{html.escape(str(source.get(name, '')))}</td></tr>"
            for name in ("campaign", "bundle", "authorisation", "released_at", "rho", "epsilon")
        )
        return f"<table>{about}</table>" + "".join(map(self._value_html, self.names))

    def _value_html(self, name: str) -> str:
        rows = self.rows(name)
        cells = "".join(
            f"<tr><th>{html.escape(' / '.join(row['labels']))}</th>"
            f"<td>{html.escape(_told(row))}</td><td>{html.escape(_band(row))}</td></tr>"
            for row in rows[:_ROWS_SHOWN]
        )
        more = len(rows) - _ROWS_SHOWN
        rest = f"<p>… and {more} more cells</p>" if more > 0 else ""
        unit = html.escape(self.value(name).unit)
        return f"<h4>{html.escape(name)}, in {unit}</h4><table>{cells}</table>{rest}"


def _value(one: Mapping[str, Any]) -> Value:
    shape = tuple(int(length) for length in one["shape"])
    cells: list[Any] = one["cells"]
    withheld = {
        at: cell for at, cell in zip(np.ndindex(shape), cells, strict=True) if isinstance(cell, str)
    }
    return Value(
        name=one["name"],
        unit=one["unit"],
        labels=tuple(tuple(axis) for axis in one["labels"]),
        cells=_numbers(cells, shape),
        low=_numbers(one["low"], shape) if one["low"] else None,
        high=_numbers(one["high"], shape) if one["high"] else None,
        withheld=withheld,
    )


def _numbers(cells: Sequence[Any], shape: tuple[int, ...]) -> Numbers:
    plain = [float(cell) if isinstance(cell, int | float) else math.nan for cell in cells]
    return np.array(plain, np.float64).reshape(shape)


def _plain(cell: Any) -> float | None:
    number = float(cell)
    return number if math.isfinite(number) else None


def _told(row: Mapping[str, Any]) -> str:
    return row["withheld"] or ("-" if row["value"] is None else f"{row['value']:.6g}")


def _band(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return ""
    return f"[{row['low']:.6g}, {row['high']:.6g}]"
