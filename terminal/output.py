"""What a command says: tables and lines for people, one JSON document for machines.

Results go to stdout; what happens meanwhile goes to stderr. With `--json` stdout holds one
JSON document and nothing else. Whatever others wrote is made safe for a terminal on its way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from terminal.words import json_text, one_line, several_lines

Cell = str | int | float | bool | None


class Output:
    """One command's output; `as_json` decides the form once."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Rows under headings; as JSON a list of objects keyed by the headings."""
        if self._json:
            self._dump([dict(zip(columns, row, strict=True)) for row in rows])
            return
        cells = [[_show(cell) for cell in row] for row in rows]
        widths = [
            max([len(heading), *(len(row[i]) for row in cells)])
            for i, heading in enumerate(columns)
        ]
        _write("  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)))
        for row in cells:
            _write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))

    def record(self, fields: Mapping[str, Any]) -> None:
        """One thing, a field per line; as JSON the object itself."""
        if self._json:
            self._dump(dict(fields))
            return
        width = max((len(name) for name in fields), default=0)
        for name, value in fields.items():
            _write(f"{name.ljust(width)}  {_show(value)}")

    def event(self, fields: Mapping[str, Any]) -> None:
        """One of several things as it happens, a line of JSON each; nothing for people."""
        if self._json:
            _write(json_text(json.dumps(dict(fields), ensure_ascii=False, default=str)))

    def line(self, text: str) -> None:
        """A sentence for people; nothing under `--json`."""
        if not self._json:
            _write(several_lines(text))

    def note(self, text: str) -> None:
        """What happens meanwhile, on stderr in both forms."""
        sys.stderr.write(several_lines(text) + "\n")

    def _dump(self, value: Any) -> None:
        _write(json_text(json.dumps(value, ensure_ascii=False, indent=2, default=str)))


def _show(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case list() | tuple():
            return ", ".join(_show(item) for item in value)
        case dict():
            return one_line(json.dumps(value, ensure_ascii=False, default=str))
        case _:
            return one_line(str(value))


def _write(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")
    sys.stdout.flush()
