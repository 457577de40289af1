"""Turning a schema's refusals into lines that say what to write instead."""

from __future__ import annotations

import difflib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_SHOWN = 60  # characters of a wrong value that are repeated to its author


def sentences(model: type[BaseModel], error: ValidationError) -> list[str]:
    """One line per mistake in `error`: where, what was expected, an example to copy."""
    return [_sentence(model, mistake) for mistake in error.errors()]


def _sentence(model: type[BaseModel], mistake: Mapping[str, Any]) -> str:
    location: tuple[str | int, ...] = mistake["loc"]
    where = ".".join(map(str, location)) or "bundle.toml"
    owner, field = _resolve(model, location)
    name = str(location[-1]) if location else ""
    match mistake["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key{_nearest(owner, name)}"
        case "missing":
            what = f" ({field.description})" if field is not None and field.description else ""
            return f"{where}: missing{what}{_example(name, field)}"
        case "value_error":
            return f"{where}: {mistake['ctx']['error']}"
        case _:
            found = _shown(mistake["input"])
            found = found if len(found) <= _SHOWN else found[:_SHOWN] + "…"
            message = mistake["msg"].removeprefix("Input should be ")
            return f"{where}: expected {message}, found {found}{_example(name, field)}"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except ValueError:  # Python does not print whole numbers of over 4,300 digits
        return "a number of thousands of digits"


def _nearest(owner: type[BaseModel] | None, name: str) -> str:
    if owner is None:
        return ""
    known = [field.alias or key for key, field in owner.model_fields.items()]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{hint} Known here: {', '.join(known)}"


def _example(name: str, field: FieldInfo | None) -> str:
    if field is None or not field.examples:
        return ""
    return f"; write for example {name} = {toml(field.examples[0])}"


def toml(value: object) -> str:
    """`value` as TOML would spell it."""
    match value:
        case bool():
            return "true" if value else "false"
        case Mapping():
            inner = ", ".join(f"{key} = {toml(item)}" for key, item in value.items())
            return f"{{ {inner} }}"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int() | Decimal():
            return str(value)
        case Sequence():
            return f"[{', '.join(toml(item) for item in value)}]"
        case _:
            return str(value)


def _resolve(
    model: type[BaseModel], location: tuple[str | int, ...]
) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    # Follow the location through models, dicts and tuples to the last model and its field.
    kind: Any = model
    owner: type[BaseModel] | None = None
    field: FieldInfo | None = None
    for part in location:
        kind = _plain(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            owner = kind
            field = next(
                (f for key, f in kind.model_fields.items() if part in {key, f.alias}), None
            )
            kind = field.annotation if field is not None else None
        else:
            arguments = typing.get_args(kind)
            owner = None
            kind = arguments[1 if typing.get_origin(kind) is dict else 0] if arguments else None
    return owner, field


def _plain(kind: Any) -> Any:
    while True:
        origin = typing.get_origin(kind)
        if origin is typing.Annotated:
            kind = typing.get_args(kind)[0]
        elif origin in {typing.Union, types.UnionType}:
            kind = next(k for k in typing.get_args(kind) if k is not type(None))
        else:
            return kind
