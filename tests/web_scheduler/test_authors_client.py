"""`jobs.client` against a real scheduler's pages on loopback: what a notebook does all day."""

from __future__ import annotations

import asyncio
import http.server
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobs.client import Campaign, Campaigns, GridRefused, Release
from jobs.client import token as tokens
from jobs.client.errors import (
    ApiTokenUnusable,
    GridAddressRefused,
    GridAnswerUnfit,
    GridUnreachable,
    LibraryAbsent,
    NoSuchValue,
    NothingReleased,
    WaitOver,
)
from jobs.errors import JobsError
from scheduler.service import campaigns as campaigns_of
from tests.scheduler.conftest import MANIFEST
from tests.web_scheduler.authorship import ADA, BOB, Authors, authors_in, submit, vote
from tests.web_scheduler.served import serve
from trust.clock import ManualClock
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.problem import Kind
from web.signin.roles import Role

START = datetime(2026, 11, 23, tzinfo=UTC)
TOKEN = "cadastre-api-v1." + "A" * 64


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authors]:
    authors = authors_in(tmp_path_factory.mktemp("authors"))
    grid = authors.grid
    server = serve(grid)
    yield authors
    server.stop()
    grid.close()


def token_file(authors: Authors, folder: Path, *keys: PrivateKey) -> Path:
    """A token as its owner makes it on their account's page, in a file as the docs say."""
    credentials = authors.grid.entrance.credentials
    person = credentials.redeem(authors.credential(*keys)).person
    path = folder / "token"
    path.touch(0o600)
    path.write_text(credentials.api(person, [Role.AUTHOR], "carnet") + "\n")
    return path


@pytest.fixture
def ada(served: Authors, tmp_path: Path) -> Campaigns:
    return Campaigns(served.grid.origin, token_file=token_file(served, tmp_path, ADA))


@pytest.fixture
def bob(served: Authors, tmp_path: Path) -> Campaigns:
    return Campaigns(served.grid.origin, token_file=token_file(served, tmp_path, BOB))


def test_a_list_has_ones_own_campaigns(served: Authors, ada: Campaigns, bob: Campaigns) -> None:
    assert [one.campaign for one in bob.list()] == [served.others]
    found = ada.list()
    assert {served.released, served.trained} <= {one.campaign for one in found}
    assert served.others not in {one.campaign for one in found}
    assert found == sorted(found, key=lambda one: one.created_at, reverse=True)
    assert [one.campaign for one in ada.list(bundle=served.bundles["done"])] == [served.released]
    assert {one.state for one in ada.list(state="released")} == {"released"}
    assert ada.list(limit=1) == found[:1]
    assert len(ada.bundles()) == len(served.bundles) - 1


def test_a_campaign_says_why_it_waits(served: Authors, ada: Campaigns) -> None:
    (waiting,) = ada.list(bundle=served.bundles["hungry"])
    assert waiting.why == "waiting for consents: 10 missing"
    assert ada.get(waiting.campaign[:16]) == waiting
    assert "waiting for consents" in str(waiting)
    french = Campaigns(served.grid.origin, token_file=ada_file(ada), language="fr")
    assert french.list(bundle=served.bundles["hungry"])[0].why.startswith("attend")


def ada_file(client: Campaigns) -> str:
    return client._exchange._token.source


def test_a_release_is_arrays_with_bands_and_a_source(served: Authors, ada: Campaigns) -> None:
    release = ada.release(served.released[:20])
    assert release.names == ["counts"]
    assert release["counts"].tolist() == [45.0, 3.0, 30.0]
    low, high = release.band("counts")
    assert np.all(low < release["counts"])
    assert np.all(release["counts"] < high)
    assert release.provenance["bundle"] == served.bundles["done"]
    assert release.provenance["log"]["root"]
    assert [row["labels"] for row in release.rows("counts")] == [("a",), ("b",), ("c",)]
    assert release.to_dict()["provenance"] == release.provenance
    assert [one["values"] for one in ada.release(served.trained).rounds] == [
        {"loss": 1.0}, {"loss": 0.5}, {"loss": pytest.approx(1 / 3)}
    ]  # fmt: skip
    with pytest.raises(NoSuchValue, match="counts"):
        release["flows"]
    with pytest.raises(NoSuchValue, match="no band"):
        ada.release(served.trained).band("loss")


def test_pandas_is_taken_where_it_is(served: Authors, ada: Campaigns) -> None:
    release = ada.release(served.released)
    try:
        import pandas as pd  # noqa: F401 - not ours, and not needed
    except ModuleNotFoundError:
        with pytest.raises(LibraryAbsent, match="pandas"):
            release.frame("counts")
    else:
        assert list(release.frame("counts")["value"]) == [45.0, 3.0, 30.0]


def test_downloads_are_saved_by_their_suffix(
    served: Authors, ada: Campaigns, tmp_path: Path
) -> None:
    release = ada.release(served.trained)
    for name in ("r.csv", "r.parquet", "r.json", "r.safetensors", "r.md"):
        assert release.save(tmp_path / name).stat().st_size > 100
    assert str(Digest.of((tmp_path / "r.json").read_bytes())) == release.provenance["report"]
    assert release.save(tmp_path / "odd", "csv").read_bytes().startswith(b"# format: ")
    with pytest.raises(ValueError, match="no form"):
        release.save(tmp_path / "r.xlsx")


def test_refusals_are_problems_with_the_grids_own_code(served: Authors, bob: Campaigns) -> None:
    with pytest.raises(GridRefused) as found:
        bob.release(served.released)  # somebody else's
    assert (found.value.code, found.value.kind, found.value.status) == (
        "unknown", Kind.NOT_FOUND, 404,
    )  # fmt: skip
    assert isinstance(found.value, JobsError)
    assert found.value.remedy
    with pytest.raises(GridRefused) as other:
        bob.list(state="nonsense")
    assert (other.value.code, other.value.kind) == ("bad-parameter", Kind.INVALID)


def test_a_token_that_was_taken_back_opens_nothing(served: Authors, tmp_path: Path) -> None:
    path = token_file(served, tmp_path, ADA)
    client = Campaigns(served.grid.origin, token_file=path)
    credentials = served.grid.entrance.credentials
    found = credentials.bearer(path.read_text().strip())
    assert found is not None
    credentials.revoke(found.person.subject, found.id)
    with pytest.raises(GridRefused) as refused:
        client.list()
    assert (refused.value.code, refused.value.status) == ("not-signed-in", 401)


def test_a_token_shows_nowhere(
    served: Authors, ada: Campaigns, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = Path(ada_file(ada)).read_text().strip()
    seen = [repr(ada), repr(ada._exchange), repr(ada._exchange._token), ada._repr_html_(),
            repr(ada.release(served.released)), repr(vars(ada))]  # fmt: skip
    with pytest.raises(GridRefused) as refused:
        ada.get("camp_00000000")
    seen += [str(refused.value), repr(refused.value), caplog.text]
    assert all(secret not in text for text in seen)


def test_a_notebook_shows_tables_and_runs_nothing(served: Authors, ada: Campaigns) -> None:
    assert served.released in ada._repr_html_()
    assert "45" in ada.release(served.released)._repr_html_()
    hostile = Campaign("camp_x", "<script>", "b", "running", "<img>", 1, 1, START, START)
    assert "<script>" not in hostile._repr_html_()
    assert "<img>" not in hostile._repr_html_()


# --- waiting ---


def play(work: Callable[[], object]) -> None:
    """A step of the scheduler, in a thread of its own."""
    with ThreadPoolExecutor(1) as apart:
        apart.submit(lambda: asyncio.run(work())).result()  # type: ignore[arg-type]


def waiter(served: Authors, path: Path, steps: list[Callable[[], object]]) -> Campaigns:
    """A client whose every pause lets one step of the scheduler happen."""
    clock = ManualClock(START)

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 30
        clock.advance(seconds)
        if steps:
            play(steps.pop(0))

    return Campaigns(served.grid.origin, token_file=path, clock=clock, sleep=sleep)


def started(served: Authors, version: str) -> str:
    """A campaign of a fresh bundle, which nobody consents to."""
    world = served.grid.world
    found: list[str] = []

    async def begin() -> None:
        world.manifest = MANIFEST
        await submit(world, ADA, version)
        await vote(world)
        found.append(await world.start(version))
        await world.turn()

    play(begin)
    return found[0]


def test_waiting_ends_with_the_release_and_tells_every_change(
    served: Authors, tmp_path: Path
) -> None:
    heard: list[Campaign] = []
    client = waiter(served, token_file(served, tmp_path, ADA), [])
    found = client.wait(served.released, progress=heard.append)
    assert heard == [found]
    assert found.state == "released"


def test_waiting_is_bounded_and_says_why(served: Authors, tmp_path: Path) -> None:
    campaign = started(served, "7.0.0")
    heard: list[Campaign] = []
    client = waiter(served, token_file(served, tmp_path, ADA), [])
    with pytest.raises(WaitOver, match="waiting for") as over:
        client.wait(campaign, seconds=600, progress=heard.append)
    assert "after 600 s" in over.value.sentence
    assert over.value.kind is Kind.UNAVAILABLE
    assert len(heard) == 1  # nothing changed, so nothing more was told


def test_a_campaign_that_is_cancelled_ends_the_wait(served: Authors, tmp_path: Path) -> None:
    campaign = started(served, "7.0.1")

    async def cancel() -> None:
        await campaigns_of.cancel(served.grid.world.desk, campaign, "wrong zones")

    heard: list[Campaign] = []
    client = waiter(served, token_file(served, tmp_path, ADA), [cancel])
    with pytest.raises(NothingReleased, match="wrong zones"):
        client.wait(campaign, progress=heard.append)
    assert [one.state for one in heard] == ["draft", "cancelled"]


def test_silence_is_waited_out(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(TOKEN)
    clock = ManualClock(START)
    client = Campaigns("http://127.0.0.1:9", token_file=path, clock=clock, sleep=clock.advance)
    with pytest.raises(WaitOver, match="does not answer") as over:
        client.wait("camp_00000000", seconds=120)
    assert isinstance(over.value.__cause__, GridUnreachable)


# --- tokens and addresses ---


def test_where_a_token_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(TOKEN)
    assert tokens.find(path, {}).header == f"Bearer {TOKEN}"
    assert tokens.find(None, {tokens.FILE: str(path)}).source == str(path)
    assert tokens.find(None, {tokens.VARIABLE: TOKEN}).source == tokens.VARIABLE
    assert TOKEN not in repr(tokens.find(path, {}))
    for wrong in ({}, {tokens.VARIABLE: "hunter2"}, {tokens.FILE: str(tmp_path / "none")}):
        with pytest.raises(ApiTokenUnusable) as refused:
            tokens.find(None, wrong)
        assert "hunter2" not in str(refused.value)
    path.chmod(0o640)
    with pytest.raises(ApiTokenUnusable, match="others on this machine") as exposed:
        tokens.find(path, {})
    assert exposed.value.remedy == f"chmod 600 {path}"


@pytest.mark.parametrize(
    "address",
    ["http://grid.example", "ftp://127.0.0.1", "grid.example", "https://", "https://a@b.example",
     "http://127.0.0.1.evil.example", "https://grid.example/?q=1", "file:///etc/passwd"],
)  # fmt: skip
def test_a_token_goes_to_https_or_this_machine_alone(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tokens.VARIABLE, TOKEN)
    with pytest.raises(GridAddressRefused):
        Campaigns(address)


class Canned(http.server.BaseHTTPRequestHandler):
    """Another program altogether, on a port where somebody expects a scheduler."""

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Authorization"))  # type: ignore[attr-defined]
        status, headers, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def stranger() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Canned)
    server.seen = []  # type: ignore[attr-defined]
    server.answer = (200, {}, b"{}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((200, {}, b"<html>"), GridAnswerUnfit),
        ((200, {}, b"[" * 100_000), GridAnswerUnfit),
        ((200, {}, b'{"items": [{}]}'), GridAnswerUnfit),
        ((200, {}, b'{"items": 3}'), GridAnswerUnfit),
        ((302, {"Location": "http://127.0.0.1:9/elsewhere"}, b""), GridRefused),
        ((500, {}, b"\xff"), GridRefused),
        ((404, {}, b'{"code": "\\u001b[31m", "detail": "\\u001b[31mx"}'), GridRefused),
    ],
)
def test_another_programs_answer_is_refused(
    stranger: http.server.HTTPServer,
    answer: tuple[int, dict[str, str], bytes],
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(tokens.VARIABLE, TOKEN)
    stranger.answer = answer  # type: ignore[attr-defined]
    client = Campaigns(f"http://127.0.0.1:{stranger.server_port}")
    with pytest.raises(error) as found:
        client.list()
    assert "\x1b" not in str(found.value)
    assert len(stranger.seen) == 1  # type: ignore[attr-defined]
    with pytest.raises((GridAnswerUnfit, GridRefused)):
        client.release("camp_00000000")


def test_tls_with_the_authority_given_and_with_no_other(
    stranger: http.server.HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tokens.VARIABLE, TOKEN)
    ours, key = certificate(tmp_path / "ours")
    other, _ = certificate(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours, key)
    stranger.socket = context.wrap_socket(stranger.socket, server_side=True)
    stranger.answer = (200, {}, b'{"items": [], "next": null}')  # type: ignore[attr-defined]
    address = f"https://127.0.0.1:{stranger.server_port}"
    for wrong in (None, other):
        with pytest.raises(GridUnreachable, match=r"(?i)certificate"):
            Campaigns(address, ca=wrong).list()
    assert stranger.seen == []  # type: ignore[attr-defined]
    assert Campaigns(address, ca=ours).list() == []
    assert stranger.seen == [f"Bearer {TOKEN}"]  # type: ignore[attr-defined]
    with pytest.raises(GridAddressRefused, match="no certificate authority"):
        Campaigns(address, ca=key)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself: (certificate, key), PEM."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "ca.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, private


def test_what_a_release_lacks_is_refused() -> None:
    for document in ({}, {"provenance": {"format": "another"}}, None, {"provenance": None}):
        with pytest.raises(GridAnswerUnfit):
            Release.of(document, None)  # type: ignore[arg-type]


def test_the_snippet_of_the_docs_runs(
    served: Authors,
    ada: Campaigns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "authors.md").read_text("utf-8")
    snippet = text.split("### From a notebook")[1].split("```python\n")[1].split("```")[0]
    for said, done in (
        ('"https://grille.example", ca="ca.pem"', f'"{served.grid.origin}"'),
        ("camp_68k2yankf83v", served.released),
    ):
        assert said in snippet
        snippet = snippet.replace(said, done)
    monkeypatch.setenv(tokens.FILE, ada_file(ada))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(snippet, "docs/authors.md", "exec"), names)
    assert (tmp_path / "counts.csv").exists()
    printed = capsys.readouterr().out
    assert "released" in printed
    assert "unknown" in printed
