"""In which form somebody wants an answer: a page, JSON or CSV."""

from __future__ import annotations

import enum

from starlette.requests import HTTPConnection

from web.errors import BadParameter
from web.sentences import say

PARAMETER = "format"
API = "/api/"
_LONGEST_HEADER = 500


class Format(enum.StrEnum):
    """What the same view model can be."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"


_TYPES = {
    "text/html": Format.HTML,
    "application/xhtml+xml": Format.HTML,
    "application/json": Format.JSON,
    "application/problem+json": Format.JSON,
    "text/csv": Format.CSV,
}


def of(request: HTTPConnection) -> Format:
    """The form for `request`: `?format=`, then the Accept header; JSON below `/api/`.

    Raises BadParameter for a format that there is none of.
    """
    if named := request.query_params.get(PARAMETER):
        if named in set(Format):
            return Format(named)
        raise BadParameter(
            PARAMETER,
            say("“{value}” is no format: there are html, json and csv", value=named[:40]),
        )
    default = Format.JSON if request.url.path.startswith(API) else Format.HTML
    return preferred(request.headers.get("accept", ""), default)


def lenient(request: HTTPConnection) -> Format:
    """The same for a refusal, which must not be refused in turn; no refusal is CSV."""
    try:
        found = of(request)
    except BadParameter:
        found = Format.JSON if request.url.path.startswith(API) else Format.HTML
    return Format.HTML if found is Format.HTML else Format.JSON


def preferred(header: str, default: Format) -> Format:
    """The best form that an Accept header names; `default` where it names none or anything."""
    best, best_weight = default, 0.0
    for part in header[:_LONGEST_HEADER].split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        if name in _TYPES and weight > best_weight:
            best, best_weight = _TYPES[name], weight
    return best
