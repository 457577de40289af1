"""The same actions for programs: one POST with an API token, answered with the deed."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from scheduler.errors import ActionRefused, InputRefused
from scheduler.service import acting
from scheduler.service.actions import MAXIMUM_REQUEST, Actor
from scheduler.service.desk import Desk
from scheduler.views import deeds
from scheduler.web import plainly
from scheduler.web.actions.errors import NotNow
from scheduler.web.actions.hands import Hands
from trust import schema
from trust.documents.actions import MAXIMUM_REASON, Act, Means
from trust.parameters import MAXIMUM_SETTINGS_BYTES
from web.errors import FormRefused
from web.sentences import say
from web.signin import visits
from web.signin.access import needs
from web.signin.errors import NotSignedIn
from web.signin.roles import Role
from web.signin.sessions import Means as ProvedBy

PATH = "/api/v1/actions"
LARGEST = MAXIMUM_SETTINGS_BYTES + 8 * 1024
_FIELDS = {"act", "subject", "reason", "request", "parameters"}
_DESCRIPTION: dict[str, Any] = {
    **plainly.description(deeds.Deed, HTTPStatus.CREATED),
    "summary": "Do something by hand, with a reason; the deed is signed and logged.",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["act", "subject", "reason", "request"],
                    "properties": {
                        "act": {"type": "string", "enum": [act.value for act in Act]},
                        "subject": {
                            "type": "string",
                            "description": "the campaign, unit, worker, or (to start) bundle",
                        },
                        "reason": {
                            "type": "string", "minLength": 1, "maxLength": MAXIMUM_REASON,
                        },
                        "request": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": MAXIMUM_REQUEST,
                            "description": "your own key: the same one does it once",
                        },
                        "parameters": {
                            "type": "object",
                            "description": "of a campaign that is started",
                        },
                    },
                }
            }
        },
    },
}  # fmt: skip


def api(desk: Desk, hands: Hands) -> APIRouter:
    """The routes. A browser's session is not enough: people confirm what they do on a page."""
    router = APIRouter()

    @router.post(PATH, dependencies=[needs(Role.OPERATOR)], status_code=HTTPStatus.CREATED,
                 openapi_extra=_DESCRIPTION)  # fmt: skip
    async def act(request: Request) -> Response:
        if visits.of(request).means is not ProvedBy.API:
            raise NotSignedIn
        asked = await _asked(request)
        actor = Actor(visits.person(request).subject, Means.PROGRAM)
        deed, subject = _act(asked["act"]), asked["subject"]
        if deed is Act.START_CAMPAIGN:
            made = acting.start(
                desk,
                actor,
                subject,
                _values(asked["parameters"]),
                reason=asked["reason"],
                request=asked["request"],
            )
        else:
            made = acting.act(desk, actor, deed, subject, asked["reason"], request=asked["request"])
        try:
            done = await hands(made)
        except ActionRefused as refused:
            raise NotNow.of(refused) from refused
        return JSONResponse(
            plainly.plain(await run_in_threadpool(deeds.deed, desk, done.id)),
            status_code=HTTPStatus.CREATED,
            headers={"Location": f"{PATH}/{done.id}"},
        )

    @router.get(
        f"{PATH}/{{identity}}",
        dependencies=[needs(Role.OPERATOR, Role.AUDITOR)],
        openapi_extra=plainly.description(deeds.Deed),
    )
    def one(identity: str) -> Response:
        return plainly.answer(deeds.deed(desk, identity))

    return router


async def _asked(request: Request) -> dict[str, Any]:
    """The fields of the body. Raises FormRefused, Malformed, InputRefused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise FormRefused(say("a form is sent as {kind}", kind="application/json"))
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise FormRefused(say("the form is larger than {most} bytes", most=LARGEST))
    found = schema.read_json(body, "the request")
    if not isinstance(found, dict) or set(found) - _FIELDS:
        raise InputRefused(f"the request is an object with {', '.join(sorted(_FIELDS))}")
    for name in sorted(_FIELDS - {"parameters"}):
        if not isinstance(found.get(name), str) or not found[name]:
            raise InputRefused(f"{name} is missing, or no text")
    if not isinstance(found.get("parameters", {}), dict):
        raise InputRefused("parameters is no object")
    if ("parameters" in found) != (found["act"] == Act.START_CAMPAIGN.value):
        raise InputRefused("parameters belong to start-campaign, and to nothing else")
    return found


def _values(parameters: dict[str, Any]) -> bytes:
    try:
        return json.dumps(parameters).encode()
    except RecursionError as error:
        raise InputRefused("the parameters are nested too deeply") from error


def _act(text: str) -> Act:
    try:
        return Act(text)
    except ValueError as error:
        raise InputRefused(
            f"{text[:40]!r} is no action", remedy=f"one of {', '.join(act.value for act in Act)}"
        ) from error
