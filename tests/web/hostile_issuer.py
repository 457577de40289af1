"""An identity provider that lies: it answers whatever a test tells it to, correctly signed or not.

A real HTTP server with real keys; what is told is a function of the request, so that an attack can
depend on the nonce or the code that it was given.
"""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, RSAKey

CODE, ACCESS = "a-code", "an-access-token"
Claims = dict[str, Any]


@cache
def rsa(kid: str = "one", bits: int = 2048) -> RSAKey:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # a short key is one of the attacks
        return RSAKey.generate_key(bits, {"kid": kid, "use": "sig"}, private=True)


@cache
def curve(kid: str = "curve", name: str = "P-256") -> ECKey:
    return ECKey.generate_key(name, {"kid": kid, "use": "sig"}, private=True)


@dataclass
class HostileIssuer:
    """What it says of itself, whom it names and how it signs; a test changes what it attacks."""

    url: str
    now: datetime
    client_id: str = "cadastre"
    nonce: str = ""
    claims: Claims = field(default_factory=dict)  # beside the honest ones; None removes one
    metadata: dict[str, Any] = field(default_factory=dict)
    keys: list[dict[str, Any]] = field(default_factory=list)  # public; empty: the honest one
    sign: Callable[[Claims], str] | None = None
    token: Mapping[str, Any] | None = None  # the whole token answer
    raw: dict[str, bytes] = field(default_factory=dict)  # by path: everything that is answered
    asked: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    def honest(self) -> Claims:
        """The claims that are true, with what the test changes."""
        moment = int(self.now.timestamp())
        said: Claims = {
            "iss": self.url,
            "sub": "ada",
            "aud": self.client_id,
            "exp": moment + 300,
            "iat": moment,
            "nonce": self.nonce,
            "name": "Ada",
            "groups": ["grid-operators"],
            "at_hash": create_half_hash(ACCESS, "RS256").decode(),
        } | self.claims
        return {name: value for name, value in said.items() if value is not None}

    def answer(self, path: str) -> tuple[int, bytes]:
        match path:
            case "/.well-known/openid-configuration":
                said = {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/auth",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/jwks",
                    "userinfo_endpoint": f"{self.url}/me",
                    "response_types_supported": ["code"],
                    "code_challenge_methods_supported": ["S256"],
                    "authorization_response_iss_parameter_supported": True,
                } | self.metadata
                return 200, json.dumps(said).encode()
            case "/jwks":
                keys = self.keys or [rsa().as_dict(private=False)]
                return 200, json.dumps({"keys": keys}).encode()
            case "/token":
                signed = (self.sign or signed_by(rsa()))(self.honest())
                said = {"access_token": ACCESS, "token_type": "Bearer", "id_token": signed}
                return 200, json.dumps(said if self.token is None else self.token).encode()
            case "/me":
                return 200, json.dumps({"sub": "somebody-else", "groups": ["x"]}).encode()
        return 404, b"{}"


def signed_by(key: RSAKey | ECKey | OctKey, **header: Any) -> Callable[[Claims], str]:
    """Signs with `key` under the header of an honest token, as far as not said otherwise."""
    given = {"alg": "RS256", "kid": key.kid, **header}
    head = {name: value for name, value in given.items() if value is not None}
    return lambda claims: jwt.encode(head, claims, key, algorithms=[head["alg"]])


@contextmanager
def serving(now: datetime) -> Iterator[HostileIssuer]:
    """A hostile issuer on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(dict(parse_qsl(body.decode())))

        def _answer(self, form: dict[str, str]) -> None:
            path = self.path.partition("?")[0]
            issuer.asked.append((path, form, dict(self.headers)))
            if path in issuer.raw:
                with contextlib.suppress(ConnectionError):  # whoever asked has had enough
                    self.wfile.write(issuer.raw[path])
                return
            status, body = issuer.answer(path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    issuer = HostileIssuer(f"http://127.0.0.1:{server.server_address[1]}", now)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
