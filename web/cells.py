"""What a cell of a table, or a fact of a definition list, may hold beside text and numbers.

Each knows its plain form, which JSON and CSV carry; `web/macros.html` knows how it looks.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from web.sentences import Sentence


class Tone(enum.StrEnum):
    """How a state feels: it chooses colour and icon, the word says the rest."""

    GOOD = "good"
    BUSY = "busy"  # at work, as it should be
    WAIT = "wait"
    WARN = "warn"
    BAD = "bad"
    OFF = "off"  # ended, cancelled, drained: nothing to do about it


@dataclass(frozen=True)
class Status:
    """A state: `code` for machines, `word` and `tone` for people."""

    code: str
    word: Sentence
    tone: Tone


@dataclass(frozen=True)
class Ident:
    """An id or digest: shown short, copied whole, linked where it leads somewhere."""

    full: str
    href: str = ""
    letters: int = 12  # of the part behind a prefix like `sha256:` or `campaign-`


@dataclass(frozen=True)
class Link:
    """Words that lead to a page of ours."""

    href: str
    text: str | Sentence


@dataclass(frozen=True)
class Size:
    """A number of bytes."""

    count: int


@dataclass(frozen=True)
class Share:
    """A part of one, shown in per cent and as a bar."""

    part: float
    digits: int = 0


@dataclass(frozen=True)
class Measure:
    """A number with its unit, which the unit's own custom writes (kWh, gCO2e)."""

    amount: float
    unit: str
    digits: int | None = None


Plain = str | int | float | bool | None
Cell = (
    Plain | Decimal | datetime | date | timedelta | Sentence
    | Status | Ident | Link | Size | Share | Measure
)  # fmt: skip
