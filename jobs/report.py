"""From `conclude`'s arrays to the report that people read: rendered by trusted code.

A bundle returns numbers only; the words (labels, units) are those of the manifest that was
voted, and small cells are withheld here, not by the bundle. Withholding is a courtesy to
readers (a count under the threshold is mostly noise); what protects people is the noise.

The report is one JSON object with sorted keys: a function of the manifest and the result's
bytes, so an auditor renders it again and compares digests.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import ReportRefused
from jobs.outputs import ReportArray
from jobs.schema import Manifest
from protection import accounting, columns
from protection.columns import Column
from protection.errors import ColumnsMalformed

TABLE = "report"
FORMAT = "cadastre-report-v1"


def fields(manifest: Manifest) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """(name, dtype, shape) of every report array, in the order of `conclude`'s frame."""
    return tuple((name, array.dtype, array.shape) for name, array in manifest.report.items())


def from_frame(manifest: Manifest, frame: bytes) -> bytes:
    """The result blob of the frame that `conclude` left. Raises ReportRefused.

    Whatever is not finite becomes one NaN, which prints as "no value".
    """
    expected = sum(8 * math.prod(shape) for _, _, shape in fields(manifest))
    if len(frame) != expected:
        raise ReportRefused(
            f"conclude returned {len(frame)} bytes, its report arrays take {expected}",
            remedy="return exactly the arrays that [report] declares",
        )
    table: dict[str, Column] = {}
    offset = 0
    for name, dtype, shape in fields(manifest):
        cells = math.prod(shape)
        if dtype == "int64":
            table[name] = np.frombuffer(frame, "<i8", cells, offset).reshape(shape)
        else:
            values = np.frombuffer(frame, "<f8", cells, offset).reshape(shape)
            table[name] = np.where(np.isfinite(values), values, np.nan)
        offset += 8 * cells
    return columns.encode({TABLE: table})


def decode_result(manifest: Manifest, blob: bytes) -> dict[str, Column]:
    """The report arrays in a result blob, in the manifest's order. Raises ReportRefused."""
    try:
        tables = columns.decode(blob)
    except ColumnsMalformed as error:
        raise ReportRefused(error.sentence, remedy=error.remedy) from error
    table = tables.get(TABLE, {})
    if set(tables) != {TABLE} or set(table) != set(manifest.report):
        raise ReportRefused("the result does not hold exactly the declared report arrays")
    for name, dtype, shape in fields(manifest):
        if table[name].dtype.name != dtype or table[name].shape != shape:
            raise ReportRefused(f"{name} is not {dtype} of shape {list(shape)}")
    return {name: table[name] for name in manifest.report}


def render(manifest: Manifest, result: bytes) -> bytes:
    """The report as JSON bytes. Raises ReportRefused.

    A value whose release has `suppress_below` n and that is below n is written `"<n"`, and its
    bands are withheld (null). A value that is not a number is null.
    """
    arrays = decode_result(manifest, result)
    hidden = {
        name: _suppressed(manifest, array, arrays[name])
        for name, array in manifest.report.items()
        if array.kind == "value"
    }
    about, rho = manifest.bundle, accounting.rho_of(manifest.rules())
    document = {
        "format": FORMAT,
        "bundle": {"name": about.name, "version": about.version},
        "title": {"fr": about.title.fr, "en": about.title.en},
        "purpose": about.purpose,
        "privacy": {
            "unit": manifest.unit.value,
            "rho": accounting.to_text(rho),
            "epsilon": round(accounting.epsilon(rho), 4),
            "delta": accounting.DELTA,
        },
        "arrays": {name: _array(manifest, name, arrays[name], hidden) for name in manifest.report},
    }
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def text_table(report: bytes, *, maximum_rows: int = 40) -> str:
    """A plain-text table per value, its band beside it; the rows past the maximum are counted."""
    document = json.loads(report)
    arrays: dict[str, Any] = document["arrays"]
    lines = [f"{document['title']['en']} ({document['bundle']['name']})"]
    for name, array in arrays.items():
        if array["kind"] != "value":
            continue
        bands = {a["kind"]: _flat(a) for a in arrays.values() if a["of"] == name}
        cells = _flat(array)
        lines.append(f"\n{name}, in {array['unit']}")
        shown = range(min(len(cells), maximum_rows))
        for index, labels in zip(shown, itertools.product(*array["labels"]), strict=False):
            band = ""
            if "lower" in bands and "upper" in bands:
                band = f"  [{_number(bands['lower'][index])}, {_number(bands['upper'][index])}]"
            label = " / ".join(labels)
            lines.append(f"  {label:<40} {_number(cells[index]):>12}{band}")
        if len(cells) > maximum_rows:
            lines.append(f"  … and {len(cells) - maximum_rows} more cells")
    return "\n".join(lines) + "\n"


def _suppressed(manifest: Manifest, array: ReportArray, values: Column) -> NDArray[np.bool_]:
    threshold = manifest.release[array.release].suppress_below if array.release else 0
    if not threshold:
        return np.zeros(values.shape, np.bool_)
    with np.errstate(invalid="ignore"):
        return np.asarray(values < threshold)


def _array(
    manifest: Manifest, name: str, values: Column, hidden: Mapping[str, NDArray[np.bool_]]
) -> dict[str, Any]:
    array = manifest.report[name]
    value = manifest.report[array.of] if array.of else array
    withheld = hidden[array.of or name]
    threshold = manifest.release[value.release].suppress_below if value.release else 0
    mark = f"<{threshold}" if array.kind == "value" else None
    cells = [
        mark if hide else _plain(cell)
        for cell, hide in zip(values.ravel().tolist(), withheld.ravel().tolist(), strict=True)
    ]
    return {
        "kind": array.kind,
        "of": array.of,
        "unit": array.unit,
        "shape": list(array.shape),
        "labels": [list(axis) for axis in value.labels],
        "cells": cells,  # C order
    }


def _plain(cell: float) -> float | None:
    return cell if math.isfinite(cell) else None


def _flat(array: Mapping[str, Any]) -> list[Any]:
    cells: list[Any] = array["cells"]
    return cells


def _number(cell: float | str | None) -> str:
    match cell:
        case None:
            return "-"
        case float():
            return f"{cell:.4g}" if abs(cell) < 10_000 else f"{cell:.0f}"
        case _:
            return str(cell)
