"""Strict JSON for signed documents: a frozen dataclass is the schema.

`decode` accepts exactly the declared fields with exactly the declared types, so that two
readers never understand the same signed bytes differently: unknown fields, duplicate names,
floats (JSON has no exact ones; write decimals as text), NaN and loose conversions are refused.
Supported: str, int, bool, bytes (base64), datetime (RFC 3339 UTC), Enum with str values, the
identifier types, PublicKey, tuple[T, ...], dict[str, T], `T | None`, nested dataclasses.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import json
import re
import types
import typing
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from trust import clock
from trust.errors import KeyRefused, Malformed
from trust.ids import Digest, Identifier
from trust.keys import PublicKey

T = TypeVar("T")

# Whole numbers fit the signed 64 bits of every store and every other language's reader.
MINIMUM_INTEGER, MAXIMUM_INTEGER = -(2**63), 2**63 - 1
# How much of what an unverified document says is repeated in a refusal.
_SHOWN = 60
_HALF = re.compile("[\ud800-\udfff]")


def encode(document: Any) -> bytes:
    """The bytes of a document: sorted keys, no spaces, so that one value has one spelling."""
    plain = _to_plain(document)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Malformed(f"a {type(document).__name__} holds a text that is not Unicode") from error


def decode(cls: type[T], data: bytes) -> T:
    """The document in `data`. Raises Malformed naming the field and what was expected."""
    value = _from_plain(cls, read_json(data, f"a {cls.__name__}"), cls.__name__)
    return typing.cast("T", value)


def read_json(data: bytes, what: str) -> Any:
    """The one value that every reader finds in `data`; `what` names it in refusals.

    UTF-8 only (the standard reader guesses UTF-16 and UTF-32 too), no name twice, no floating
    point number. Raises Malformed.
    """
    if not isinstance(data, bytes):
        # A database that was tampered with can give a text where a blob was stored.
        raise Malformed(f"{what} is not a string of bytes")
    try:
        return json.loads(
            data.decode(),
            object_pairs_hook=_no_duplicates,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{what} is not JSON in UTF-8: {error}") from error


def from_base64(text: str) -> bytes:
    """Standard base64 in its one canonical spelling. Raises ValueError.

    Python's decoder ignores the unused bits of the last letter; signed documents must not
    have two spellings.
    """
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 with stray bits")
    return raw


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Malformed("a field name appears twice in one object")
    return fields


def _no_float(text: str) -> Any:
    raise Malformed(f"{text[:_SHOWN]} is a floating point number; documents write decimals as text")


def _to_plain(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case int():
            return _checked(value)
        case enum.Enum():
            return value.value
        case str() | PublicKey():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return clock.to_text(value)
        case tuple():
            return [_to_plain(item) for item in value]
        case dict():
            return {str(key): _to_plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        return {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} has no written form in a document")


def _checked(number: int) -> int:
    if not MINIMUM_INTEGER <= number <= MAXIMUM_INTEGER:
        raise Malformed("a document's whole numbers have at most 64 bits")
    return number


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _from_plain(kind: Any, plain: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in {typing.Union, types.UnionType}:
        return _optional(kind, plain, where)
    if origin is tuple:
        _expect(isinstance(plain, list), where, "a list")
        item = typing.get_args(kind)[0]
        return tuple(_from_plain(item, entry, f"{where}[{i}]") for i, entry in enumerate(plain))
    if origin is dict:
        _expect(isinstance(plain, dict), where, "an object")
        key, item = typing.get_args(kind)
        return {
            _from_plain(key, name, where): _from_plain(item, entry, f"{where}.{_brief(name)}")
            for name, entry in plain.items()
        }
    if kind is bool:
        _expect(isinstance(plain, bool), where, "true or false")
        return plain
    if kind is int:
        _expect(isinstance(plain, int) and not isinstance(plain, bool), where, "a whole number")
        _expect(MINIMUM_INTEGER <= plain <= MAXIMUM_INTEGER, where, "a number of at most 64 bits")
        return plain
    if dataclasses.is_dataclass(kind) and kind is not PublicKey:
        return _dataclass(kind, plain, where)
    _expect(isinstance(plain, str), where, "a text")
    return _scalar(kind, plain, where)


def _optional(kind: Any, plain: Any, where: str) -> Any:
    choices = [choice for choice in typing.get_args(kind) if choice is not type(None)]
    if plain is None:
        return None
    return _from_plain(choices[0], plain, where)


def _dataclass(kind: Any, plain: Any, where: str) -> Any:
    _expect(isinstance(plain, dict), where, "an object")
    names = {field.name for field in dataclasses.fields(kind)}
    if set(plain) != names:
        missing, extra = sorted(names - set(plain)), sorted(set(plain) - names)
        unknown = ", ".join(map(_brief, extra[:5]))
        raise Malformed(f"{where}: missing fields {missing}, unknown fields [{unknown}]")
    hints = _hints(kind)
    return kind(
        **{name: _from_plain(hints[name], plain[name], f"{where}.{name}") for name in names}
    )


def _scalar(kind: Any, text: str, where: str) -> Any:
    if kind is str:
        # JSON can write half a surrogate pair, which can be neither stored, sent nor hashed.
        _expect(text.isascii() or not _HALF.search(text), where, "a text of whole letters")
        return text
    try:
        if kind is bytes:
            return from_base64(text)
        if kind is datetime:
            return clock.from_text(text)
        if kind is PublicKey or (isinstance(kind, type) and issubclass(kind, Identifier | Digest)):
            return kind.parse(text)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return kind(text)
    except (Malformed, KeyRefused) as error:
        raise Malformed(f"{where}: {error.sentence}") from error
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{where}: {text[:60]!r} is not a valid {kind.__name__}") from error
    raise TypeError(f"{where}: the schema uses an unsupported type {kind!r}")


def _brief(name: str) -> str:
    return ascii(name[:_SHOWN])[1:-1]


def _expect(condition: bool, where: str, what: str) -> None:  # noqa: FBT001
    if not condition:
        raise Malformed(f"{where}: expected {what}")
