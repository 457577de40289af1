"""Attacks by, through and beside the identity provider: what it says has to hold.

The issuer that lies is a real server with real keys (`hostile_issuer`).
"""

from __future__ import annotations

import base64
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import OctKey

from tests.web.hostile_issuer import ACCESS, CODE, HostileIssuer, curve, rsa, serving, signed_by
from tests.web.signin_browser import Browser, query
from tests.web.signin_liar import come_back, leave, leave_again, nobody_is_in, refusal, trusting
from tests.web.signin_site import START
from web.signin import lifetimes
from web.signin.errors import IssuerAnswerRefused, IssuerUnreachable
from web.signin.oidc import fetching
from web.signin.tickets import to_letters


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with serving(START) as running:
        yield running


def test_an_honest_issuer_signs_somebody_in(issuer: HostileIssuer) -> None:
    site = trusting(issuer)
    browser = site.browser()
    assert come_back(browser, issuer, leave(browser, issuer)).location == "/workers"
    assert browser.get("/workers").status == 200


@pytest.mark.parametrize("said", ["http://127.0.0.1:1/another", "", None])
def test_another_issuers_response_is_refused(issuer: HostileIssuer, said: str | None) -> None:
    """Mix-up: the response says, or does not deny, that it comes from somebody else."""
    site = trusting(issuer)
    browser = site.browser()
    state = leave(browser, issuer)
    url = f"/sign-in/return?code={CODE}&state={state}" + ("" if said is None else f"&iss={said}")
    assert refusal(browser.get(url)) == "issuer-answer-refused"
    assert nobody_is_in(site, browser)
    assert all(path != "/token" for path, _, _ in issuer.asked), "the code went nowhere"


def test_a_departure_to_another_issuer_does_not_arrive_at_this_one(issuer: HostileIssuer) -> None:
    """The configuration changed in between: what was begun at the former issuer ends nowhere."""
    site = trusting(issuer)
    browser = site.browser()
    state = leave(browser, issuer)
    with serving(START) as other:
        successor = trusting(other)
        successor.store._departures = site.store._departures
        moved = successor.browser()
        moved.jar = dict(browser.jar)
        assert refusal(come_back(moved, other, state)) == "sign-in-lost"
        assert other.asked == []


def test_metadata_of_another_issuer_is_refused(issuer: HostileIssuer) -> None:
    for said in (f"{issuer.url}/", issuer.url.replace("127.0.0.1", "localhost"), "", None, 7):
        issuer.metadata = {"issuer": said}
        assert trusting(issuer).browser().get("/sign-in/away").status == 502


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://evil.example/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
        "//evil.example/token",
        "https://user:pass@evil.example/token",
        "http://169.254.169.254/latest/meta-data",
        "gopher://127.0.0.1/x",
        "",
        7,
        None,
    ],
)
def test_metadata_cannot_send_us_anywhere_without_tls(issuer: HostileIssuer, endpoint: Any) -> None:
    for name in ("token_endpoint", "jwks_uri", "authorization_endpoint"):
        issuer.metadata = {name: endpoint}
        assert trusting(issuer).browser().get("/sign-in/away").status == 502


def test_metadata_without_pkce_is_refused(issuer: HostileIssuer) -> None:
    issuer.metadata = {"code_challenge_methods_supported": ["plain"]}
    assert trusting(issuer).browser().get("/sign-in/away").status == 502


def unsigned(claims: dict[str, Any]) -> str:
    return joined({"alg": "none"}, claims, b"")


def joined(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> str:
    parts = [json.dumps(each).encode() for each in (header, claims)] + [signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def keyed(key: bytes, algorithm: str = "HS256") -> Callable[[dict[str, Any]], str]:
    """HS256 with what everybody knows as its key: the confusion of kinds of keys."""

    def sign(claims: dict[str, Any]) -> str:
        text = joined({"alg": algorithm, "kid": "one"}, claims, b"").rstrip(".")
        return f"{text}.{to_letters(hmac.digest(key, text.encode(), 'sha256'))}"

    return sign


def with_header(**header: Any) -> Callable[[dict[str, Any]], str]:
    def sign(claims: dict[str, Any]) -> str:
        honest = signed_by(rsa())(claims)
        _, body, signature = honest.split(".")
        head = json.dumps({"alg": "RS256", "kid": "one", **header}).encode()
        return ".".join((base64.urlsafe_b64encode(head).decode().rstrip("="), body, signature))

    return sign


def altered(claims: dict[str, Any]) -> str:
    head, _, signature = signed_by(rsa())(claims).split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "root"}).encode()).decode()
    return ".".join((head, body.rstrip("="), signature))


MOMENT = int(START.timestamp())
LIES: dict[str, Callable[[HostileIssuer], dict[str, Any]]] = {
    "alg none": lambda _: {"sign": unsigned},
    "alg None, in other letters": lambda _: {
        "sign": lambda claims: joined({"alg": "nOnE", "kid": "one"}, claims, b"")
    },
    "HS256 with the public key in PEM": lambda _: {"sign": keyed(rsa().as_pem(private=False))},
    "HS256 with the public key in DER": lambda _: {"sign": keyed(rsa().as_der(private=False))},
    "HS256 with the client's id": lambda _: {"sign": keyed(b"cadastre")},
    "HS256 with an empty key": lambda _: {"sign": keyed(b"")},
    "HS256 with a key of the key set": lambda _: {
        "sign": signed_by(OctKey.import_key(b"k" * 32, {"kid": "oct"}), alg="HS256"),
        "keys": [OctKey.import_key(b"k" * 32, {"kid": "oct"}).as_dict(private=True)],
    },
    "another key": lambda _: {"sign": signed_by(rsa("two"))},
    "another key under the known name": lambda _: {"sign": signed_by(rsa("two"), kid="one")},
    "no name, and two keys to choose from": lambda _: {
        "sign": signed_by(rsa(), kid=None),
        "keys": [rsa().as_dict(private=False), rsa("two").as_dict(private=False)],
    },
    "two keys of one name": lambda _: {
        "keys": [rsa().as_dict(private=False), {**rsa("two").as_dict(private=False), "kid": "one"}],
    },
    "a key that the token brings along": lambda _: {
        "sign": signed_by(rsa("two"), kid=None, jwk=rsa("two").as_dict(private=False))
    },
    "a key that the token points to": lambda issuer: {
        "sign": signed_by(rsa("two"), kid=None, jku=f"{issuer.url}/jwks")
    },
    "a key for encryption": lambda _: {
        "keys": [{**rsa().as_dict(private=False), "use": "enc"}],
    },
    "a key for another algorithm": lambda _: {
        "keys": [{**rsa().as_dict(private=False), "alg": "RSA-OAEP"}],
    },
    "a short key": lambda _: {
        "sign": signed_by(rsa("short", 1024)), "keys": [rsa("short", 1024).as_dict(private=False)],
    },
    "a key set that tells its secret": lambda _: {"keys": [rsa().as_dict(private=True)]},
    "a curve that the algorithm does not have": lambda _: {
        "sign": lambda claims: joined({"alg": "ES256", "kid": "c"}, claims, b"\0" * 64),
        "keys": [curve("c", "P-384").as_dict(private=False)],
    },
    "a signature of zeros": lambda _: {
        "sign": lambda claims: joined({"alg": "ES256", "kid": "curve"}, claims, b"\0" * 64),
        "keys": [curve().as_dict(private=False)],
    },
    "no keys": lambda _: {"keys": [{"kty": "OKP"}]},
    "a critical header that nobody knows": lambda _: {
        "sign": with_header(crit=["exp"], exp=0)
    },
    "a token of another type": lambda _: {"sign": signed_by(rsa(), typ="logout+jwt")},
    "an access token": lambda _: {"sign": signed_by(rsa(), typ="at+jwt")},
    "an altered body": lambda _: {"sign": altered},
    "no signature": lambda _: {"sign": lambda c: signed_by(rsa())(c).rpartition(".")[0] + "."},
    "two parts": lambda _: {"sign": lambda c: signed_by(rsa())(c).rpartition(".")[0]},
    "no token": lambda _: {"token": {"access_token": ACCESS, "token_type": "Bearer"}},
    "a token that is a number": lambda _: {"token": {"access_token": ACCESS, "id_token": 7}},
    "no access token": lambda _: {"token": {"id_token": "x.y.z"}},
    "a list": lambda _: {"raw": {"/token": http(b"[]")}},
    "no JSON": lambda _: {"raw": {"/token": http(b"<html>")}},
    "a name twice": lambda _: {"raw": {"/token": http(b'{"id_token":"a","id_token":"b"}')}},
    "nesting without end": lambda _: {"raw": {"/token": http(b"[" * 100_000)}},
    "an error": lambda _: {"raw": {"/token": http(b'{"error":"invalid_grant"}', 400)}},
    "a redirect": lambda issuer: {
        "raw": {"/token": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"}
    },
    "a huge token": lambda _: {"claims": {"name": "x" * 40_000}},
    "another issuer": lambda _: {"claims": {"iss": "https://evil.example"}},
    "the issuer with a slash": lambda issuer: {"claims": {"iss": f"{issuer.url}/"}},
    "no issuer": lambda _: {"claims": {"iss": None}},
    "several issuers": lambda issuer: {"claims": {"iss": [issuer.url, "x"]}},
    "another audience": lambda _: {"claims": {"aud": "somebody-else"}},
    "another audience too": lambda _: {
        "claims": {"aud": ["cadastre", "somebody-else"], "azp": "cadastre"}
    },
    "an audience that begins like ours": lambda _: {"claims": {"aud": "cadastre2"}},
    "no audience": lambda _: {"claims": {"aud": None}},
    "an empty audience": lambda _: {"claims": {"aud": []}},
    "made for another party": lambda _: {"claims": {"azp": "somebody-else"}},
    "expired": lambda _: {"claims": {"exp": MOMENT - 61}},
    "no end": lambda _: {"claims": {"exp": None}},
    "an end that is a text": lambda _: {"claims": {"exp": str(MOMENT + 60)}},
    "an end that is true": lambda _: {"claims": {"exp": True}},
    "an end without end": lambda _: {"claims": {"exp": 1e300}},
    "made in the future": lambda _: {"claims": {"iat": MOMENT + 120}},
    "made long ago": lambda _: {"claims": {"iat": MOMENT - 3600}},
    "no time of making": lambda _: {"claims": {"iat": None}},
    "not yet": lambda _: {"claims": {"nbf": MOMENT + 3600}},
    "no nonce": lambda _: {"claims": {"nonce": None}},
    "another nonce": lambda _: {"claims": {"nonce": "x" * 43}},
    "an empty nonce": lambda _: {"claims": {"nonce": ""}},
    "a nonce in a list": lambda issuer: {"claims": {"nonce": [issuer.nonce]}},
    "for another access token": lambda _: {"claims": {"at_hash": "x" * 22}},
    "nobody": lambda _: {"claims": {"sub": None}},
    "an empty name": lambda _: {"claims": {"sub": ""}},
    "a number for a name": lambda _: {"claims": {"sub": 7}},
    "a name with a line in it": lambda _: {"claims": {"sub": "ada\nroot"}},
    "a name without end": lambda _: {"claims": {"sub": "a" * 256}},
    "proved at a text": lambda _: {"claims": {"auth_time": "yesterday"}},
}  # fmt: skip


def http(body: bytes, status: int = 200, encoding: str = "identity") -> bytes:
    said = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    if encoding != "identity":
        said["Content-Encoding"] = encoding
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize("lie", LIES)
def test_what_the_issuer_says_has_to_hold(issuer: HostileIssuer, lie: str) -> None:
    site = trusting(issuer)
    browser = site.browser()
    state = leave(browser, issuer)
    for name, value in LIES[lie](issuer).items():
        setattr(issuer, name, value)
    # One page for all of it: it tells nobody which check failed.
    assert refusal(come_back(browser, issuer, state)) == "issuer-answer-refused"
    assert nobody_is_in(site, browser)


def test_a_nonce_is_good_once(issuer: HostileIssuer) -> None:
    """The ID token of a former way, honest and signed, under a new one."""
    site = trusting(issuer)
    browser = site.browser()
    come_back(browser, issuer, leave(browser, issuer))
    old = issuer.nonce
    state = leave(browser, issuer)
    assert issuer.nonce != old
    issuer.nonce = old
    other = site.browser()
    other.jar = {name: value for name, value in browser.jar.items() if "door" in name}
    assert refusal(come_back(other, issuer, state)) == "issuer-answer-refused"


def test_a_state_that_is_forged_expired_or_used_is_refused_in_the_same_words(
    issuer: HostileIssuer,
) -> None:
    site = trusting(issuer)

    def refused(browser: Browser, state: str) -> None:
        assert refusal(come_back(browser, issuer, state)) == "sign-in-lost"

    browser = site.browser()
    state = leave(browser, issuer)
    refused(browser, state[:-1] + ("A" if state[-1] != "A" else "B"))
    refused(browser, "A" * 64)
    refused(browser, "")
    old = leave(browser, issuer)
    site.clock.advance(lifetimes.DEPARTURE_LIFE.total_seconds())
    refused(browser, old)
    used = leave(browser, issuer)
    jar = dict(browser.jar)
    issuer.now = site.clock.now()
    assert come_back(browser, issuer, used).status == 303
    again = site.browser()
    again.jar = jar
    refused(again, used)
    doorless = leave(again, issuer)
    refused(site.browser(), doorless)
    # Said twice: which of them is meant?
    twice = again.get(f"/sign-in/return?code=x&state={doorless}&state={doorless}&iss={issuer.url}")
    assert refusal(twice) == "sign-in-lost"


def test_the_issuers_refusal_signs_nobody_in_and_is_not_repeated(issuer: HostileIssuer) -> None:
    site = trusting(issuer)
    browser = site.browser()
    state = leave(browser, issuer)
    answer = come_back(
        browser, issuer, state, error="access_denied", error_description="<b>call+0900+1234</b>"
    )
    assert refusal(answer) == "issuer-declined"
    page = browser.get(answer.location + "&lang=en").text
    assert "did not sign you in" in page
    assert "0900" not in page
    assert nobody_is_in(site, browser)


HUGE_NAMES = ["body", "head", "without a length", "chunks", "packed"]
HUGE = [
    http(b"x" * (fetching.LARGEST + 1)),
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 60_000) for n in range(90)),
    b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * (4 * fetching.LARGEST),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"4000\r\n" + b"z" * 0x4000 + b"\r\n" for _ in range(80)),
    http(b"\x1f\x8b" + b"0" * 100, encoding="gzip"),
]


@pytest.mark.parametrize("huge", HUGE, ids=HUGE_NAMES)
def test_huge_answers_are_not_read(issuer: HostileIssuer, huge: bytes) -> None:
    for path in ("/.well-known/openid-configuration", "/jwks", "/token"):
        site = trusting(issuer)
        browser = site.browser()
        issuer.raw = {path: huge}
        away = browser.get("/sign-in/away")
        if path.startswith("/.well-known"):
            assert away.status == 502
            continue
        issuer.nonce = query(away.location)["nonce"]
        came = come_back(browser, issuer, query(away.location)["state"])
        assert refusal(came) == "issuer-answer-refused"
        assert nobody_is_in(site, browser)


@pytest.mark.parametrize("huge", HUGE, ids=HUGE_NAMES)
def test_no_more_than_the_limit_is_taken_in(issuer: HostileIssuer, huge: bytes) -> None:
    issuer.raw = {"/": huge}
    with pytest.raises(IssuerAnswerRefused) as refused:
        fetching.Fetcher(on_this_machine=True).get(f"{issuer.url}/")
    assert refused.value.check in {"size", "encoding"}


def test_an_answer_in_drops_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then resets every time-out of a socket; the answer as a whole has one."""
    monkeypatch.setattr(fetching, "SECONDS", 0.6)
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    fetcher = fetching.Fetcher(on_this_machine=True)
    begun = time.monotonic()
    with pytest.raises(IssuerUnreachable):
        fetcher.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert time.monotonic() - begun < 5
    over.set()
    thread.join()
    listener.close()


def test_a_fetch_never_leaves_tls_for_another_machine() -> None:
    for url in ("http://127.0.0.1:1/", "http://evil.example/", "ftp://x/", "https://a@b/", "x"):
        with pytest.raises(IssuerAnswerRefused):
            fetching.Fetcher(on_this_machine=False).get(url)


def test_somebody_elses_claims_give_no_roles(issuer: HostileIssuer) -> None:
    """The userinfo endpoint answers for another person than the token names."""
    site = trusting(issuer, claims_from="userinfo")
    browser = site.browser()
    came = come_back(browser, issuer, leave(browser, issuer))
    assert refusal(came) == "issuer-answer-refused"
    assert nobody_is_in(site, browser)


@pytest.mark.parametrize(
    "groups",
    [
        "grid-operators-not",
        "GRID-OPERATORS",
        " grid-operators",
        {"grid-operators": 1},
        [["grid-operators"]],
        [7, None],
        7,
        None,
        True,
        "*",
        "operator",
        "",
    ],
)
def test_only_a_listed_value_gives_a_role(issuer: HostileIssuer, groups: Any) -> None:
    site = trusting(issuer)
    browser = site.browser()
    issuer.claims = {"groups": groups}
    assert refusal(come_back(browser, issuer, leave(browser, issuer))) == "no-role"
    assert nobody_is_in(site, browser)


def test_the_same_person_at_two_issuers_is_two_people(issuer: HostileIssuer) -> None:
    site = trusting(issuer)
    come_back(browser := site.browser(), issuer, leave(browser, issuer))
    with serving(START) as other:
        twin = trusting(other)
        come_back(browser := twin.browser(), other, leave(browser, other))
        (one,), (two,) = site.store._sessions.values(), twin.store._sessions.values()
        assert one.person.subject != two.person.subject
    # Nor can an issuer name somebody whom this machine invited itself.
    assert not one.person.local


def test_fewer_roles_at_the_issuer_end_what_was_given_with_more(issuer: HostileIssuer) -> None:
    plain = {"operator": ["grid-operators"], "viewer": ["grid-viewers"]}
    site = trusting(issuer, roles=plain)
    first, second = site.browser(), site.browser()
    come_back(first, issuer, leave_again(first, issuer))
    shown = first.send(
        first.get("/account"), "/account/tokens", label="n", **{"role-operator": "1"}
    )
    token = shown.text.split("cadastre-api-v1.")[1][:64]
    issuer.claims = {"groups": ["grid-viewers"]}
    come_back(second, issuer, leave(second, issuer))
    assert first.get("/workers").status == 303
    bearer = {"authorization": f"Bearer cadastre-api-v1.{token}"}
    assert site.browser().get("/api/v1/me", headers=bearer).status == 401


def test_new_keys_are_found_and_unknown_ones_asked_for_once_a_minute(issuer: HostileIssuer) -> None:
    site = trusting(issuer)
    browser = site.browser()
    come_back(browser, issuer, leave(browser, issuer))
    site.clock.advance(120)
    issuer.now = site.clock.now()
    issuer.sign, issuer.keys = signed_by(rsa("two")), [rsa("two").as_dict(private=False)]
    other = site.browser()
    assert come_back(other, issuer, leave(other, issuer)).status == 303
    before = [path for path, _, _ in issuer.asked].count("/jwks")
    issuer.sign = signed_by(rsa("three"))
    for _ in range(5):
        came = come_back(other, issuer, leave_again(other, issuer))
        assert refusal(came) == "issuer-answer-refused"
    assert [path for path, _, _ in issuer.asked].count("/jwks") == before


@pytest.mark.parametrize("said", [None, MOMENT - 3600])
def test_who_had_to_prove_it_anew_and_did_not_is_refused(
    issuer: HostileIssuer, said: int | None
) -> None:
    site = trusting(issuer)
    browser = site.browser()
    state = leave_again(browser, issuer)
    issuer.claims = {"auth_time": said}
    assert refusal(come_back(browser, issuer, state)) == "issuer-answer-refused"
