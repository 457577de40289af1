"""What a cell of a table, or a fact of a definition list, may hold beside text and numbers.

Each knows its plain form, which JSON and CSV carry; `web/macros.html` knows how it looks.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from web.sentences import Sentence

Plain = str | int | float | bool | None


class Shown:
    """A value with a look of its own."""

    @property
    def plain(self) -> Plain | Sentence:
        """What machines are given."""
        raise NotImplementedError


class Tone(enum.StrEnum):
    """How a state feels: it chooses colour and icon, the word says the rest."""

    GOOD = "good"
    BUSY = "busy"  # at work, as it should be
    WAIT = "wait"
    WARN = "warn"
    BAD = "bad"
    OFF = "off"  # ended, cancelled, drained: nothing to do about it


@dataclass(frozen=True)
class Status(Shown):
    """A state: `code` for machines, `word` and `tone` for people."""

    code: str
    word: Sentence
    tone: Tone

    @property
    def plain(self) -> str:
        return self.code


@dataclass(frozen=True)
class Ident(Shown):
    """An id or digest: shown short, copied whole, linked where it leads somewhere."""

    full: str
    href: str = ""
    letters: int = 12  # of the part behind a prefix like `sha256:` or `campaign-`

    @property
    def plain(self) -> str:
        return self.full


@dataclass(frozen=True)
class Link(Shown):
    """Words that lead to a page of ours."""

    href: str
    text: str | Sentence

    @property
    def plain(self) -> str | Sentence:
        return self.text


@dataclass(frozen=True)
class Size(Shown):
    """A number of bytes."""

    count: int

    @property
    def plain(self) -> int:
        return self.count


@dataclass(frozen=True)
class Share(Shown):
    """A part of one, shown in per cent and as a bar."""

    part: float
    digits: int = 0

    @property
    def plain(self) -> float:
        return self.part


@dataclass(frozen=True)
class Measure(Shown):
    """A number with its unit, which the unit's own custom writes (kWh, gCO2e)."""

    amount: float
    unit: str
    digits: int | None = None

    @property
    def plain(self) -> float:
        return self.amount


@dataclass(frozen=True)
class Exact(Shown):
    """A decimal number as its document writes it: all of its digits, with the language's point."""

    text: str

    @property
    def plain(self) -> str:
        return self.text


@dataclass(frozen=True)
class Dated(Shown):
    """Names, each with the moment that it states where it states one; for machines one text."""

    parts: tuple[tuple[str, datetime | None], ...]

    @property
    def plain(self) -> str:
        return ", ".join(
            name if at is None else f"{name} ({at:%Y-%m-%d %H:%M:%S} UTC)"
            for name, at in self.parts
        )


Cell = Plain | Decimal | datetime | date | timedelta | Sentence | Shown
