"""What is said to people, before it is known in which language.

A view model holds sentences, not text: `say("waiting for {missing} consents", missing=12)`. They
are told in French or English where they are rendered (`web.speech`). The English message is the
key of both catalogues. Babel extracts literal first arguments of `say`, `plural` and `mark`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


@dataclass(frozen=True)
class Sentence:
    """A message with its values; `many` and `number` when it depends on a count.

    A placeholder is `{name}`, nothing more: no attribute and no format is ever evaluated.
    Numbers, moments, dates and durations are written by the language; sentences nest.
    """

    message: str
    values: Mapping[str, Value] = field(default_factory=dict)
    many: str = ""
    number: int = 0

    def __hash__(self) -> int:
        return hash((self.message, self.many, self.number))

    def __str__(self) -> str:
        """English, for logs and tracebacks; pages never call this."""
        chosen = self.many if self.many and self.number != 1 else self.message
        return PLACEHOLDER.sub(lambda found: str(self.values.get(found[1], found[0])), chosen)


@dataclass(frozen=True)
class Foreign:
    """Words that somebody wrote in one language, whatever the page's is: quoted, never translated.

    A page marks them, so that a voice reads them as what they are (WCAG 3.1.2).
    """

    text: str
    language: str = "en"

    def __str__(self) -> str:
        return self.text


Value = str | int | float | Decimal | datetime | date | timedelta | Sentence | Foreign


def say(message: str, /, **values: Value) -> Sentence:
    """A sentence; `message` is a literal, so that it can be found and translated."""
    return Sentence(message, values)


def plural(one: str, many: str, /, number: int, **values: Value) -> Sentence:
    """A sentence about `number` things, which both forms may name as `{number}`."""
    return Sentence(one, {"number": number, **values}, many, number)


def mark(message: str) -> str:
    """Marks a message in a table as to be translated; `Sentence(message)` says it later."""
    return message
