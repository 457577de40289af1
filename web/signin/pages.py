"""The pages of sign-in: entering, leaving, and what belongs to one's account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from trust.errors import Malformed
from web import forms
from web.kit import Crumb, Kit
from web.sentences import Sentence, mark, say
from web.signin import forgery, lifetimes, visits
from web.signin.access import DOOR, anybody, somebody
from web.signin.cookies import Purpose
from web.signin.credentials import LONGEST_TEXT, Credential, CredentialKind
from web.signin.entrance import CALLBACK, Entered, Entrance
from web.signin.errors import (
    IssuerAnswerRefused,
    IssuerDeclined,
    IssuerUnreachable,
    NoRole,
    NoSuchCredential,
    SignInError,
    SignInLost,
    TooManySessions,
    TooManyTries,
)
from web.signin.gate import ACCOUNT, SIGN_IN, SIGN_OUT, client
from web.signin.local_path import local_path
from web.signin.roles import LONGEST_NAME, Role, in_order
from web.signin.sessions import Means
from web.signin.tickets import CredentialId, SessionId
from web.signin.visits import Visit

_AWAY = "/sign-in/away"
ROLES: Mapping[str, str] = {
    Role.OPERATOR: mark("operator"),
    Role.AUDITOR: mark("auditor"),
    Role.AUTHOR: mark("author"),
    Role.VIEWER: mark("viewer"),
}
_MEANS: Mapping[str, str] = {
    Means.ISSUER: mark("at the identity provider"),
    Means.INVITED: mark("with a one-time token"),
    Means.KEY: mark("with a key"),
}
_KINDS: Mapping[str, str] = {
    CredentialKind.KEY: mark("key to sign in with"),
    CredentialKind.API: mark("token of a program"),
    CredentialKind.INVITATION: mark("one-time token"),
    CredentialKind.START: mark("one-time token"),
}


def pages(kit: Kit, entrance: Entrance) -> APIRouter:
    """All of them; given to `web.application` together with the gate."""
    router = APIRouter(include_in_schema=False)
    _entering(router, kit, entrance)
    _leaving(router, kit, entrance)
    _account(router, kit, entrance)
    return router


def _refusals(contact: str) -> dict[str, SignInError]:
    """What a way back from the issuer can end with, by the code in the address it leads to."""
    found = [
        SignInLost(),
        IssuerDeclined(),
        IssuerAnswerRefused(""),
        IssuerUnreachable(""),
        NoRole(contact),
        TooManyTries(),
        TooManySessions(),
    ]
    return {one.code: one for one in found}


def _entering(router: APIRouter, kit: Kit, entrance: Entrance) -> None:
    told = _refusals(entrance.contact)

    @router.get(SIGN_IN, dependencies=[anybody(forms=True)])
    def sign_in(
        request: Request,
        next: str = "",  # noqa: A002
        again: str = "",
        refused: str = "",
    ) -> Response:
        back_to = local_path(next)
        if visits.of(request).person and not (again or refused):
            return _go(back_to)
        issuer = entrance.flow.issuer.configuration.label if entrance.flow else ""
        return kit.page(
            request,
            "web/signin/enter.html",
            title=say("Sign in"),
            issuer=issuer,
            away=_AWAY,
            back_to=back_to,
            again=bool(again),
            refused=told.get(refused),
            longest=LONGEST_TEXT,
        )

    @router.get(_AWAY, dependencies=[anybody(forms=True)])
    def away(request: Request, next: str = "", again: str = "") -> Response:  # noqa: A002
        forgery.require_person(request.headers, own=True)
        visit = visits.of(request)
        if visit.door is None:
            request.scope[DOOR]()
        assert visit.door is not None
        there = entrance.depart(visit.door, client(request), next, fresh=bool(again))
        return _go(there)

    @router.get(CALLBACK, dependencies=[anybody()])
    def back(request: Request) -> Response:
        # The address holds a code and a state: whatever happens, its page is another one.
        forgery.require_person(request.headers, own=False)
        visit = visits.of(request)
        answer = dict(request.query_params.multi_items())
        try:
            if len(answer) != len(request.query_params.multi_items()):
                raise SignInLost
            entered = entrance.arrive(answer, visit.door, client(request), visit.ticket)
        except SignInError as refused:
            return _go(f"{SIGN_IN}?refused={refused.code}")
        return _enter(entrance, visit, entered, entered.back_to)

    @router.post(SIGN_IN, dependencies=[anybody()])
    async def with_token(request: Request) -> Response:
        form = await forms.read(request)
        visit = visits.of(request)
        entered = await run_in_threadpool(
            entrance.redeem,
            form.fields.get("token", ""),
            client(request),
            visit.ticket,
            form.fields.get("next", ""),
        )
        # A one-time token is used up: its holder is led to where keys for next time are made.
        invited = entered.means is Means.INVITED
        return _enter(entrance, visit, entered, ACCOUNT if invited else entered.back_to)


def _leaving(router: APIRouter, kit: Kit, entrance: Entrance) -> None:
    @router.post(SIGN_OUT, dependencies=[somebody()])
    async def sign_out(request: Request) -> Response:
        form = await forms.read(request)
        visit = visits.of(request)
        assert visit.ticket is not None
        everywhere = form.fields.get("everywhere") == "1"
        await run_in_threadpool(
            entrance.leave, visit.ticket, visits.person(request), everywhere=everywhere
        )
        visit.cookies += [entrance.cookies.ending(each) for each in Purpose]
        return _go(SIGN_OUT)

    @router.get(SIGN_OUT, dependencies=[anybody()])
    def left(request: Request) -> Response:
        if visits.of(request).person:
            return _go(ACCOUNT)
        flow = entrance.flow
        return kit.page(
            request,
            "web/signin/left.html",
            title=say("Signed out"),
            issuer=flow.issuer.configuration.label if flow else "",
            farewell=flow.farewell(entrance.address.url(SIGN_OUT)) if flow else "",
            sign_in=SIGN_IN,
        )


def _account(router: APIRouter, kit: Kit, entrance: Entrance) -> None:
    @router.get(ACCOUNT, dependencies=[somebody()])
    def account(request: Request) -> Response:
        visit, person = visits.of(request), visits.person(request)
        session = visit.session
        return kit.page(
            request,
            "web/signin/account.html",
            title=say("My account"),
            person=person,
            roles=[(role.value, Sentence(ROLES[role])) for role in in_order(person.roles)],
            means=Sentence(_MEANS[session.means]) if session else "",
            session=session,
            sessions=[
                (one, Sentence(_MEANS[one.means])) for one in entrance.sessions.of(person.subject)
            ],
            credentials=[
                (one, Sentence(_KINDS[one.kind]), _roles(one))
                for one in entrance.credentials.of(person.subject)
            ],
            fresh=session is not None and session.fresh(entrance.clock.now()),
            keys=person.local,
            idle=lifetimes.IDLE,
            longest=LONGEST_NAME,
        )

    @router.post(f"{ACCOUNT}/sessions/{{name}}/end", dependencies=[somebody()])
    def end(request: Request, name: str) -> Response:
        try:
            session = SessionId.parse(name)
        except Malformed as error:
            raise NoSuchCredential from error
        if not entrance.sessions.end_one(visits.person(request).subject, session):
            raise NoSuchCredential
        return _go(ACCOUNT)

    @router.post(f"{ACCOUNT}/credentials/{{name}}/revoke", dependencies=[somebody()])
    def revoke(request: Request, name: str) -> Response:
        try:
            credential = CredentialId.parse(name)
        except Malformed as error:
            raise NoSuchCredential from error
        entrance.credentials.revoke(visits.person(request).subject, credential)
        return _go(ACCOUNT)

    @router.post(f"{ACCOUNT}/keys", dependencies=[somebody(delicate=True)])
    async def key(request: Request) -> Response:
        label = (await forms.read(request)).text("label", most=LONGEST_NAME)
        person = visits.person(request)
        made = await _made(entrance, request, lambda: entrance.credentials.key(person, label))
        return _shown(request, made, say("Your key to sign in with"))

    @router.post(f"{ACCOUNT}/tokens", dependencies=[somebody(delicate=True)])
    async def token(request: Request) -> Response:
        form = await forms.read(request)
        wanted = [role for role in Role if form.fields.get(f"role-{role}") == "1"]
        label = form.text("label", least=1, most=LONGEST_NAME)
        person = visits.person(request)
        made = await _made(
            entrance, request, lambda: entrance.credentials.api(person, wanted, label)
        )
        return _shown(request, made, say("The token for your program"))

    def _shown(request: Request, secret: str, title: Sentence) -> Response:
        return kit.page(
            request,
            "web/signin/secret.html",
            title=title,
            trail=[Crumb(say("My account"), ACCOUNT)],
            secret=secret,
            account=ACCOUNT,
        )


async def _made(entrance: Entrance, request: Request, make: Callable[[], str]) -> str:
    """What `make` hands out, in a thread, to whoever is still signed in after it."""
    ticket = visits.of(request).ticket
    assert ticket is not None
    return await run_in_threadpool(entrance.hand_out, ticket, make)


def _enter(entrance: Entrance, visit: Visit, entered: Entered, back_to: str) -> Response:
    """The browser gets its new session; the door's secret has done its work."""
    visit.cookies += [
        entrance.cookies.setting(Purpose.SESSION, entered.ticket.reveal()),
        entrance.cookies.ending(Purpose.DOOR),
    ]
    visit.new_door = False
    return _go(back_to)


def _go(path: str) -> Response:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def _roles(credential: Credential) -> list[Sentence]:
    return [Sentence(ROLES[role]) for role in in_order(credential.person.roles)]
