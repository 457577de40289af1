"""Refusals over HTTP: one status per kind, RFC 9457 for machines and a page for people.

A refusal's own words are shown, since they were written to be. Of a failure that nobody foresaw,
and of a broken invariant, only an incident's number is: their text may hold anything.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from trust.entropy import Entropy
from trust.problem import Kind, Problem
from web import formats, languages
from web.errors import WebError, Worded
from web.formats import Format
from web.kit import VARY, Kit
from web.sentences import Sentence, Value, mark, say

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:cadastre:problem:"
INTERNAL = "internal"
RETRY_AFTER = 5  # seconds
_INCIDENT_BYTES = 4
_log = logging.getLogger("cadastre.web")

STATUS = {
    Kind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.UNVERIFIED: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.REFUSED: HTTPStatus.FORBIDDEN,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_TITLES = {
    Kind.INVALID: mark("The request cannot be understood"),
    Kind.UNVERIFIED: mark("This does not verify"),
    Kind.REFUSED: mark("This is not allowed"),
    Kind.NOT_FOUND: mark("Not found"),
    Kind.CONFLICT: mark("The situation has changed"),
    Kind.EXHAUSTED: mark("A limit is reached"),
    Kind.UNAVAILABLE: mark("Not available at the moment"),
    Kind.INTERNAL: mark("Something failed on our side"),
}


@dataclass(frozen=True)
class Shown:
    """A refusal as it leaves the house. `foreign` words are English whatever the page is."""

    code: str
    status: HTTPStatus
    title: Sentence
    cause: Value
    remedy: Value
    ids: dict[str, str]
    retryable: bool
    foreign: bool


def shown(problem: Problem, kit: Kit) -> Shown:
    """`problem` with its HTTP status, in words of ours where this room or the surface has them."""
    status = getattr(problem, "status", None)  # a witness's, too, are statuses of HTTP
    said = _worded(problem, kit)
    return Shown(
        code=problem.code,
        status=status if isinstance(status, HTTPStatus) else STATUS[problem.kind],
        title=Sentence(_TITLES[problem.kind]),
        cause=problem.sentence if said is None else said.cause,
        remedy=problem.remedy if said is None else said.remedy,
        ids=dict(problem.ids),
        retryable=problem.retryable,
        foreign=said is None,
    )


def _worded(problem: Problem, kit: Kit) -> Worded | None:
    if isinstance(problem, WebError):
        return Worded(problem.said, problem.helps or "")
    return None if kit.worded is None else kit.worded(problem)


def unforeseen(incident: str) -> Shown:
    """What is said of a failure that nobody foresaw: nothing of its text."""
    return Shown(
        code=INTERNAL,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        title=Sentence(_TITLES[Kind.INTERNAL]),
        cause=say(
            "an unexpected failure was recorded under the number {incident}", incident=incident
        ),
        remedy=say("tell an administrator that number: the program's journal has the details"),
        ids={"incident": incident},
        retryable=False,
        foreign=False,
    )


def of(error: Exception, entropy: Entropy, kit: Kit) -> Shown:
    """What is shown of `error`; what is not shown is logged under the incident's number."""
    if isinstance(error, Problem) and error.kind is not Kind.INTERNAL:
        return shown(error, kit)
    incident = entropy(_INCIDENT_BYTES).hex()
    _log.error("incident %s", incident, exc_info=error)
    return unforeseen(incident)


def answer(kit: Kit, request: Request, said: Shown) -> Response:
    """The refusal in the form and the language that were asked for."""
    made = (
        _page(kit, request, said)
        if formats.lenient(request) is Format.HTML
        else _document(kit, request, said)
    )
    if said.retryable:
        made.headers["Retry-After"] = str(RETRY_AFTER)
    return made


def _page(kit: Kit, request: Request, said: Shown) -> Response:
    return kit.html(request, "web/problem.html", title=said.title, status=said.status, problem=said)


def _document(kit: Kit, request: Request, said: Shown) -> Response:
    language = languages.of(request)
    speech = kit.speech(language)
    content = {
        "type": TYPE + said.code,
        "title": speech.text(said.title),
        "status": said.status.value,
        "detail": speech.text(said.cause),
        "code": said.code,
        "remedy": speech.text(said.remedy),
        "retryable": said.retryable,
        "ids": said.ids,
    }
    headers = {"Vary": VARY}
    if not said.foreign:
        headers["Content-Language"] = language.value
    return JSONResponse(content, said.status, headers=headers, media_type=MEDIA_TYPE)
