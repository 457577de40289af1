"""Read models as JSON: their own fields, moments as RFC 3339, nothing that pages don't show."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, datetime, timedelta
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
