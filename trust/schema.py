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
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from trust import clock
from trust.errors import KeyRefused, Malformed
from trust.ids import Digest, Identifier
from trust.keys import PublicKey

T = TypeVar("T")
Reader = Callable[[Any], Any]  # from plain JSON to a declared type; raises _Misfit
Writer = Callable[[Any], Any]  # and back

# Whole numbers fit the signed 64 bits of every store and every other language's reader.
MINIMUM_INTEGER, MAXIMUM_INTEGER = -(2**63), 2**63 - 1
# How much of what an unverified document says is repeated in a refusal.
_SHOWN = 60
_HALF = re.compile("[\ud800-\udfff]")


def encode(document: Any) -> bytes:
    """The bytes of a document: sorted keys, no spaces, so that one value has one spelling."""
    try:
        return _ENCODER.encode(_to_plain(document)).encode()
    except UnicodeEncodeError as error:
        raise Malformed(f"a {type(document).__name__} holds a text that is not Unicode") from error


def decode(cls: type[T], data: bytes) -> T:
    """The document in `data`. Raises Malformed naming the field and what was expected."""
    plain, kind = read_json(data, f"a {cls.__name__}"), typing.cast("Any", cls)
    try:
        return typing.cast("T", _reader(kind)(plain))
    except _Misfit as misfit:
        where = cls.__name__ + "".join(reversed(misfit.places))
        raise Malformed(f"{where}: {misfit.sentence}") from misfit.__cause__


def read_json(data: bytes, what: str) -> Any:
    """The one value that every reader finds in `data`; `what` names it in refusals.

    UTF-8 only (the standard reader guesses UTF-16 and UTF-32 too), no name twice, no floating
    point number. Raises Malformed.
    """
    if not isinstance(data, bytes):
        # A database that was tampered with can give a text where a blob was stored.
        raise Malformed(f"{what} is not a string of bytes")
    try:
        return _DECODER.decode(data.decode())
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


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False
)
_DECODER = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=_no_float, parse_constant=_no_float
)


# --- writing: what a value becomes depends on its type alone, and is worked out once per type ---


def _to_plain(value: Any) -> Any:
    kind: Any = type(value)
    return _writer(kind)(value)


@cache
def _writer(kind: type) -> Writer:
    if kind is type(None) or kind is bool:
        return lambda value: value
    if issubclass(kind, int):
        return _checked
    if issubclass(kind, enum.Enum):
        return lambda value: value.value
    if issubclass(kind, str | PublicKey):
        return str
    if issubclass(kind, bytes):
        return lambda value: base64.b64encode(value).decode()
    if issubclass(kind, datetime):
        return clock.to_text
    if issubclass(kind, tuple):
        return lambda value: [_to_plain(item) for item in value]
    if issubclass(kind, dict):
        return lambda value: {str(key): _to_plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        names = tuple(field.name for field in dataclasses.fields(kind))
        return lambda value: {name: _to_plain(getattr(value, name)) for name in names}
    raise TypeError(f"{kind.__name__} has no written form in a document")


def _checked(number: int) -> int:
    if not MINIMUM_INTEGER <= number <= MAXIMUM_INTEGER:
        raise Malformed("a document's whole numbers have at most 64 bits")
    return number


# --- reading: the declared type decides alone, so its reader is worked out once per type ---


class _Misfit(Exception):
    """A value that is not of its declared type; the places around it are added on its way up."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.places: list[str] = []  # innermost first


@cache
def _reader(kind: Any) -> Reader:
    origin = typing.get_origin(kind)
    if origin in {typing.Union, types.UnionType}:
        (choice,) = (one for one in typing.get_args(kind) if one is not type(None))
        return lambda plain: None if plain is None else _reader(choice)(plain)
    if origin is tuple:
        return _tuple_reader(typing.get_args(kind)[0])
    if origin is dict:
        return _dict_reader(*typing.get_args(kind))
    if kind is bool:
        return _boolean
    if kind is int:
        return _integer
    if dataclasses.is_dataclass(kind) and kind is not PublicKey:
        return _dataclass_reader(typing.cast("type", kind))
    return _scalar_reader(kind)


def _boolean(plain: Any) -> bool:
    if not isinstance(plain, bool):
        raise _Misfit("expected true or false")
    return plain


def _integer(plain: Any) -> int:
    if not isinstance(plain, int) or isinstance(plain, bool):
        raise _Misfit("expected a whole number")
    if not MINIMUM_INTEGER <= plain <= MAXIMUM_INTEGER:
        raise _Misfit("expected a number of at most 64 bits")
    return plain


def _tuple_reader(item: Any) -> Reader:
    def read(plain: Any) -> tuple[Any, ...]:
        if not isinstance(plain, list):
            raise _Misfit("expected a list")
        inner, found = _reader(item), []
        try:
            for entry in plain:
                found.append(inner(entry))  # noqa: PERF401 - says where it stopped
        except _Misfit as misfit:
            misfit.places.append(f"[{len(found)}]")
            raise
        return tuple(found)

    return read


def _dict_reader(key: Any, item: Any) -> Reader:
    def read(plain: Any) -> dict[Any, Any]:
        if not isinstance(plain, dict):
            raise _Misfit("expected an object")
        named, inner, found = _reader(key), _reader(item), {}
        for name, entry in plain.items():
            known = named(name)
            try:
                found[known] = inner(entry)
            except _Misfit as misfit:
                misfit.places.append(f".{_brief(name)}")
                raise
        return found

    return read


def _dataclass_reader(kind: type) -> Reader:
    hints = typing.get_type_hints(kind)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(kind)}

    def read(plain: Any) -> Any:
        if not isinstance(plain, dict):
            raise _Misfit("expected an object")
        if plain.keys() != fields.keys():
            missing, extra = sorted(fields.keys() - plain), sorted(plain.keys() - fields)
            unknown = ", ".join(map(_brief, extra[:5]))
            raise _Misfit(f"missing fields {missing}, unknown fields [{unknown}]")
        found, name = {}, ""
        try:
            for name, hint in fields.items():
                found[name] = _reader(hint)(plain[name])
        except _Misfit as misfit:
            misfit.places.append(f".{name}")
            raise
        return kind(**found)

    return read


def _scalar_reader(kind: Any) -> Reader:
    parse = _parser(kind)

    def read(plain: Any) -> Any:
        if not isinstance(plain, str):
            raise _Misfit("expected a text")
        try:
            return parse(plain)
        except (Malformed, KeyRefused) as error:
            raise _Misfit(error.sentence) from error
        except (binascii.Error, ValueError) as error:
            raise _Misfit(f"{plain[:_SHOWN]!r} is not a valid {kind.__name__}") from error

    return read


def _parser(kind: Any) -> Callable[[str], Any]:
    if kind is str:
        return _text
    if kind is bytes:
        return from_base64
    if kind is datetime:
        return clock.from_text
    if kind is PublicKey or (isinstance(kind, type) and issubclass(kind, Identifier | Digest)):
        return typing.cast("Callable[[str], Any]", kind.parse)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind
    raise TypeError(f"a schema uses the unsupported type {kind!r}")


def _text(text: str) -> str:
    # JSON can write half a surrogate pair, which can be neither stored, sent nor hashed.
    if not text.isascii() and _HALF.search(text):
        raise _Misfit("expected a text of whole letters")
    return text


def _brief(name: str) -> str:
    return ascii(name[:_SHOWN])[1:-1]
