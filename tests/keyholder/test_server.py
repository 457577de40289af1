"""The keyholder over HTTP: the same answers, signed refusals, and reasons to wait."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from custody_world import Story, World

from governance.batches.questions import MAXIMUM_PARTS
from governance.keyholder.errors import KeyholderStateRefused
from governance.keyholder.main import status
from governance.keyholder.schema import KEYHOLDER
from governance.keyholder.server import KeyholderServer
from governance.trustee import link
from governance.trustee.errors import KeyholderUnreachable, TrusteeStateRefused
from governance.trustee.memory import TRUSTEE
from trust import schema
from trust.documents.custody import KeyholderRefusal
from trust.documents.root import Duty
from trust.ids import Digest
from wire import custody as wire
from wire.custody import ContributionAnswer, Denial, OpeningAnswer, Summonses, SummonsRequest


@contextlib.contextmanager
def serving(keyholder: Any) -> Iterator[str]:
    server = KeyholderServer(("127.0.0.1", 0), keyholder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url: str, path: str, question: Any) -> tuple[int, bytes]:
    body = question if isinstance(question, bytes) else schema.encode(question)
    request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_campaign_over_http(world: World) -> None:
    keyholder = world.keyholder()
    with serving(keyholder) as url:
        code, told = ask(url, wire.ENGAGE, world.engagement())
        assert code == 409
        assert b"key ceremony" in told
        story = Story(world, keyholder)
        code, raw = ask(url, wire.ENGAGE, world.engagement())
        assert code == 200
        assert schema.decode(wire.EpochAnswer, raw).key == story.key
        assert ask(url, wire.PREPARE, story.preparation())[0] == 200
        request = story.opening()
        code, told = ask(url, wire.OPEN, request)
        assert code == 409
        assert b"0 of 3 trustees" in told
        for number in (0, 2, 4):
            trustee = world.trustee(number)
            mine = SummonsRequest(Digest.of(trustee.certificate()))
            (summons,) = schema.decode(Summonses, ask(url, wire.SUMMONS, mine)[1]).openings
            code, raw = ask(url, wire.CONTRIBUTE, trustee.contribute(summons))
            assert code == 200
            assert schema.decode(ContributionAnswer, raw).threshold == 3
        code, raw = ask(url, wire.OPEN, request)
        assert code == 200
        story.values(schema.decode(OpeningAnswer, raw))
        assert ask(url, wire.OPEN, request) == (200, raw)
        other = story.opening(story.reports[:2])
        code, raw = ask(url, wire.OPEN, other)
        assert code == 422
        denial = schema.decode(Denial, raw)
        root = world.territory.root
        refusal = root.verify(KeyholderRefusal, denial.refusal, Duty.KEYHOLDER).document
        assert refusal.code == "already-opened"
        assert denial.retired is None
        assert ask(url, wire.END, world.ended_epoch())[0] == 200
        code, raw = ask(url, wire.PREPARE, story.preparation(story.reports[:2]))
        assert schema.decode(Denial, raw).retired is not None


def test_what_is_no_question(world: World) -> None:
    with serving(world.keyholder()) as url:
        assert ask(url, "/elsewhere", b"{}")[0] == 404
        for path in (wire.ENGAGE, wire.OPEN, wire.CONTRIBUTE, wire.SUMMONS):
            assert ask(url, path, b"{}")[0] == 400
            assert ask(url, path, b"\xff")[0] == 400
            # A body of brackets takes forty times its size to parse: it is counted before.
            assert ask(url, path, b"[" * (MAXIMUM_PARTS + 1))[0] == 400
        with urllib.request.urlopen(url + "/healthz", timeout=10) as answer:
            assert answer.status == 200


def test_a_folder_has_one_key_and_a_status_once_it_was_served(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "K"
    KEYHOLDER.create(folder)
    assert (folder / KEYHOLDER.key_file).stat().st_mode & 0o077 == 0
    with pytest.raises(KeyholderStateRefused):
        KEYHOLDER.create(folder)
    (folder / "root.json").write_bytes(world.territory.raw_root)
    with pytest.raises(KeyholderStateRefused):
        status(folder)
    keyholder = world.keyholder(str(folder))
    with contextlib.suppress(Exception):
        keyholder.engage(world.engagement())
    told = status(folder)
    assert told["campaigns"] == 1
    assert told["waiting for their ceremony"] == [world.campaign]


def test_a_trustees_program_from_its_folder(world: World, tmp_path: Path) -> None:
    story = Story(world, world.keyholder())
    story.keyholder.prepare(story.preparation())
    with serving(story.keyholder) as url:
        ask(url, wire.OPEN, story.opening())
        trustee = world.trustee(3)
        (summons,) = link.wanted(url, Digest.of(trustee.certificate()))
        answer = link.give(url, trustee.contribute(summons))
        assert (answer.contributed, answer.threshold) == (1, 3)
        assert link.wanted(url, Digest.of(trustee.certificate())) == ()
        with pytest.raises(KeyholderUnreachable, match="400"):
            link.give(url, wire.Contribution(b"{}", b""))
    with pytest.raises(KeyholderUnreachable):
        link.wanted(url, Digest.of(b"x"))
    with pytest.raises(KeyholderUnreachable):
        link.wanted("file:///etc", Digest.of(b"x"))


def test_a_trustees_folder_has_one_key(tmp_path: Path) -> None:
    TRUSTEE.create(tmp_path / "T")
    assert (tmp_path / "T" / TRUSTEE.key_file).stat().st_mode & 0o077 == 0
    with pytest.raises(TrusteeStateRefused):
        TRUSTEE.create(tmp_path / "T")
