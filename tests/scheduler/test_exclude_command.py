"""`cadastre scheduler exclude`: on the scheduler's machine, while its database may be in use."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlmodel import select

import cadastre
from durable.blobs import BlobFolder
from scheduler.database import open_database
from scheduler.meters import Meters
from scheduler.state import Configuration, State
from scheduler.store.tables import LogRow, MemberRow
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.actions import Act, Means, OperatorAction
from trust.documents.membership import Banned
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import seeded
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.entry import Kind
from trust.log.note import LogKey

CLOCK = SystemClock()


@pytest.fixture
def state(tmp_path):
    """A scheduler's state with its root, a worker and an operator."""
    entropy = seeded(b"exclude")
    made = State(tmp_path / "state")
    made.create(
        Configuration("plaine.example", ["127.0.0.1"], 1, 2, 3, "http://127.0.0.1:3"),
        CLOCK,
        entropy,
    )
    root = PrivateKey.generate(entropy)
    log = LogKey(made.origin, made.log_key().public)
    document = Root(
        territory="plaine.example",
        version=1,
        issued_at=CLOCK.now(),
        expires_at=CLOCK.now() + timedelta(days=30),
        duties={
            duty: DutyKeys((PrivateKey.generate(entropy).public,), 1)
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
    worker = PrivateKey.generate(entropy).public
    store = open_database(made, CLOCK, Meters())
    try:
        store.run("x", lambda tx: _members(tx, worker))
    finally:
        store.close()
    return made, str(worker.worker_id)


def _members(tx, worker):
    for name, role, key in (
        (str(worker.worker_id), "worker", worker),
        ("eve", "operator", PrivateKey.generate(seeded(b"eve")).public),
    ):
        tx.session.add(
            MemberRow(
                name=name, role=role, key=str(key), hpke=bytes(32), operator="ville",
                site="mairie", enrolled_at=tx.now,
            )
        )  # fmt: skip


def exclude(state, name, reason="stolen laptop"):
    words = ["scheduler", "exclude", name, "--state", str(state.folder), "--reason", reason]
    return cadastre.main([*words, "--json"])


def test_any_member_is_excluded_and_only_workers_are_logged(state, capsys):
    made, worker = state
    served = open_database(made, CLOCK, Meters())  # another program has it open meanwhile
    try:
        for name, role in (("eve", "operator"), (worker, "worker"), ("eve", "operator")):
            assert exclude(made, name) == 0
            said = json.loads(capsys.readouterr().out)
            assert (said["member"], said["role"], said["excluded"]) == (name, role, True)
        members = served.read("x", lambda tx: tx.session.exec(select(MemberRow)).all())
        assert {row.banned_because for row in members} == {"stolen laptop"}
        query = select(LogRow).order_by(LogRow.id)
        logged = served.read("x", lambda tx: tx.session.exec(query).all())
    finally:
        served.close()
    # The exclusion, and the deed of whoever works on this machine.
    assert [row.kind for row in logged] == [Kind.KEY_EVENT.value, Kind.ACTION.value]
    raws = [BlobFolder(made.objects).get(Digest(row.digest)) for row in logged]
    event = signed.verify(Banned, raws[0], {made.orders_key().public}).document
    deed = signed.verify(OperatorAction, raws[1], {made.orders_key().public}).document
    assert event.worker == deed.worker == worker
    assert (deed.act, deed.means) == (Act.EXCLUDE_WORKER, Means.CONSOLE)
    assert not any(b"stolen" in raw for raw in raws)


def test_who_is_no_member_and_what_has_no_reason_is_refused(state, capsys):
    made, worker = state
    assert exclude(made, "nobody") != 0
    assert "nobody" in capsys.readouterr().err
    assert exclude(made, worker, " ") != 0
    assert "reason" in capsys.readouterr().err
