"""The gate in front of every route: who asks, from where, and whether that is believable.

Pure ASGI middleware, inside of what turns refusals into pages. Per request: the host is ours; a
program's token or a browser's session is looked up; whatever changes something is shown to come
from our own page. Roles are the route's business (`web.signin.access`); the gate only sees to it
that no answer leaves of a route that asked for none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web import formats, forms, visitors
from web.errors import FormRefused
from web.formats import Format
from web.live import frames
from web.signin import access, forgery, lifetimes, visits
from web.signin.access import require_declared
from web.signin.cookies import Purpose
from web.signin.credentials import API_PREFIX
from web.signin.entrance import Entrance
from web.signin.errors import (
    AccessUndeclared,
    ForgeryRefused,
    NotSignedIn,
    RoleMissing,
    SignInStale,
    WrongHost,
)
from web.signin.local_path import sign_in_path
from web.signin.roles import in_order
from web.signin.sessions import Means
from web.signin.standing import Standing, stands
from web.signin.tickets import SECRET_BYTES, Ticket, from_letters, to_letters
from web.signin.visits import Visit
from web.visitors import Visitor

SIGN_IN, SIGN_OUT, ACCOUNT = "/sign-in", "/sign-out", "/account"
_UNSAFE_FORM_BYTES = forms.LARGEST
_TLS_ONLY = "max-age=31536000; includeSubDomains"
_log = logging.getLogger("cadastre.web.sign-in")


class Gate:
    """The middleware; `Middleware(Gate, entrance=...)` is given to `web.application`."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance
        self._checked = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._checked:
            # At start (uvicorn's lifespan), and again should a server skip that.
            require_declared(scope["app"].routes)
            self._checked = True
        if scope["type"] == "lifespan" or access.open_to_all(scope["path"]):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise AccessUndeclared(scope["type"])
        request = Request(scope, receive)
        self._require_host(request)
        visit = await self._recognise(request)
        scope[visits.KEY] = visit
        scope[access.CLOCK] = self._entrance.clock
        scope[access.DOOR] = partial(self._at_the_door, visit)
        scope[visitors.KEY] = self._visitor(visit)
        if request.method not in forgery.SAFE:
            receive = Standing(self._entrance, visit, receive)
            if visit.means is not Means.API:
                receive = await self._require_own_page(Request(scope, receive), visit)
        watched = _Watched(self._entrance, visit, scope, receive, send)
        try:
            await self._app(scope, watched.receive, watched.send)
        except RoleMissing:
            assert visit.person is not None
            _log.warning("%s asked for what other roles may use", visit.person.tag)
            raise
        except (NotSignedIn, SignInStale) as refused:
            if request.method != "GET" or formats.lenient(request) is not Format.HTML:
                raise
            visit.decided = True
            answer = self._to_sign_in(request, again=isinstance(refused, SignInStale))
            await answer(scope, watched.receive, watched.send)

    def _require_host(self, request: Request) -> None:
        named = request.headers.getlist("host")
        if len(named) != 1 or named[0].lower() != self._entrance.address.authority:
            raise WrongHost

    async def _recognise(self, request: Request) -> Visit:
        entrance = self._entrance
        headers = request.headers
        if request.scope["path"].startswith(formats.API) and "authorization" in headers:
            # Whoever shows a token is that token's, or nobody: never the cookie's beside it.
            visit = await run_in_threadpool(self._program, headers.getlist("authorization"))
            if visit is None:
                entrance.pace.take(client(request))
                raise NotSignedIn
            return visit
        written = headers.getlist("cookie")
        door = entrance.cookies.read(Purpose.DOOR, written)
        visit = Visit(door=from_letters(door, SECRET_BYTES) if door else None)
        shown = entrance.cookies.read(Purpose.SESSION, written)
        ticket = Ticket.read(shown) if shown else None
        if ticket is None:
            return visit
        # A live page asks for its stream again and again, whether anybody looks at it or not.
        sign = frames.MEDIA_TYPE not in headers.get("accept", "")
        session = await run_in_threadpool(entrance.sessions.find, ticket, sign=sign)
        if session is None:
            visit.lapsed = True
            return visit
        visit.ticket, visit.session = ticket, session
        visit.person, visit.means = session.person, session.means
        visit.proved = session.proved
        return visit

    def _program(self, written: list[str]) -> Visit | None:
        scheme, _, token = written[0].partition(" ") if len(written) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not token.startswith(API_PREFIX):
            return None
        found = self._entrance.credentials.bearer(token)
        if found is None:
            return None
        return Visit(person=found.person, means=Means.API, credential=found.id)

    def _visitor(self, visit: Visit) -> Visitor:
        if visit.person is None:
            return Visitor(sign_in=SIGN_IN)
        secret = visit.ticket.secret if visit.ticket else None
        return Visitor(
            name=visit.person.name,
            roles=frozenset(role.value for role in in_order(visit.person.roles)),
            csrf=forgery.token(secret, self._entrance.entropy) if secret else "",
            tag=visit.person.tag,
            sign_in=SIGN_IN,
            sign_out=SIGN_OUT,
            account=ACCOUNT,
        )

    def _at_the_door(self, visit: Visit) -> Visitor:
        """Somebody who is not signed in and may send forms: the browser needs a door cookie."""
        if visit.door is None:
            visit.door, visit.new_door = self._entrance.entropy(SECRET_BYTES), True
        return Visitor(csrf=forgery.token(visit.door, self._entrance.entropy), sign_in=SIGN_IN)

    def _to_sign_in(self, request: Request, *, again: bool) -> Response:
        """Leads the browser to the sign-in page, and from there back to where it is now."""
        if request.headers.get("hx-request") == "true":
            # A part of a page was asked for: the whole page has to go.
            page = request.headers.get("hx-current-url", "")
            page = page.removeprefix(self._entrance.address.origin)
            return Response(headers={"HX-Redirect": sign_in_path(page, again=again)})
        query = f"?{request.url.query}" if request.url.query else ""
        there = sign_in_path(request.url.path + query, again=again)
        return RedirectResponse(there, HTTPStatus.SEE_OTHER)

    async def _require_own_page(self, request: Request, visit: Visit) -> Receive:
        """Raises ForgeryRefused; gives the body again to whoever reads it after us."""
        headers = request.headers
        if any(len(headers.getlist(name)) > 1 for name in ("origin", "sec-fetch-site")):
            raise ForgeryRefused
        forgery.require_own_page(headers, self._entrance.address.origin)
        secret = visit.ticket.secret if visit.ticket else visit.door
        if secret is None:
            raise NotSignedIn if visit.lapsed else ForgeryRefused
        if sent := headers.get(forgery.HEADER):
            if not forgery.belongs(sent, secret):
                raise ForgeryRefused
            return request.receive
        try:
            form = await forms.read(request, _UNSAFE_FORM_BYTES)
        except FormRefused as error:
            raise ForgeryRefused from error
        if not forgery.belongs(form.fields.get(visitors.CSRF_FIELD, ""), secret):
            raise ForgeryRefused
        return _again(await request.body(), request.receive)


class _Watched:
    """The answer on its way out: decided, dressed, and broken off once its session has ended."""

    def __init__(
        self, entrance: Entrance, visit: Visit, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._entrance = entrance
        self._visit = visit
        self._scope = scope
        self._receive = receive
        self._send = send
        self._looked = entrance.clock.boottime()
        self._ended = asyncio.Event()

    async def send(self, message: Message) -> None:
        if self._ended.is_set():
            return
        if message["type"] == "http.response.start":
            self._require_decision(message["status"])
            self._dress(MutableHeaders(scope=message))
        elif message.get("more_body") and await self._over():
            self._ended.set()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def receive(self) -> Message:
        """What the client sends; that it went away, once its session has ended."""
        asked = asyncio.ensure_future(self._receive())
        over = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({asked, over}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else {"type": "http.disconnect"}
        finally:
            asked.cancel()
            over.cancel()

    def _require_decision(self, status: int) -> None:
        # The router itself answers only that an address is the same without its slash.
        if not self._visit.decided and status != HTTPStatus.TEMPORARY_REDIRECT:
            raise AccessUndeclared(str(self._scope["path"])[:200])

    def _dress(self, headers: MutableHeaders) -> None:
        visit = self._visit
        cookies = self._entrance.cookies
        if visit.new_door and visit.door is not None:
            headers.append("Set-Cookie", cookies.setting(Purpose.DOOR, to_letters(visit.door)))
        for cookie in visit.cookies:
            headers.append("Set-Cookie", cookie)
        if self._entrance.address.secure:
            headers["Strict-Transport-Security"] = _TLS_ONLY
        if visit.person is not None or visit.new_door or visit.cookies:
            # What this person saw stays nowhere: not with a proxy, not behind the back button.
            headers["Cache-Control"] = "no-store"

    async def _over(self) -> bool:
        """Whether whoever this stream is for was signed out; asked now and then."""
        now = self._entrance.clock.boottime()
        if self._visit.person is None or now - self._looked < lifetimes.LOOK_AGAIN:
            return False
        self._looked = now
        return not await run_in_threadpool(stands, self._entrance, self._visit)


def client(request: HTTPConnection) -> str:
    """The address that the server saw; "" where it saw none."""
    return request.client.host if request.client else ""


def _again(body: bytes, after: Callable[[], object]) -> Receive:
    """Gives `body` once more, then whatever else comes."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await after()  # type: ignore[misc,no-any-return]

    return receive
