"""Parameters inside their bounds, judged again by the worker from the blob's bytes.

The blob is canonical JSON (sorted keys, no spaces): an integer is a JSON number, a decimal, a
choice and a text are texts. The operator's side writes the same form; this reader shares no
code with it, so that a mistake there is not repeated here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from trust.documents.rules import Bound
from trust.errors import Malformed
from trust.parameters import MAXIMUM_SETTINGS_BYTES, RoundParameters, parse
from trust.policy.errors import ParametersRefused

# Digits of one number; more is an attack on the reader, not a parameter.
MAXIMUM_DIGITS = 40
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def parse_parameters(blob: bytes) -> RoundParameters:
    """The parts of a round's parameter blob. Raises ParametersRefused."""
    try:
        return parse(blob)
    except Malformed as error:
        raise ParametersRefused(error.sentence, remedy=error.remedy) from error


def require_within(parameters: bytes, bounds: Mapping[str, Bound]) -> None:
    """Return when the blob sets exactly the bounded names, each inside its bound.

    Raises ParametersRefused naming the parameter.
    """
    values = _read(parameters)
    unknown, missing = sorted(values.keys() - bounds.keys()), sorted(bounds.keys() - values.keys())
    if unknown:
        _refuse(unknown[0], "has no bounds", "what is not bounded cannot be set: leave it out")
    if missing:
        _refuse(missing[0], "is missing", "set every parameter that the manifest declares")
    for name, bound in bounds.items():
        _check(name, values[name], bound)


def _read(parameters: bytes) -> dict[str, Any]:
    remedy = 'a parameter blob is written by `cadastre campaign start`, like {"zones":9}'
    if len(parameters) > MAXIMUM_SETTINGS_BYTES:
        raise ParametersRefused(
            f"the parameters take over {MAXIMUM_SETTINGS_BYTES} bytes", remedy=remedy
        )
    try:
        values = json.loads(parameters, parse_float=_never, parse_constant=_never)
        written = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        canonical = written.encode() == parameters
    except (ValueError, RecursionError) as error:
        raise ParametersRefused(
            "the parameters are not JSON without floating point numbers", remedy=remedy
        ) from error
    # Duplicate names fail here too: they cannot be written back.
    if not isinstance(values, dict) or not canonical:
        raise ParametersRefused("the parameters are not a canonical JSON object", remedy=remedy)
    return values


def _never(text: str) -> NoReturn:
    raise ValueError(text)


def _check(name: str, value: Any, bound: Bound) -> None:
    match bound.type:
        case "integer":
            if isinstance(value, bool) or not isinstance(value, int):
                _refuse(name, "is not a whole number", "write a whole number")
            _in_range(name, Decimal(value), bound)
        case "decimal":
            _in_range(name, _decimal(name, value), bound)
        case "choice":
            if not isinstance(value, str) or value not in bound.choices:
                choices = ", ".join(bound.choices)[:200]
                _refuse(name, "is none of the choices", f"choose one of {choices}")
        case "text":
            longest = int(_limit(name, bound.maximum))
            if not isinstance(value, str) or len(value) > longest or not value.isprintable():
                _refuse(
                    name,
                    f"is not a printable text of at most {longest} characters",
                    "write a shorter text",
                )
        case _:
            # A type from another version: nothing satisfies it.
            _refuse(name, f"has bounds of an unknown type {bound.type[:40]!r}", "update Cadastre")


def _decimal(name: str, value: Any) -> Decimal:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or len(value) > MAXIMUM_DIGITS:
        _refuse(name, "is not a decimal text", 'write it like "0.25"')
    return Decimal(value)


def _in_range(name: str, value: Decimal, bound: Bound) -> None:
    minimum, maximum = _limit(name, bound.minimum), _limit(name, bound.maximum)
    if value < minimum:
        _refuse(name, f"is below {minimum}", f"write {minimum} or more")
    if value > maximum:
        _refuse(name, f"is above {maximum}", f"write {maximum} or less")


def _limit(name: str, text: str | None) -> Decimal:
    """One side of a bound: a plain finite number, or nothing is inside."""
    if text is None:
        _refuse(name, "has no bounds on both sides", "bound it in the manifest")
    if len(text) > MAXIMUM_DIGITS or not _DECIMAL.fullmatch(text):
        _refuse(name, f"has a bound {text[:40]!r} that is no number", 'write it like "0.25"')
    return Decimal(text)


def _refuse(name: str, what: str, remedy: str) -> NoReturn:
    raise ParametersRefused(f"parameter {name[:64]} {what}", remedy=remedy)
