"""`scheduler serve` with its pages as a process, `scheduler invite` beside it."""

from __future__ import annotations

import http.cookiejar
import json
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import cadastre
from scheduler.database import open_database
from scheduler.errors import PagesRefused
from scheduler.meters import Meters
from scheduler.opening import opener
from scheduler.service import authorship
from scheduler.state import Configuration, State
from tests.web.signin_browser import TOKEN
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import SYSTEM
from trust.keys import PrivateKey
from trust.log.note import LogKey
from web.signin.credentials import subject_of

CLOCK = SystemClock()
HERE = Path(__file__).parents[2]


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A scheduler's state with its root, whose ports are any that are free."""
    made = State(tmp_path / "state")
    made.create(
        Configuration("plaine.example", ["127.0.0.1"], 0, 0, 0, "http://127.0.0.1:1"), CLOCK, SYSTEM
    )
    root = PrivateKey.generate(SYSTEM)
    log = LogKey(made.origin, made.log_key().public)
    document = Root(
        territory="plaine.example",
        version=1,
        issued_at=CLOCK.now(),
        expires_at=CLOCK.now() + timedelta(days=30),
        duties={
            duty: DutyKeys((PrivateKey.generate(SYSTEM).public,), 1)
            for duty in (Duty.COLLEGE, Duty.STATUS)
        }
        | {
            Duty.ROOT: DutyKeys((root.public,), 1),
            Duty.ORDERS: DutyKeys((made.orders_key().public,), 1),
        },
        authority=(made.folder / "authority.der").read_bytes(),
        log_policy=f"log {log}\nquorum none\n",
        status_url="http://127.0.0.1:9/status.json",
    )
    made.install_root(signed.sign(document, [root]).envelope.raw, CLOCK)
    return made


@pytest.fixture
def serving(state: State) -> Iterator[tuple[State, str, str]]:
    """A running scheduler: its state, the pages' address, and the first operator's line."""
    command = [sys.executable, "cadastre.py", "scheduler", "serve", "--state", str(state.folder)]
    log = (state.folder.parent / "log.txt").open("wb")
    process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        address, line = process.stdout.readline(), process.stdout.readline()
        yield state, address.removeprefix("pages: ").strip(), line.rpartition(" ")[2].strip()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()
        log.close()
    logged = (state.folder.parent / "log.txt").read_text()
    assert "cadastre-sign-in-v1." not in logged, "a token is for the terminal alone"


def sign_in(address: str, token: str) -> urllib.request.OpenerDirector:
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(jar)
    page = browser.open(f"{address}/sign-in").read().decode()
    found = TOKEN.search(page)
    assert found
    form = urllib.parse.urlencode({"csrf": found[1], "token": token, "next": "/"}).encode()
    own = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
    answer = browser.open(urllib.request.Request(f"{address}/sign-in", form, own))
    assert answer.url == f"{address}/account"
    return browser


@pytest.mark.processes
def test_the_printed_address_and_an_invitation_open_the_pages(
    serving: tuple[State, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    state, address, line = serving
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    there, _, token = line.partition("#")
    assert there == f"{address}/sign-in"
    first = sign_in(address, token)
    assert "plaine.example" in first.open(address).read().decode()
    with pytest.raises(urllib.error.HTTPError):
        sign_in(address, token)  # once

    arguments = ["--state", str(state.folder), "--role", "viewer", "--name", "Ada", "--json"]
    assert cadastre.main(["scheduler", "invite", *arguments]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["open"].startswith(f"{address}/sign-in#cadastre-sign-in-v1.")
    viewer = sign_in(address, made["token"])
    assert viewer.open(f"{address}/workers").status == 200
    out = ["--state", str(state.folder), "--subject", made["account"], "--json"]
    assert cadastre.main(["scheduler", "shut-out", *out]) == 0
    assert json.loads(capsys.readouterr().out)["sessions ended"] == 1
    assert "/sign-in" in viewer.open(f"{address}/workers").url  # at once, beside a running server

    arguments[3] = "author"  # as docs/authors.md says it, beside the running scheduler
    arguments += ["--author-key", str(PrivateKey.generate(SYSTEM).public)]
    assert cadastre.main(["scheduler", "invite", *arguments]) == 0
    author = sign_in(address, json.loads(capsys.readouterr().out)["token"])
    assert author.open(f"{address}/").url == f"{address}/mine"
    assert json.load(author.open(f"{address}/api/v1/mine"))["items"] == []


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:", "127.0.0.1:99999", ":80"])
def test_an_address_that_is_none_is_refused(state: State, listen: str) -> None:
    with pytest.raises(PagesRefused, match="HOST:PORT"):
        opener(state, listen=listen, address="", issuer=None, zone="UTC")


def test_pages_can_be_off(state: State) -> None:
    assert opener(state, listen="off", address="", issuer=None, zone="UTC") is None


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, object]:
    assert cadastre.main(["scheduler", *arguments, "--json"]) == status
    printed = capsys.readouterr()
    return dict(json.loads(printed.out)) if printed.out else {"refused": printed.err}


def test_an_author_is_tied_to_keys_by_who_runs_the_machine(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    ada, bob = (str(PrivateKey.generate(SYSTEM).public) for _ in range(2))
    folder = ["--state", str(state.folder)]
    invite = ["invite", *folder, "--name", "Ada", "--role"]
    token = said(capsys, *invite, "author", "--author-key", ada, "--author-key", bob)["token"]
    subject = subject_of(str(token))

    def keys() -> tuple[str, ...]:
        store = open_database(state, CLOCK, Meters())
        try:
            return store.read("keys", lambda tx: authorship.keys_of(tx, subject))
        finally:
            store.close()

    assert keys() == tuple(sorted([ada, bob]))
    tie = ["tie-author", *folder, "--subject", subject, "--author-key", bob]
    assert said(capsys, *tie)["changed"] is False
    assert said(capsys, *tie, "--undo")["changed"] is True
    assert keys() == (ada,)
    for role, key, code in (("author", "ada", "key-refused"), ("viewer", bob, "pages-refused")):
        refused = said(capsys, *invite, role, "--author-key", key, status=1)["refused"]
        assert f"[{code}]" in str(refused)
