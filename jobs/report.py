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

from jobs import conclusion
from jobs.outputs import ReportArray
from jobs.schema import Manifest
from protection import accounting
from protection.columns import Column

FORMAT = "cadastre-report-v1"


def render(manifest: Manifest, result: bytes) -> bytes:
    """The report as JSON bytes. Raises ReportRefused.

    A value whose release has `suppress_below` n and that is below n is written `"<n"`, and its
    bands are withheld (null). A value that is not a number is null.
    """
    arrays = conclusion.read(manifest, result).report
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
