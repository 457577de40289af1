"""Telling sentences, numbers and times in one language.

Numbers and dates follow the language's customs (Babel); absolute times are in the territory's
zone and always accompanied by a machine-readable UTC moment where they stand on a page.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, localcontext
from typing import cast

from babel import Locale, dates, numbers
from markupsafe import Markup, escape

from terminal.words import several_lines
from trust.clock import to_text
from web.catalogues import Catalogues
from web.languages import Language
from web.sentences import PLACEHOLDER, Foreign, Sentence, Value, say

_LOCALES = {Language.FR: Locale.parse("fr_FR"), Language.EN: Locale.parse("en_GB")}
_DIGITS = "#,##0.###"
_EXACT = 40  # digits of an exact number, as many as a document's may have
_LONG = 10**21  # from here on a number is told by its power of ten: nobody reads so many digits
_SIZES = {
    Language.FR: ("o", "Kio", "Mio", "Gio", "Tio"),
    Language.EN: ("B", "KiB", "MiB", "GiB", "TiB"),
}
_SHORTEST = timedelta(seconds=1)
_TICKED = re.compile(r"`([^`\n]{1,200})`")
_YES, _NO = say("yes"), say("no")
# French counts nought as one ("0 nœud"), English as many ("0 workers").
_ONE = {Language.FR: frozenset({0, 1, -1}), Language.EN: frozenset({1, -1})}


@dataclass(frozen=True)
class Speech:
    """One language's voice; `now` is when the page is made, so that relative times agree."""

    language: Language
    catalogues: Catalogues
    now: datetime
    zone: tzinfo = UTC

    def text(self, said: Value | None) -> str:
        """Any value as text; a sentence is translated and its values told in turn."""
        match said:
            case None:
                return ""
            case Sentence():
                return self._sentence(said)
            case Foreign():
                return said.text
            case bool():
                return self._sentence(_YES if said else _NO)
            case int() | float() | Decimal():
                return self.number(said)
            case datetime():
                return self.moment(said)
            case date():
                return self.day(said)
            case timedelta():
                return self.duration(said)
        return said

    def marked(self, said: Value | None) -> Markup:
        """The same for a page: what cannot be seen is shown, foreign words say their language.

        Moments in a sentence stay right while the page is open; commands stand out as such.
        """
        if isinstance(said, Markup):
            return said
        if isinstance(said, Sentence):
            return self._marked(said)
        text = escape(several_lines(self.text(said)))
        if isinstance(said, Foreign) and said.language != self.language:
            return Markup('<span lang="{}">{}</span>').format(said.language, text)
        return text

    def when(self, moment: datetime, *, inside: bool = False) -> Markup:
        """A moment as an element, absolute and relative; `inside` a sentence in brackets.

        A script keeps the relative part true.
        """
        shape = (
            '<time datetime="{}" title="{}">{} (<span data-ago>{}</span>)</time>'
            if inside
            else '<time class="when" datetime="{}" title="{}">{} '
            '<span class="when-ago" data-ago>{}</span></time>'
        )
        return Markup(shape).format(  # noqa: S704 - one of two literals; what goes in is escaped
            to_text(moment), self.utc(moment), self.moment(moment), self.ago(moment)
        )

    def message(self, message: str, /, **values: object) -> str:
        """`_()` of templates: a value that is markup stays markup, everything else is escaped."""
        if any(hasattr(value, "__html__") for value in values.values()):
            return self._markup(Sentence(message), values)
        return self._sentence(Sentence(message, cast("dict[str, Value]", values)))

    def counted(self, one: str, many: str, number: int, /, **values: Value) -> str:
        """`ngettext()` of templates."""
        return self._sentence(Sentence(one, {"number": number, **values}, many, number))

    def number(self, value: float | Decimal, digits: int | None = None) -> str:
        """With the language's separators; `digits` after the point, at most three otherwise.

        A Decimal is exact: without `digits` it keeps all of its own. What is very large is told
        by its power of ten.
        """
        if digits is None and isinstance(value, Decimal) and _is_written_out(value):
            with localcontext(prec=2 * _EXACT):  # Babel's arithmetic rounds to 28 digits otherwise
                return numbers.format_decimal(value, locale=self.locale, decimal_quantization=False)
        if _is_very_large(value):
            return numbers.format_scientific(value, format="0.###E0", locale=self.locale)
        shape = _DIGITS if digits is None else "#,##0" + ("." + "0" * digits if digits else "")
        return numbers.format_decimal(value, format=shape, locale=self.locale)

    def exact(self, text: str) -> str:
        """A decimal number that a document writes; what is none stays as it is."""
        try:
            found = Decimal(text)
        except ArithmeticError:
            return text
        return self.number(found) if found.is_finite() else text

    def typed(self, text: str) -> str:
        """A decimal number as somebody types it into a field: `read` takes it back unchanged."""
        return text.replace(".", ",") if self.language is Language.FR else text

    def read(self, text: str) -> str:
        """What somebody typed as a decimal number, with a point where the language has a comma.

        Digits are not grouped: "1,234" is one and a bit in French and no number in English.
        """
        return text.replace(",", ".") if self.language is Language.FR else text

    def amount(self, value: float, digits: int | None = None) -> str:
        """`number`, except that what is not nought is never written as nought."""
        if digits is not None and 0 < abs(value) <= 0.5 * 10**-digits:
            return f"<\u00a0{self.number(10**-digits, digits)}"
        return self.number(value, digits)

    def percent(self, share: float, digits: int = 0) -> str:
        """A share of one in per cent."""
        shape = "#,##0" + ("." + "0" * digits if digits else "")
        text = numbers.format_decimal(share * 100, format=shape, locale=self.locale)
        return f"{text}\u202f%" if self.language is Language.FR else f"{text}%"

    def size(self, count: int) -> str:
        """Bytes in binary units, three significant digits."""
        amount, unit = float(count), 0
        units = _SIZES[self.language]
        while amount >= 1024 and unit < len(units) - 1:
            amount, unit = amount / 1024, unit + 1
        digits = 0 if unit == 0 or amount >= 100 else 1
        return f"{self.number(amount, digits)}\u00a0{units[unit]}"

    def moment(self, when: datetime) -> str:
        """Date and time in the territory's zone; today's without its date."""
        try:
            local = when.astimezone(self.zone)
        except OverflowError:  # "for ever" is written as the last second that UTC has
            return f"{self.day(when.date())}, {when:%H:%M} UTC"
        if local.date() == self.now.astimezone(self.zone).date():
            return dates.format_time(local, "HH:mm:ss", tzinfo=self.zone, locale=self.locale)
        time = dates.format_time(local, "HH:mm", tzinfo=self.zone, locale=self.locale)
        return f"{self.day(local.date())}, {time}"

    def utc(self, when: datetime) -> str:
        """Date and time in UTC, for who compares with logs."""
        return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    def day(self, when: date) -> str:
        """A date with its month as a word."""
        return dates.format_date(when, "d MMM y", locale=self.locale)

    def short_day(self, when: date) -> str:
        """A date without its year, for ticks."""
        return dates.format_date(when, "d MMM", locale=self.locale)

    def ago(self, when: datetime) -> str:
        """How long ago, or in how long, from `now`."""
        away = when - self.now
        if abs(away) < _SHORTEST:
            away = -_SHORTEST
        return dates.format_timedelta(away, add_direction=True, threshold=1.2, locale=self.locale)

    def duration(self, length: timedelta) -> str:
        """The two largest units: 1 h 12 min, 3 d 4 h."""
        seconds = round(abs(length.total_seconds()))
        names = ("j" if self.language is Language.FR else "d", "h", "min", "s")
        parts = [
            (seconds // 86400, names[0]),
            (seconds // 3600 % 24, names[1]),
            (seconds // 60 % 60, names[2]),
            (seconds % 60, names[3]),
        ]
        while len(parts) > 1 and not parts[0][0]:
            parts.pop(0)
        kept = [f"{count}\u00a0{name}" for count, name in parts[:2] if count] or [
            f"0\u00a0{names[3]}"
        ]
        return ("-" if length < timedelta() else "") + " ".join(kept)

    @property
    def milliseconds(self) -> int:
        """`now` since 1970, which scripts count on from."""
        return round(self.now.timestamp() * 1000)

    @property
    def zone_name(self) -> str:
        """The zone's name, as scripts and people know it."""
        return str(getattr(self.zone, "key", "UTC"))

    @property
    def locale(self) -> Locale:
        """Babel's."""
        return _LOCALES[self.language]

    def _form(self, said: Sentence) -> str:
        found = self.catalogues.find(self.language, said.message)
        several = bool(said.many) and said.number not in _ONE[self.language]
        if found is None:
            return said.many if several else said.message
        return found.many if several and found.many else found.one

    def _sentence(self, said: Sentence) -> str:
        values = said.values
        return PLACEHOLDER.sub(
            lambda hole: self.text(values[hole[1]]) if hole[1] in values else hole[0],
            self._form(said),
        )

    def _marked(self, said: Sentence) -> Markup:
        values = said.values

        def fill(hole: re.Match[str]) -> str:
            if hole[1] not in values:
                return hole[0]
            value = values[hole[1]]
            if isinstance(value, datetime):
                return self.when(value, inside=True)
            return self.marked(value)

        form = str(coded(several_lines(self._form(said))))
        return Markup(PLACEHOLDER.sub(fill, form))  # noqa: S704 - every part was escaped

    def _markup(self, said: Sentence, values: dict[str, object]) -> Markup:
        text = str(escape(self._form(said)))

        def fill(hole: re.Match[str]) -> str:
            value = values.get(hole[1], "")
            return str(
                escape(value if hasattr(value, "__html__") else self.text(cast("Value", value)))
            )

        return Markup(PLACEHOLDER.sub(fill, text))  # noqa: S704 - every part was escaped above


def _is_written_out(value: Decimal) -> bool:
    return value.is_finite() and abs(value.adjusted()) <= _EXACT >= len(value.as_tuple().digits)


def _is_very_large(value: float | Decimal) -> bool:
    if isinstance(value, Decimal) and value.is_nan():  # which raises where it is compared
        return False
    return _LONG <= value < math.inf or -math.inf < value <= -_LONG


def coded(text: str) -> Markup:
    """Text with what stands between backticks as code; everything else is escaped."""
    marked = _TICKED.sub(r"<code>\1</code>", str(escape(text)))
    return Markup(marked)  # noqa: S704 - escaped before anything was added
