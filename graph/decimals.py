"""Quantities as decimal texts with one spelling each, so that signed bytes are exact.

`12.50`, `1.25e1` and `+12.5` are all written `12.5`; zero is `0`.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from graph.errors import GraphInvalid

_CANONICAL = re.compile(r"0|-?(?:0\.\d*[1-9]|[1-9]\d*(?:\.\d*[1-9])?)", re.ASCII)
# No flow of a territory needs more: 30 digits hold its mass in milligrams.
_LONGEST = 40


def canonical(value: Decimal | int | str) -> str:
    """The one spelling of `value`. Raises GraphInvalid for what is no finite number."""
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise GraphInvalid(f"{str(value)[:_LONGEST]!r} is not a decimal number") from error
    if (
        not number.is_finite()
        or abs(number.adjusted()) > _LONGEST
        or len(str(number)) > 2 * _LONGEST
    ):
        raise GraphInvalid(f"{str(value)[:_LONGEST]} is not a finite number of a usual size")
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text in {"-0", ""}:
        text = "0"
    return text


def require(text: str, where: str) -> Decimal:
    """The number written in `text`. Raises GraphInvalid unless it is the one spelling."""
    if len(text) > 2 * _LONGEST or not _CANONICAL.fullmatch(text):
        raise GraphInvalid(f"{where}: {text[:_LONGEST]!r} is not a decimal in its one spelling")
    return Decimal(text)
