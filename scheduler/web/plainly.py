"""Read models as JSON: their own fields, moments as RFC 3339, nothing that pages don't show."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from trust.clock import to_text


def answer(view: Any) -> Response:
    """A dataclass as an answer of the API."""
    return JSONResponse(plain(view))


def plain(value: Any) -> Any:
    """Dataclasses, mappings and sequences in depth."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    match value:
        case datetime():
            return to_text(value)
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(name): plain(part) for name, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
    return value


def description(view: type, status: int = HTTPStatus.OK) -> dict[str, Any]:
    """For a route's `openapi_extra`: what `answer` makes of a dataclass of this type."""
    says = (view.__doc__ or view.__name__).partition("\n")[0]
    return answered("application/json", says, schema(view), status)


def answered(
    media: str, says: str, shape: dict[str, Any] | None = None, status: int = HTTPStatus.OK
) -> dict[str, Any]:
    """For a route's `openapi_extra`: an answer of another type, whose JSON has the schema `shape`.

    A file's route says `response_class=Response`, or it would be described as JSON as well.
    """
    content = {media: {"schema": shape or {"type": "string", "format": "binary"}}}
    return {"responses": {str(int(status)): {"description": says, "content": content}}}


_PLAIN = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    timedelta: {"type": "number", "description": "seconds"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    type(None): {"type": "null"},
}


def schema(kind: Any) -> dict[str, Any]:
    """JSON Schema of what `plain` makes of a value of this type. TypeError for one it has none."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {}
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        fields = {field.name: schema(hints[field.name]) for field in dataclasses.fields(kind)}
        return {"type": "object", "required": list(fields), "properties": fields}
    if isinstance(kind, type) and issubclass(kind, enum.StrEnum):
        return {"type": "string", "enum": [one.value for one in kind]}
    if origin in {types.UnionType, typing.Union}:
        return {"anyOf": [schema(part) for part in parts]}
    if origin is collections.abc.Mapping:
        return {"type": "object", "additionalProperties": schema(parts[1])}
    if origin is tuple and parts[-1] is not ...:
        return {
            "type": "array",
            "items": {"anyOf": [schema(part) for part in parts]},
            "minItems": len(parts),
            "maxItems": len(parts),
        }
    if origin in {tuple, list, collections.abc.Sequence}:
        return {"type": "array", "items": schema(parts[0])}
    raise TypeError(f"no JSON is known for {kind}")
