"""A list in the API's description, from the definition that its pages are made of."""

from __future__ import annotations

from typing import Any

from web import formats
from web.listing import state
from web.listing.table import Choice, Filter, Table, Text

_TEXT_OR_NONE = {"type": ["string", "null"]}


def description(table: Table[Any]) -> dict[str, Any]:
    """For a route's `openapi_extra`: parameters, and what a page of the list looks like."""
    return {
        "parameters": [
            *(_parameter(one.name, _schema(one)) for one in table.filters),
            _parameter(state.SORT, {"type": "string", "enum": [one.name for one in table.sorts]}),
            _parameter(state.DIRECTION, {"type": "string", "enum": ["asc", "desc"]}),
            _parameter(state.SIZE, {"type": "integer", "minimum": 1, "maximum": max(table.sizes)}),
            _parameter(state.CURSOR, {"type": "string", "maxLength": 400}),
        ],
        "responses": {
            "200": {
                "description": str(table.caption),
                "content": {"application/json": {"schema": _page(table)}},
            },
            "422": {
                "description": "a parameter is unknown, repeated or out of its bounds",
                "content": {"application/problem+json": {"schema": PROBLEM}},
            },
        },
    }


PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "remedy": {"type": "string"},
        "retryable": {"type": "boolean"},
        "ids": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def with_refusals(document: dict[str, Any]) -> dict[str, Any]:
    """The API's description, every operation of which may also be answered with a problem."""
    problem = {"application/problem+json": {"schema": PROBLEM}}
    for path, operations in document.get("paths", {}).items():
        if not path.startswith(formats.API):
            continue
        for operation in operations.values():
            responses = operation.setdefault("responses", {})
            # FastAPI describes its own form of a refused parameter, which never leaves this house.
            if "application/json" in responses.get("422", {}).get("content", {}):
                responses["422"]["content"] = problem
            responses.setdefault(
                "default", {"description": "a refusal, as docs/errors.md lists them",
                            "content": problem})  # fmt: skip
    return document


def _page(table: Table[Any]) -> dict[str, Any]:
    columns = {
        one.name: {"type": [one.schema, "null"], "description": str(one.heading)}
        for one in table.columns
    }
    properties = {
        "items": {
            "type": "array",
            "items": {"type": "object", "required": list(columns), "properties": columns},
        },
        "next": _TEXT_OR_NONE,
        "previous": _TEXT_OR_NONE,
        "sort": {"type": "string"},
        "direction": {"type": "string", "enum": ["asc", "desc"]},
        "size": {"type": "integer"},
        "total": {"type": ["integer", "null"]},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An empty one counts as left out, since forms send those: so it is described."""
    either = {"anyOf": [schema, {"type": "string", "pattern": r"^\s*$"}]}
    return {"name": name, "in": "query", "required": False, "schema": either}


def _schema(one: Filter) -> dict[str, Any]:
    if isinstance(one, Choice):
        return {"type": "string", "enum": [value for value, _ in one.options]}
    if isinstance(one, Text):
        found: dict[str, Any] = {"type": "string", "maxLength": one.most}
        return {**found, "pattern": f"^(?:{one.pattern})$"} if one.pattern else found
    return {"type": "string", "examples": ["24h", "2026-11-22T12:00:00Z"]}
