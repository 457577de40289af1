"""One question to the grid's API and its answer: bounded, over TLS, to the given address alone."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from jobs.client.errors import (
    GridAddressRefused,
    GridAnswerUnfit,
    GridRefused,
    GridUnreachable,
)
from jobs.client.token import ApiToken

TIMEOUT_SECONDS = 30.0
MAXIMUM_BYTES = 512 * 1024 * 1024  # a report has at most 2^20 cells; a model more
_MAXIMUM_REFUSAL = 64 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Exchange:
    """Asks with one token at one address. Raises GridAddressRefused.

    Plain http is for this machine alone: a token that crossed a network in clear is everybody's.
    """

    def __init__(
        self, address: str, token: ApiToken, *, ca: Path | str | None = None, language: str = "en"
    ) -> None:
        parts = urlsplit(address)
        local = parts.hostname in _LOOPBACK
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise GridAddressRefused(f"{address[:200]!r} is neither https nor on this machine")
        if not parts.hostname or parts.username or parts.query or parts.fragment:
            raise GridAddressRefused(f"{address[:200]!r} is no plain address")
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._token = token
        self._language = language
        self._opener = _opener(parts, ca)

    def __repr__(self) -> str:
        return f"Exchange({self.address!r})"

    def json(self, *path: str, **query: str) -> Any:
        """The JSON value below /api/v1/. Raises GridRefused, GridUnreachable, GridAnswerUnfit."""
        raw = self.bytes(*path, **query)
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise GridAnswerUnfit(f"{self.address} did not answer in JSON") from error

    def bytes(self, *path: str, **query: str) -> bytes:
        """The bytes below /api/v1/. Raises GridRefused, GridUnreachable, GridAnswerUnfit."""
        place = "/".join(quote(part, safe="") for part in ("api", "v1", *path))
        asked = urlencode({name: value for name, value in query.items() if value})
        url = f"{self.address}/{place}" + (f"?{asked}" if asked else "")
        request = urllib.request.Request(url)  # noqa: S310 - the scheme was checked
        request.add_header("Authorization", self._token.header)
        request.add_header("Accept", "application/json")
        request.add_header("Accept-Language", self._language)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                data: bytes = answer.read(MAXIMUM_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise GridRefused(error.code, _document(error)) from None
        except (OSError, http.client.HTTPException) as error:
            raise GridUnreachable(f"{self.address} does not answer: {_cause(error)}") from error
        if len(data) > MAXIMUM_BYTES:
            raise GridAnswerUnfit(f"the answer has more than {MAXIMUM_BYTES} bytes")
        return data


def _opener(parts: SplitResult, ca: Path | str | None) -> urllib.request.OpenerDirector:
    """Of one scheme, and without a handler of redirects: the API leads nowhere else.

    What does is a sign-in page, or somebody in between; neither is told the token.
    """
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    if parts.scheme == "https":
        opener.add_handler(urllib.request.HTTPSHandler(context=_context(ca)))
    else:
        opener.add_handler(urllib.request.HTTPHandler())
    if parts.hostname not in _LOOPBACK:  # for which a proxy would be another machine
        opener.add_handler(urllib.request.ProxyHandler())
    return opener


def _context(ca: Path | str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise GridAddressRefused(
            f"{ca} holds no certificate authority", remedy="give its PEM file as `ca`"
        ) from error


def _document(error: urllib.error.HTTPError) -> Mapping[str, Any]:
    try:
        found = json.loads(error.read(_MAXIMUM_REFUSAL))
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return {}
    return found if isinstance(found, dict) else {}


def _cause(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason)[:200] or type(reason).__name__
