"""A report's words: all but its numbers follow from the voted manifest, conclusion or not."""

from __future__ import annotations

import json
import math
from typing import Any

from audit.errors import AuditFailure
from jobs import conclusion, report
from jobs.schema import Manifest


def require_voted_words(manifest: Manifest, raw: bytes) -> None:
    """Return when `raw` differs in cells only from what the manifest renders to.

    Raises AuditFailure for other titles, labels, units, prices, shapes, or cells that are
    neither numbers, nothing, nor withheld.
    """
    try:
        said = json.loads(raw)
        spelt = json.dumps(
            said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except (ValueError, RecursionError) as error:
        raise AuditFailure("a report is not JSON") from error
    if spelt != raw or not isinstance(said, dict):
        raise AuditFailure("a report is not in canonical form")
    expected = json.loads(report.render(manifest, _empty(manifest)))
    arrays = said.get("arrays")
    for name, array in expected["arrays"].items():
        found = arrays.get(name) if isinstance(arrays, dict) else None
        cells = found.get("cells") if isinstance(found, dict) else None
        _require_cells(name, array, cells, _threshold(manifest, name))
        array["cells"] = cells
    if said != expected:
        raise AuditFailure("a report says more, or other words, than its voted manifest")


def _require_cells(name: str, array: dict[str, Any], cells: Any, threshold: int) -> None:
    allowed = {f"<{threshold}"} if threshold and array["kind"] == "value" else set()
    if not isinstance(cells, list) or len(cells) != len(array["cells"]):
        raise AuditFailure(f"the report's {name} has not the voted number of cells")
    for cell in cells:
        number = isinstance(cell, int | float) and not isinstance(cell, bool)
        if not number and cell is not None and cell not in allowed:
            raise AuditFailure(f"a cell of the report's {name} is no number")
        if number and allowed and cell < threshold:
            raise AuditFailure(f"a cell of the report's {name} should have been withheld")


def _threshold(manifest: Manifest, name: str) -> int:
    release = manifest.report[name].release
    return manifest.release[release].suppress_below if release else 0


def _empty(manifest: Manifest) -> bytes:
    """A result of zeros, whose report has every word and no news."""
    cells = sum(math.prod(shape) for _, _, shape in conclusion.fields(manifest))
    return conclusion.from_frame(manifest, bytes(8 * cells))
