"""The Jinja2 environment: always escaping, nothing undefined, the room's own tests and filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined

from terminal.words import several_lines
from trust.clock import to_text
from web import cells
from web.sentences import Sentence
from web.speech import Speech, coded

FOLDER = "templates"
BRIEF = 22  # letters that stay on one line of a table
_AMOUNTS = (cells.Share, cells.Measure, cells.Size, cells.Exact, timedelta)


def environment(rooms: Mapping[str, str]) -> Environment:
    """Templates of every room under its name: `{"web": "web"}` finds `web/base.html`.

    `rooms` maps a prefix to the package whose `templates/<prefix>` holds them.
    """
    loaders = {
        prefix: FileSystemLoader(Path(str(files(package))) / FOLDER / prefix)
        for prefix, package in rooms.items()
    }
    made = Environment(
        loader=PrefixLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(seen=several_lines, rfc3339=to_text, short=short, capital=upper_first)
    made.filters.update(coded=coded, amounts=amounts)
    made.globals.update(breadth=breadth)
    made.tests.update(
        status=lambda value: isinstance(value, cells.Status),
        ident=lambda value: isinstance(value, cells.Ident),
        link=lambda value: isinstance(value, cells.Link),
        size=lambda value: isinstance(value, cells.Size),
        share=lambda value: isinstance(value, cells.Share),
        measure=lambda value: isinstance(value, cells.Measure),
        moment=lambda value: isinstance(value, datetime),
        figure=_is_figure,
        exact=lambda value: isinstance(value, cells.Exact),
        dated=lambda value: isinstance(value, cells.Dated),
    )
    return made


def upper_first(text: str) -> str:
    """A sentence's beginning; refusals are written to follow a colon. Markup stays markup."""
    return text[:1].upper() + text[1:]


def short(ident: cells.Ident) -> str:
    """An id as it is shown: its prefix whole, of the rest as many letters as asked for."""
    for mark in (":", "-", "_"):
        head, found, tail = ident.full.partition(mark)
        if found and head.isalnum() and head.islower() and not head.isdigit():
            return head + mark + _cut(tail, ident.letters)
    return _cut(ident.full, ident.letters)


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters + 1 else text[:letters] + "…"


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def breadth(value: object, speech: Speech) -> str:
    """The class of a table's cell: what is short is not broken, what is long gets room."""
    said = value.text if isinstance(value, cells.Link) else value
    if hasattr(said, "__html__") or not isinstance(said, str | Sentence):
        return ""
    return "brief" if len(speech.text(said)) <= BRIEF else "broad"


def amounts(rows: Sequence[Sequence[object]]) -> list[bool]:
    """Of each column, whether it holds quantities and nothing else: those stand at the right."""
    return [
        any(value is not None for value in column)
        and all(value is None or _is_figure(value) or isinstance(value, _AMOUNTS)
                for value in column)
        for column in zip(*rows, strict=False)
    ]  # fmt: skip
