"""Parameter values inside their voted bounds, and the one blob that carries them.

The blob is a JSON object with sorted keys and no spaces. An `integer` is a JSON number; a
`decimal` is a text such as `"0.25"` (JSON has no exact decimals: an algorithm calls `float` on
it); `choice` and `text` are texts. Equal values give equal bytes, hence one digest per round.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from jobs.errors import ParametersRefused
from trust.documents.rules import Bound
from trust.parameters import MAXIMUM_SETTINGS_BYTES

Value = int | str
_DIGITS = 40
_WHOLE = re.compile(r"-?[0-9]{1,40}")
_NAMED = 20  # unknown parameters that are named; there may be as many as a request has room for


def check(values: Mapping[str, object], bounds: Mapping[str, Bound]) -> dict[str, Value]:
    """`values` in canonical form, each inside its bound.

    Raises ParametersRefused, which names every missing or wrong parameter, and the first
    unknown ones.
    """
    found: list[str] = []
    checked: dict[str, Value] = {}
    unknown = sorted(set(values) - set(bounds))
    for name in unknown[:_NAMED]:
        near = difflib.get_close_matches(name, bounds, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(bounds) or 'none'}"
        shown = name[:64] if name.isprintable() else ascii(name[:64])
        found.append(f"{shown}: unknown{hint}")
    if len(unknown) > _NAMED:
        found.append(f"{len(unknown) - _NAMED} further names are unknown")
    for name in sorted(bounds):
        if name not in values:
            found.append(f"{name}: missing; {_expected(bounds[name])}")
            continue
        value = _canonical(values[name], bounds[name])
        if value is None:
            found.append(f"{name}: {_expected(bounds[name])}, found {_shown(values[name])}")
        else:
            checked[name] = value
    if found:
        raise ParametersRefused(
            "parameters are refused:\n" + "\n".join(f"  - {line}" for line in found),
            remedy="set every parameter inside the bounds that were voted",
        )
    return checked


def encode(values: Mapping[str, object], bounds: Mapping[str, Bound]) -> bytes:
    """The blob of `values`, checked. Raises ParametersRefused."""
    return _written(check(values, bounds))


def decode(blob: bytes, bounds: Mapping[str, Bound]) -> dict[str, Value]:
    """The values in `blob`: canonical bytes, inside the bounds. Raises ParametersRefused."""
    if len(blob) > MAXIMUM_SETTINGS_BYTES:
        raise ParametersRefused(f"a parameter blob of {len(blob)} bytes is too large")
    try:
        plain = json.loads(blob)
    except (ValueError, RecursionError) as error:
        raise ParametersRefused("the parameter blob is not JSON") from error
    if not isinstance(plain, dict):
        raise ParametersRefused("the parameter blob is not a JSON object")
    values = check(plain, bounds)
    if _written(values) != blob:
        raise ParametersRefused(
            "the parameter blob is not in canonical form",
            remedy="write it with jobs.parameters.encode",
        )
    return values


def from_texts(texts: Mapping[str, str], bounds: Mapping[str, Bound]) -> dict[str, Value]:
    """Values as a person types them (`--set name=value`), checked. Raises ParametersRefused."""
    values: dict[str, object] = {}
    for name, text in texts.items():
        bound = bounds.get(name)
        whole = bound is not None and bound.type == "integer" and _WHOLE.fullmatch(text)
        values[name] = int(text) if whole else text
    return check(values, bounds)


def pairs(words: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` words as texts by name. Raises ParametersRefused."""
    found: dict[str, str] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign or not name or name in found:
            raise ParametersRefused(
                f"{word[:80]!r} does not set one parameter once",
                remedy="write each as --set NAME=VALUE",
            )
        found[name] = text
    return found


def _written(values: Mapping[str, Value]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _canonical(value: object, bound: Bound) -> Value | None:
    match bound.type:
        case "integer":
            if isinstance(value, bool) or not isinstance(value, int):
                return None
            return value if _between(Decimal(value), bound) else None
        case "decimal":
            return _decimal(value, bound)
        case "choice":
            return value if isinstance(value, str) and value in bound.choices else None
        case "text":
            limit = int(bound.maximum or 0)
            if not isinstance(value, str) or len(value) > limit or not _clean(value):
                return None
            return value
    return None  # a bound of a type from another version: nothing satisfies it


def _decimal(value: object, bound: Bound) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        number = Decimal(value)
    except ArithmeticError:
        return None
    if not number.is_finite() or abs(number.adjusted()) > _DIGITS:
        return None
    if len(number.as_tuple().digits) > _DIGITS or not _between(number, bound):
        return None
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0"} else text


def _between(number: Decimal, bound: Bound) -> bool:
    # A number without both bounds can't be set at all: fail closed.
    if bound.minimum is None or bound.maximum is None:
        return False
    return Decimal(bound.minimum) <= number <= Decimal(bound.maximum)


def _clean(text: str) -> bool:
    return text.isprintable() and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _expected(bound: Bound) -> str:
    match bound.type:
        case "integer":
            return f"expected a whole number from {bound.minimum} to {bound.maximum}"
        case "decimal":
            return f'expected a decimal text from "{bound.minimum}" to "{bound.maximum}"'
        case "choice":
            return f"expected one of {', '.join(bound.choices)}"
        case _:
            return f"expected a text of at most {bound.maximum} printable characters"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
