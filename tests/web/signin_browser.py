"""A browser's manners over ASGI, no network: cookies, `Origin`, `Sec-Fetch-*`, redirects by hand.

What it does by itself is what current browsers do and attackers count on: a `__Host-` cookie is
kept only with its conditions, `SameSite=Lax` cookies go along with another site's links and not
with its forms, and no page can choose `Origin` or `Sec-Fetch-Site`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.types import ASGIApp, Message

TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return self.header("location")

    @property
    def csrf(self) -> str:
        found = TOKEN.search(self.text)
        assert found, "the page has no form of ours"
        return found[1]


@dataclass
class Browser:
    """One person's browser; `origin` is the site that it talks to."""

    app: ASGIApp
    origin: str
    address: str = "192.0.2.7"
    jar: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **options: Any) -> Answer:
        return self.ask("GET", path, **options)

    def post(self, path: str, fields: Mapping[str, str] | None = None, **options: Any) -> Answer:
        body = urlencode(fields or {}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        headers |= options.pop("headers", {})
        return self.ask("POST", path, body=body, headers=headers, **options)

    def send(self, page: Answer, path: str, **fields: str) -> Answer:
        """The form of a page of ours, with its token."""
        return self.post(path, {"csrf": page.csrf, **fields})

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        source: str | None = "",
        mode: str = "navigate",
        dest: str = "document",
        host: str | None = None,
        cookies: bool = True,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Answer:
        """One request. `source` is the origin of the page that sends it: "" for our own, None
        for nobody (an address that was typed); `meanwhile` is before the body."""  # fmt: skip
        sent = {"host": host or urlsplit(self.origin).netloc, "accept": "text/html,*/*;q=0.8"}
        site = "none" if source is None else "same-origin" if not source else "cross-site"
        sent |= {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        if method not in {"GET", "HEAD"} and source is not None:
            sent["origin"] = source or self.origin
        link = method == "GET" and mode == "navigate"
        if cookies and self.jar and (site != "cross-site" or link):
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        sent |= headers or {}
        answer = exchange(self.app, method, path, sent, body, self.address, self.origin, meanwhile)
        for cookie in answer.all("set-cookie"):
            self._keep(cookie)
        return answer

    def _keep(self, cookie: str) -> None:
        pair, *rest = [part.strip() for part in cookie.split(";")]
        name, _, value = pair.partition("=")
        said = {part.partition("=")[0].lower(): part.partition("=")[2] for part in rest}
        if name.startswith("__Host-"):
            assert "secure" in said
            assert said.get("path") == "/"
            assert "domain" not in said
        if "secure" in said:
            assert self.origin.startswith("https://")
        if said.get("max-age") == "0":
            self.jar.pop(name, None)
        else:
            self.jar[name] = value


def exchange(
    app: ASGIApp,
    method: str,
    path: str,
    headers: Mapping[str, str] | list[tuple[str, str]],
    body: bytes,
    address: str,
    origin: str,
    meanwhile: Callable[[], object] = lambda: None,
) -> Answer:
    """One request to `app`, to the end of its answer."""
    parts = urlsplit(origin)
    target, _, query = path.partition("?")
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": parts.scheme,
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs],
        "client": (address, 50000),
        "server": (parts.hostname, parts.port or 443),
    }
    said: list[Message] = []
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()  # the client stays and says no more
        given = True
        meanwhile()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    async def run() -> None:
        await app(scope, receive, send)

    asyncio.run(run())
    start = said[0]
    return Answer(
        start["status"],
        [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]],
        b"".join(message.get("body", b"") for message in said[1:]),
    )


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
