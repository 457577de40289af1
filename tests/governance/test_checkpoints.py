"""Ledgers that may not go back, and owners who may not open budgets without end."""

from __future__ import annotations

import http.client
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.errors import CheckpointForeign, CheckpointMalformed, CheckpointUnexpected
from governance.status.database import _BUDGETS
from governance.status.publisher import Publisher
from governance.status.registry import MAXIMUM_HOSTS, Registry
from governance.status.server import StatusServer
from tests.governance.territory import ENTROPY, NAME, NOW, consent
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.budget import CHECKPOINTS_PATH, LedgerCheckpoint, LedgerStanding
from trust.documents.consent import Decision
from trust.errors import Malformed, SignatureInvalid
from trust.ids import CapsuleId, Digest, WorkerId
from trust.keys import PrivateKey

NODE, OTHER, OWNER, STATUS = (PrivateKey.generate(ENTROPY) for _ in range(4))
HOST = NODE.public.worker_id


def checkpoint(
    counter: int,
    head: bytes = b"head",
    *,
    territory: str = NAME,
    worker: WorkerId = HOST,
    nonce: bytes = b"n" * 16,
    signer: PrivateKey = NODE,
) -> bytes:
    document = LedgerCheckpoint(
        territory, worker, NODE.public, counter, Digest.of(head), nonce, NOW
    )
    return signed.sign(document, [signer]).envelope.raw


def chosen(folder: Path, worker: WorkerId = HOST) -> Registry:
    """A registry in which one owner chose `worker`."""
    registry = Registry(folder, NAME, ENTROPY)
    line = consent(OWNER, CapsuleId.draw(ENTROPY), worker=worker)
    assert registry.submit([line], NOW).accepted == 1
    return registry


def standing(registry: Registry, raw: bytes) -> tuple[int, Digest]:
    kept = registry.checkpoints.keep(raw, NOW)
    assert (kept.worker, kept.asked) == (HOST, Digest.of(raw))
    return kept.counter, kept.head


def test_a_lower_counter_and_another_hash_change_nothing(tmp_path: Path) -> None:
    registry = chosen(tmp_path)
    first = (10, Digest.of(b"head"))
    assert standing(registry, checkpoint(10)) == first
    assert standing(registry, checkpoint(10)) == first  # its answer was lost
    assert standing(registry, checkpoint(0, b"empty")) == first
    assert standing(registry, checkpoint(10, b"another")) == first
    assert standing(registry, checkpoint(30, b"on")) == (30, Digest.of(b"on"))
    registry.close()
    again = Registry(tmp_path, NAME, ENTROPY)  # kept on disk, across a restart
    assert standing(again, checkpoint(10)) == (30, Digest.of(b"on"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([b"a", b"b"])), min_size=1))
def test_what_stands_is_the_first_of_the_furthest(said: list[tuple[int, bytes]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        registry, furthest = chosen(Path(folder)), (-1, b"")
        for counter, head in said:
            if counter > furthest[0]:
                furthest = (counter, head)
            expected = (furthest[0], Digest.of(furthest[1]))
            assert standing(registry, checkpoint(counter, head)) == expected
        registry.close()


def test_what_is_no_checkpoint_of_its_worker_is_refused(tmp_path: Path) -> None:
    registry = chosen(tmp_path)
    for raw, refusal in (
        (checkpoint(1, territory="elsewhere.example"), CheckpointForeign),
        (checkpoint(1, worker=OTHER.public.worker_id), CheckpointForeign),
        (checkpoint(1, signer=OTHER), SignatureInvalid),
        (checkpoint(-1), CheckpointMalformed),
        (checkpoint(2**60), CheckpointMalformed),
        (checkpoint(1, nonce=b""), CheckpointMalformed),
        (b"{" * 9000, CheckpointMalformed),
        (b"nonsense", Malformed),
    ):
        with pytest.raises(refusal):
            registry.checkpoints.keep(raw, NOW)
    assert standing(registry, checkpoint(0)) == (0, Digest.of(b"head"))  # none of them counted


def test_a_worker_that_nobody_chose_takes_no_room(tmp_path: Path) -> None:
    registry = Registry(tmp_path, NAME, ENTROPY)
    with pytest.raises(CheckpointUnexpected):
        registry.checkpoints.keep(checkpoint(1), NOW)
    assert "cadastre consent submit" in CheckpointUnexpected.advice


@contextmanager
def serving(registry: Registry, folder: Path) -> Iterator[int]:
    clock = ManualClock(NOW)
    publisher = Publisher(registry, NAME, STATUS, folder / "status.json", clock)
    server = StatusServer(("127.0.0.1", 0), registry, publisher, clock)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.server_address[1]
    server.close()
    thread.join()
    registry.close()


def test_the_answer_is_signed_and_fits_one_question(tmp_path: Path) -> None:
    with serving(chosen(tmp_path), tmp_path) as port:

        def ask(raw: bytes) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", CHECKPOINTS_PATH, raw)
            answer = connection.getresponse()
            try:
                return answer.status, answer.read()
            finally:
                connection.close()

        for counter, expected in ((20, 20), (10, 20)):
            raw = checkpoint(counter)
            code, body = ask(raw)
            assert code == 200
            said = signed.verify(LedgerStanding, body, {STATUS.public}).document
            assert (said.counter, said.asked) == (expected, Digest.of(raw))
        for raw, refused in (
            (b"nonsense", "malformed"),
            (checkpoint(1, worker=OTHER.public.worker_id), "checkpoint-foreign"),
        ):
            code, body = ask(raw)
            assert (code, json.loads(body)["code"]) == (400, refused)


def hosts(count: int) -> list[WorkerId]:
    return [WorkerId.draw(ENTROPY) for _ in range(count)]


def test_an_owner_opens_no_more_budgets_than_the_cap_allows(tmp_path: Path) -> None:
    """Counted over all capsules and for ever: what was spent on a host that was left is spent."""
    registry, known = Registry(tmp_path, NAME, ENTROPY), hosts(MAXIMUM_HOSTS)
    capsules = [CapsuleId.draw(ENTROPY) for _ in known]
    for capsule, worker in zip(capsules, known, strict=True):
        assert registry.submit([consent(OWNER, capsule, worker=worker)], NOW).accepted == 1
    for capsule in (capsules[0], CapsuleId.draw(ENTROPY)):
        line = consent(OWNER, capsule, serial=2, worker=hosts(1)[0])
        (refused,) = registry.submit([line], NOW).refused
        assert refused.code == "owner-budget-exceeded"
        assert "3 zCDP" in refused.sentence or "pass 3" in refused.sentence
    # Withdrawing is never refused, nor a known host; another owner has a budget of their own.
    lines = [
        consent(OWNER, capsules[0], serial=3, decision=Decision.REVOKE, worker=hosts(1)[0]),
        consent(OWNER, capsules[1], serial=3, worker=known[2]),
        consent(OTHER, CapsuleId.draw(ENTROPY), worker=hosts(1)[0]),
    ]
    assert registry.submit(lines, NOW).accepted == 3
    # The host of a withdrawn consent still counts.
    (refused,) = registry.submit(
        [consent(OWNER, capsules[0], serial=4, worker=hosts(1)[0])], NOW
    ).refused
    assert refused.code == "owner-budget-exceeded"


def test_the_hosts_of_a_registry_from_before_are_counted(tmp_path: Path) -> None:
    registry, known = Registry(tmp_path, NAME, ENTROPY), hosts(MAXIMUM_HOSTS)
    lines = [consent(OWNER, CapsuleId.draw(ENTROPY), worker=worker) for worker in known]
    assert registry.submit(lines, NOW).accepted == MAXIMUM_HOSTS
    registry.close()
    with sqlite3.connect(tmp_path / "registry.sqlite") as sql:
        for table in ("hosts", "checkpoints"):
            assert f"CREATE TABLE {table}" in _BUDGETS
            sql.execute(f"DROP TABLE {table}")
        sql.execute("PRAGMA user_version = 1")
    sql.close()
    again = Registry(tmp_path, NAME, ENTROPY)
    line = consent(OWNER, CapsuleId.draw(ENTROPY), worker=hosts(1)[0])
    assert [r.code for r in again.submit([line], NOW).refused] == ["owner-budget-exceeded"]
    again.close()
