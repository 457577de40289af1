"""Attacks on openings and their surroundings: bad neighbours, lost files, slow institutions."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scheduler"))

from helping import Scene, publish_status, share
from sqlmodel import select

from scheduler.errors import DatabaseRestored, KeyholderUnavailable, StateRefused
from scheduler.helper import HttpHelper
from scheduler.keyholder import HttpKeyholder
from scheduler.post import MAXIMUM_ERRANDS, PATIENCE, Post, Unanswered
from scheduler.service.outbox import require_one_moment
from scheduler.store.tables import AttemptRow, CampaignRow, RoundRow, UnitRow, WorkerRow
from trust import schema
from trust.documents import signed
from trust.documents.aggregation import BatchQuestion
from trust.documents.custody import KeyholderRefusal
from trust.documents.reporting import AttemptReport, Outcome
from trust.documents.root import Duty, DutyKeys
from trust.documents.rules import Protection
from trust.dsse import Envelope
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.entry import Kind
from trust.root import trust_pinned


def territory() -> ModuleType:
    """The world of the scheduler's tests; a conftest cannot be imported by its name."""
    path = Path(__file__).parents[1] / "scheduler" / "conftest.py"
    spec = importlib.util.spec_from_file_location("scheduler_world_of_ciphering", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    made = territory().build(tmp_path / "world")
    yield made
    made.desk.store.close()
    made.desk.log.close()


@pytest.fixture
def scene(world: Any, tmp_path: Path) -> Scene:
    return Scene(world, tmp_path)


@pytest.fixture
def ciphers(world: Any, tmp_path: Path) -> Any:
    for module in ("tenseal", "backports.zstd"):
        pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")
    from custody import Scene as Ciphers

    return Ciphers(world, tmp_path)


async def both_reported(scene: Scene) -> tuple[str, str]:
    """Two campaigns whose every host has reported, in the order in which turns look at them."""
    campaigns = [await scene.world.start("one"), await scene.world.start("two")]
    await scene.world.turn()
    for worker in scene.hosts:
        await worker.exchange()
        for _ in campaigns:
            (order,) = worker.held  # the answer to a report brings the next campaign's order
            share(worker, order)
            (receipt,) = (await worker.exchange([worker.report(order)])).acknowledgements
            assert receipt.accepted, receipt
    first, second = sorted(campaigns)
    return first, second


def values_of(world: Any, campaign: str) -> Path:
    """The file of one worker's share."""

    def read(tx: Any) -> str:
        query = select(AttemptRow).join(UnitRow, UnitRow.id == AttemptRow.unit)
        row = tx.session.exec(query.where(UnitRow.campaign == campaign)).first()
        found: str = row.values_digest
        return found

    digest = world.desk.store.run("read", read)
    path: Path = world.desk.blobs.path(Digest(digest))
    return path


# --- one campaign's trouble is its own ---


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_a_lost_file_holds_up_no_other_campaign(scene: Scene, damage: str) -> None:
    async def story() -> None:
        await scene.found()
        victim, other = await both_reported(scene)
        path = values_of(scene.world, victim)
        honest = path.read_bytes()
        path.unlink() if damage == "missing" else path.write_bytes(b"rust")
        await scene.settle()
        assert (await scene.world.view(other)).row.state == "concluding"
        row = (await scene.world.view(victim)).row
        assert (row.state, row.reason) == ("running", "waiting-for-repair")
        assert path.name in row.why
        # The operator restores the file: nobody paid for nothing.
        path.write_bytes(honest)
        await scene.settle()
        assert (await scene.world.view(victim)).row.state == "concluding"

    asyncio.run(story())


def test_a_file_that_stays_lost_ends_its_campaign_with_a_reason(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        values_of(scene.world, campaign).unlink()
        await scene.settle()
        scene.world.clock.advance(timedelta(hours=25).total_seconds())
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "never-repaired")

    asyncio.run(story())


def test_a_clear_campaign_with_a_lost_file_ends_with_a_reason_too(world: Any) -> None:
    async def story() -> None:
        await world.authorised()
        hosts = [await world.worker(name, capsules=4) for name in ("a", "b", "c")]
        for host in hosts:
            await host.exchange()
        campaign = await world.start()
        await world.turn()
        for host in hosts[:-1]:
            (order,) = (await host.exchange()).orders
            await host.exchange([host.report(order)])
        (order,) = (await hosts[-1].exchange()).orders
        await hosts[-1].exchange([hosts[-1].report(order)])
        path = values_of(world, campaign)
        path.unlink()
        for _ in range(3):
            await world.turn()
        assert (await world.view(campaign)).row.reason == "waiting-for-repair"
        world.clock.advance(timedelta(hours=25).total_seconds())
        await world.turn()
        row = (await world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "never-repaired")

    asyncio.run(story())


def test_a_lost_conclusion_ends_its_campaign_with_a_reason(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        await scene.settle()
        (order,) = (await scene.judge.exchange()).orders
        report = scene.judge.report(order)
        await scene.judge.exchange([report])

        def result(tx: Any) -> str:
            query = select(AttemptRow).where(AttemptRow.unit == order.unit)
            found: str = tx.session.exec(query).one().values_digest
            return found

        digest = scene.world.desk.store.run("read", result)
        scene.world.desk.blobs.path(Digest(digest)).unlink()
        await scene.settle()
        assert (await scene.world.view(campaign)).row.reason == "waiting-for-repair"
        scene.world.clock.advance(timedelta(hours=25).total_seconds())
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "never-repaired")

    asyncio.run(story())


def test_a_vote_that_no_root_carries_any_more_holds_up_no_other_campaign(scene: Scene) -> None:
    async def story() -> None:
        world = scene.world
        await scene.found()
        drafted = await world.start("draft")
        running = await scene.reported()
        # The college was renewed; the next root names none of its former members.
        fresh = tuple(PrivateKey(bytes([n]) * 32).public for n in (1, 2, 3))
        old = world.desk.root.document
        root = replace(old, version=1, duties={**old.duties, Duty.COLLEGE: DutyKeys(fresh, 2)})
        envelope = signed.sign(root, [world.keys["root"]]).envelope
        world.desk.root = trust_pinned(envelope.raw, envelope.digest)
        world.desk.facts.clear()
        await scene.settle()
        for campaign in (drafted, running):
            row = (await world.view(campaign)).row
            assert row.reason == "waiting-for-repair", row
            assert "signature" in row.why or "sign" in row.why
        world.clock.advance(timedelta(days=2).total_seconds())
        await scene.settle()
        assert (await world.view(drafted)).row.state == "failed"
        assert (await world.view(running)).row.reason == "never-repaired"

    asyncio.run(story())


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_exhibit_keeps_a_worker_from_no_other_campaign(scene: Scene, lost: int) -> None:
    # An order goes with what it rests on. Where that is gone, every exchange of the worker would
    # fail: its other campaigns' orders, its reports, its withdrawals.
    async def story() -> None:
        await scene.found()
        campaigns = [await scene.world.start("one"), await scene.world.start("two")]
        victim, other = campaigns[lost], campaigns[1 - lost]
        await scene.world.turn()
        worker = scene.hosts[0]
        plan = scene.world.desk.blobs.path(Digest(scene.row(RoundRow, (victim, 1)).plan))
        honest = plan.read_bytes()
        plan.unlink()
        (order,) = (await worker.exchange()).orders
        assert order.campaign == other
        assert (await worker.exchange()).orders == ()
        view = await scene.world.view(victim)
        units = [unit.row for entry in view.rounds for unit in entry.units]
        assert [unit.reason for unit in units if unit.worker == worker.name] == [
            "waiting-for-repair"
        ]
        plan.write_bytes(honest)
        (order,) = (await worker.exchange()).orders
        assert order.campaign == victim

    asyncio.run(story())


def test_a_fault_of_our_own_in_one_campaign_holds_up_no_other(scene: Scene, monkeypatch) -> None:
    from scheduler.service import collecting

    honest = collecting.collect

    async def story() -> None:
        await scene.found()
        victim, other = await both_reported(scene)

        async def collect(desk: Any, key: tuple[str, int], facts: Any, members: Any) -> Any:
            if key[0] == victim:
                raise ArithmeticError("an invariant of our own")
            return await honest(desk, key, facts, members)

        monkeypatch.setattr(collecting, "collect", collect)
        await scene.settle()
        assert (await scene.world.view(other)).row.state == "concluding"
        faults = scene.world.desk.meters.faults.labels("campaign")
        assert faults._value.get() > 0

    asyncio.run(story())


# --- institutions that say strange things ---


def test_a_keyholder_that_waits_for_the_wrong_people_cannot_stop_the_scheduler(ciphers) -> None:
    def ask(_: Any) -> bytes:
        raise KeyholderUnavailable("a ceremony, now", awaits="waiting-for-ceremony")

    async def story() -> None:
        campaign = await ciphers.reported()
        ciphers.custody.prepare = ask
        await ciphers.settle()
        assert (await ciphers.standing(campaign))[0] == "running"
        ciphers.world.clock.advance(timedelta(days=8).total_seconds())
        await ciphers.settle()
        assert await ciphers.standing(campaign) == ("failed", "keyholder-unreachable")

    asyncio.run(story())


def test_an_old_refusal_of_the_keyholder_does_not_settle_an_epoch(ciphers) -> None:
    # Said when the campaign was engaged and played back when it has ended: the wrapped key would
    # stay on the keyholder's disk until its time is over.
    from scheduler.errors import KeyholderDenied
    from scheduler.service import campaigns

    async def story() -> None:
        desk = ciphers.world.desk
        await ciphers.found()
        campaign = await ciphers.engaged()
        await campaigns.cancel(desk, campaign, "enough")
        old = KeyholderRefusal("plaine.example", campaign, 0, "not-logged", "too early", desk.now())
        envelope = signed.sign(old, [ciphers.world.keys["keyholder"]]).envelope.raw
        honest = ciphers.custody.end

        def end(_: Any) -> bytes:
            raise KeyholderDenied(envelope, None)

        ciphers.custody.end = end
        await ciphers.settle()
        assert ciphers.row(CampaignRow, campaign).retired is None
        ciphers.custody.end = honest
        await ciphers.settle()
        assert len(ciphers.documents(Kind.EPOCH_RETIRED)) == 1

    asyncio.run(story())


def test_the_operator_sees_whose_report_the_keyholder_left_out(ciphers) -> None:
    from helping import publish_status

    async def story() -> None:
        await ciphers.found()
        ciphers.hosts.append(await ciphers.world.worker("dep", capsules=7))
        publish_status(ciphers.world, ciphers.hosts, 2)
        from custody import can_encrypt, encrypt

        can_encrypt(ciphers.hosts[3])
        await ciphers.hosts[3].exchange()
        campaign = await ciphers.engaged()
        for worker in ciphers.hosts:
            (order,) = (await worker.exchange()).orders
            encrypt(worker, order)
            await worker.exchange([worker.report(order)])
        left = ciphers.hosts[3]
        left.capsules.pop()
        publish_status(ciphers.world, ciphers.hosts, 3)
        await ciphers.settle()
        view = await ciphers.world.view(campaign)
        (units,) = [entry.units for entry in view.rounds]
        told = {unit.row.worker: (unit.row.reason, unit.row.why) for unit in units}
        assert told[left.name][0] == "left-out", told
        assert "keyholder" in told[left.name][1]
        assert "above-registry" in told[left.name][1]
        assert [name for name, (code, _) in told.items() if code == "left-out"] == [left.name]

    asyncio.run(story())


def test_a_helpers_refusal_is_the_campaigns_own_reason(scene: Scene) -> None:
    from helping import publish_status

    from trust.documents.governance import Suspended

    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        authorisation = scene.row(CampaignRow, campaign).authorisation
        stopped = (Suspended(authorisation, "harmful"),)
        publish_status(scene.world, scene.hosts, 2, suspensions=stopped)
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "authorisation-suspended")
        assert row.why.startswith("the helper refused")
        assert scene.row(RoundRow, (campaign, 1)).reason == "authorisation-suspended"

    asyncio.run(story())


@pytest.mark.parametrize("code", ["", "Two Words", "x" * 500, "a\nb", "\x1b[2J"])
def test_a_refusal_without_a_proper_code_still_ends_with_a_proper_reason(
    scene: Scene, code: str
) -> None:
    from scheduler.errors import HelperDenied
    from trust.documents.aggregation import HelperRefusal

    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        said = HelperRefusal("plaine.example", campaign, 1, code, "no", scene.world.clock.now())
        envelope = signed.sign(said, [scene.world.keys["helper"]]).envelope.raw

        def prepare(_: Any) -> bytes:
            raise HelperDenied(envelope)

        scene.helper.prepare = prepare  # type: ignore[method-assign]
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "helper-refused")

    asyncio.run(story())


# --- addresses that an operator mistyped ---


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:eighty",
        "http://[::1",
        "http://helper.example/#prepare",
        "http://helper.example/?a=b",
        "http://ana:secret@helper.example",
        "http://helper example",
        "helper.example:8443",
        "",
    ],
)
@pytest.mark.parametrize("port", [HttpHelper, HttpKeyholder])
def test_a_mistyped_address_is_refused_at_the_start(port: Any, url: str) -> None:
    with pytest.raises(StateRefused) as caught:
        port(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example"])
def test_a_name_that_cannot_be_looked_up_is_an_institution_that_does_not_answer(host: str) -> None:
    post = Post("helper", f"http://{host}", 1000, patience=20)
    with pytest.raises(Unanswered, match="could not be reached"):
        post.ask("/engage", "question")


# --- institutions that hang ---


class Silent:
    """Takes connections and says nothing, or a byte of a refusal now and then."""

    def __init__(self, drip: bytes = b"") -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._open: list[socket.socket] = []
        self._drip = drip
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                if self._drip:
                    connection.sendall(self._drip)
            except TimeoutError:
                continue
            finally:
                for connection in self._open:
                    if self._drip:
                        try:
                            connection.sendall(b"x")
                        except OSError:
                            continue

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        for connection in [*self._open, self._socket]:
            connection.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    made = Silent()
    yield made
    made.close()


def test_a_hanging_institution_costs_one_turn_its_patience_and_the_next_ones_nothing(
    silent: Silent,
) -> None:
    patience = 0.5
    post = Post("helper", silent.url, 1000, timeout=30, patience=patience)
    began = time.monotonic()
    for _ in range(20):
        for path in ("/engage", "/prepare", "/commit", "/end"):
            for campaign in range(5):
                with pytest.raises(Unanswered):
                    post.ask(path, f"campaign {campaign}")
    # 400 questions of 20 turns: the first one waited, the others knew better.
    assert time.monotonic() - began < 4 * patience


def test_a_hanging_answer_about_one_campaign_lets_others_be_answered() -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    let_go = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if b"poisoned" in body:
                let_go.wait(20)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        post = Post("helper", url, 1000, patience=0.3)
        with pytest.raises(Unanswered, match="not answered yet"):
            post.ask("/prepare", "poisoned")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                assert post.ask("/prepare", "honest") == b"ok"
                break
            except Unanswered:
                time.sleep(0.01)
        else:
            pytest.fail("the honest question was never answered")
        with pytest.raises(Unanswered, match="not answered yet"):
            post.ask("/prepare", "poisoned")
    finally:
        let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_refusal_that_drips_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from scheduler import post as posts

    monkeypatch.setattr(posts, "LIFE", 0.5)
    dripping = Silent(b"HTTP/1.1 422 no\r\nContent-Length: 1000000\r\n\r\n")
    try:
        post = Post("helper", dripping.url, 2_000_000, timeout=5, patience=10)
        began = time.monotonic()
        with pytest.raises(Unanswered):
            post.ask("/prepare", "one")
        assert time.monotonic() - began < 8
    finally:
        dripping.close()


def test_answers_that_drip_for_ever_take_a_bounded_number_of_threads(silent: Silent) -> None:
    post = Post("helper", silent.url, 1000, timeout=5, patience=0.05)
    before = threading.active_count()
    for number in range(50):
        with pytest.raises(Unanswered):
            post.ask("/prepare", f"question {number}")
    assert threading.active_count() - before <= MAXIMUM_ERRANDS


def test_campaigns_go_on_beside_a_helper_that_hangs(scene: Scene, silent: Silent) -> None:
    async def story() -> None:
        await scene.found()
        victim, other = await both_reported(scene)
        hanging = HttpHelper(silent.url)
        honest = scene.helper.prepare

        def prepare(request: Any) -> bytes:
            asked = schema.decode(BatchQuestion, Envelope.parse(request.question).payload)
            return (hanging.prepare if asked.campaign == victim else honest)(request)

        scene.helper.prepare = prepare  # type: ignore[method-assign]
        began = time.monotonic()
        await scene.settle()
        assert (await scene.world.view(other)).row.state == "concluding"
        row = (await scene.world.view(victim)).row
        assert (row.state, row.reason) == ("running", "waiting-for-helper")
        # Up to 32 looks at each campaign (4 turns of at most 8 steps) cost one patience in all.
        assert time.monotonic() - began < 3 * PATIENCE

    asyncio.run(story())


def test_the_end_of_a_campaign_is_told_in_the_same_words_however_often(scene: Scene) -> None:
    from scheduler.errors import HelperUnavailable
    from scheduler.service import campaigns

    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        await campaigns.cancel(scene.world.desk, campaign, "enough")
        asked: list[bytes] = []

        def end(request: Any) -> bytes:
            asked.append(request.ended)
            raise HelperUnavailable("slow")

        scene.helper.end = end  # type: ignore[method-assign]
        for _ in range(3):
            scene.world.clock.advance(60)
            await scene.world.turn()
        # An answer that took longer than a turn's patience is for the question of the next turn.
        assert len(asked) >= 2
        assert len(set(asked)) == 1

    asyncio.run(story())


def test_a_helper_that_is_gone_is_not_asked_for_ever_to_end_a_campaign(scene: Scene) -> None:
    from scheduler.service import campaigns

    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        await campaigns.cancel(scene.world.desk, campaign, "enough")
        scene.helper.down = True
        await scene.settle()
        assert "end" in scene.helper.asked
        scene.world.clock.advance(timedelta(days=32).total_seconds())
        scene.helper.asked.clear()
        await scene.settle()
        assert scene.helper.asked == []  # its key is over: it destroyed it by itself

    asyncio.run(story())


# --- governance's status is down for a long time ---


def test_a_long_outage_of_the_status_server_ends_no_unit(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        await scene.world.start()
        await scene.world.turn()
        worker = scene.hosts[0]
        (order,) = (await worker.exchange()).orders
        unit = order.unit
        quota = scene.row(WorkerRow, worker.name).quota_daily
        for _ in range(7):  # more than the attempts that a unit has
            waits = AttemptReport(
                order.unit,
                order.attempt,
                order.token,
                Outcome.NOT_READY,
                None,
                "checkpoint-unacknowledged",
                "governance's registry did not acknowledge this worker's privacy ledger",
            )
            (receipt,) = (await worker.exchange([waits])).acknowledgements
            assert (receipt.accepted, receipt.reason) == (False, "worker-not-ready")
            row = scene.row(UnitRow, unit)
            assert row.state == "waiting"
            scene.world.clock.advance((row.not_before - scene.world.clock.now()).total_seconds())
            await scene.world.turn()
            (order,) = worker.held or (await worker.exchange()).orders
        assert scene.row(AttemptRow, order.attempt).number == 8
        # Neither the unit nor the worker's day is used up.
        row = scene.row(WorkerRow, worker.name)
        assert (row.quota_daily, row.quota_used) == (quota, 1)
        share(worker, order)
        (receipt,) = (await worker.exchange([worker.report(order)])).acknowledgements
        assert receipt.accepted

    asyncio.run(story())


def test_a_worker_that_is_never_ready_ends_its_unit_by_the_rounds_deadline(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        await scene.world.start()
        await scene.world.turn()
        worker = scene.hosts[0]
        (order,) = (await worker.exchange()).orders
        for _ in range(40):
            if not worker.held:
                await worker.exchange()
            if worker.held:
                (held,) = worker.held
                waits = replace(worker.refusal(held, Outcome.NOT_READY), reason="status-stale")
                await worker.exchange([waits])
            scene.world.clock.advance(40)
            await scene.world.turn()
        assert scene.row(UnitRow, order.unit).state in {"failed", "cancelled"}

    asyncio.run(story())


# --- what owners, voters and keepers are told ---


def test_every_consent_that_is_refused_alone_says_what_to_do(scene: Scene, tmp_path: Path) -> None:
    from governance.status.registry import Registry
    from scheduler.service import consents
    from trust.entropy import seeded

    async def story() -> None:
        await scene.found()
        host = scene.hosts[0]
        stale, foreign = host.consent(0, serial=0), b"no envelope"
        registry = Registry(tmp_path / "registry", "plaine.example", seeded(b"registry"))
        try:
            now = scene.world.clock.now()
            assert registry.submit([host.consent(0)], now).accepted == 1
            told = registry.submit([stale, foreign], now).refused
        finally:
            registry.close()
        answers = [*told, *(await consents.submit(scene.world.desk, [stale, foreign])).refused]
        assert len(answers) == 4
        for answer in answers:
            assert answer.remedy, answer

    (tmp_path / "registry").mkdir()
    asyncio.run(story())


def test_the_doctor_looks_for_what_encrypting_needs() -> None:
    from capsule_runtime import encrypting
    from worker.doctor import ENCRYPTING

    assert encrypting._MODULES == ENCRYPTING


def fine_rule(**changes: Any) -> Any:
    """Admitted under `shared`, where two aggregators draw noise; not where every worker does."""
    from jobs import manifest as manifests

    raw = territory().MANIFEST.replace('"clear"', '"shared"')
    (rule,) = manifests.read(raw.encode()).rules()
    fine: dict[str, Any] = {"step": "0.00000001", "dtype": "float64", "bound": "1000"}
    return replace(rule, **{**fine, "maximum_contributors": 10_000_000, **changes})


def test_a_vote_is_measured_as_its_protection_adds_noise() -> None:
    from audit.checks import plans
    from governance.college import showing
    from protection import accounting
    from protection.errors import RingOverflow
    from protection.ring import require_room, ring_of

    rule = fine_rule()
    ring_of(rule)
    with pytest.raises(RingOverflow):
        accounting.check_ring(rule)
    showing._require_measurable(rule)
    vote = SimpleNamespace(
        id="auth_x", not_before=1, not_after=2, rules=(rule,), campaigns=1, images=(1,)
    )
    records = SimpleNamespace(authorisations=[SimpleNamespace(document=vote)])
    assert plans.authorisations(records)  # type: ignore[arg-type]
    # As `clear` the same numbers hold no longer, and neither do they with a price in many parts.
    with pytest.raises(RingOverflow):
        require_room(fine_rule(protection=Protection.CLEAR))
    with pytest.raises(RingOverflow):
        require_room(fine_rule(maximum_contributors=92_200_000), 10**6)
    require_room(fine_rule(maximum_contributors=92_200_000))


def test_an_audit_measures_a_vote_with_the_rounds_of_its_bundle() -> None:
    from audit.checks import plans
    from protection.errors import RingOverflow

    def rounds(maximum: int) -> str:
        plan = SimpleNamespace(campaign="cmp_x", bundle="b", round=1)
        vote = SimpleNamespace(rules=(fine_rule(maximum_contributors=92_200_000),))
        manifest = SimpleNamespace(rounds=SimpleNamespace(maximum=maximum))
        records = SimpleNamespace(plans=[SimpleNamespace(document=plan)], voted=lambda _: vote)
        return plans.rounds(records, {"b": SimpleNamespace(manifest=manifest)})  # type: ignore[dict-item]

    assert rounds(1) == "at most 1 rounds in a campaign"
    with pytest.raises(RingOverflow):
        rounds(10**6)


# --- who concludes ---


def test_only_a_worker_that_the_operator_named_concludes(scene: Scene) -> None:
    # Whoever concludes writes the report that the scheduler signs as the release.
    async def story() -> None:
        await scene.found()
        volunteer = await scene.world.worker("volunteer")
        volunteer.concludes = True  # it says so itself
        await volunteer.exchange()
        campaign = await scene.reported()
        await scene.settle()
        assert (await scene.world.view(campaign)).row.reason == "waiting-for-concluder"
        answer = await volunteer.exchange()
        assert answer.orders == ()
        (order,) = (await scene.judge.exchange()).orders
        assert order.kind.value == "conclude"

    asyncio.run(story())


def test_only_workers_are_named_to_conclude(world: Any) -> None:
    from scheduler.errors import InputRefused
    from scheduler.service.membership import create_token

    desk = world.desk
    with pytest.raises(InputRefused, match="worker"):
        create_token(
            desk.store, desk.entropy, 60, role="author", operator="a", site="s", concludes=True
        )


def test_a_worker_that_joins_again_concludes_as_its_newest_token_says(world: Any) -> None:
    from scheduler.service import membership
    from scheduler.store.tables import MemberRow
    from trust import certificates
    from trust.documents.membership import EnrolmentProof

    async def join(key: PrivateKey, *, concludes: bool) -> str:
        desk = world.desk
        secret, _ = membership.create_token(
            desk.store, desk.entropy, 60, role="worker", operator="o", site="s", concludes=concludes
        )
        request = certificates.make_request(certificates.new_key(), "worker")
        proof = EnrolmentProof(
            Digest.of(secret), Digest.of(request), key.public, bytes(32), "o", "s"
        )
        raw = signed.sign(proof, [key]).envelope.raw
        return (await membership.enrol(desk, secret, request, raw)).name

    async def story() -> None:
        key = PrivateKey.generate(world.desk.entropy)
        for concludes in (True, False, True):
            name = await join(key, concludes=concludes)
            row = world.desk.store.run("read", lambda tx, n=name: tx.session.get(MemberRow, n))
            assert row.concludes is concludes

    asyncio.run(story())


# --- workers that lie ---


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("another's unit", "unknown-attempt"),
        ("another's partial", "statement-refused"),
        ("another's round", "statement-refused"),
        ("another's plan", "statement-refused"),
        ("a longer seal", "statement-refused"),
        ("another seal", "statement-refused"),
        ("no seal", "statement-refused"),
        ("no values", "values-missing"),
        ("a crowd", "above-consents"),
        ("nobody", "statement-refused"),
        ("less than nobody", "statement-refused"),
        ("noise", "statement-refused"),
    ],
)
def test_a_worker_that_lies_is_refused_by_name_and_the_round_goes_on(
    ciphers: Any, lie: str, reason: str
) -> None:
    from custody import encrypt

    changes: dict[str, dict[str, Any]] = {
        "another's round": {"round": 2},
        "another's plan": {"plan": Digest.of(b"plan")},
        "no values": {"values": Digest.of(b"nothing")},
        "a crowd": {"capsules": 1 << 40},
        "nobody": {"capsules": 0},
        "less than nobody": {"contributors": -5},
        "noise": {"variances": {"counts": "5"}},
    }

    async def story() -> None:
        await ciphers.found()
        campaign = await ciphers.engaged()
        liar, *honest = ciphers.hosts
        orders = {}
        for worker in ciphers.hosts:
            (orders[worker.name],) = (await worker.exchange()).orders
            encrypt(worker, orders[worker.name])
        order = orders[liar.name]
        if lie in changes:
            encrypt(liar, order, **changes[lie])
        report = liar.report(order)
        theirs = honest[0].report(orders[honest[0].name])
        report = {
            "another's unit": replace(theirs, token=order.token),
            "another's partial": replace(report, statement=theirs.statement, sealed=theirs.sealed),
            "a longer seal": replace(report, sealed=(report.sealed or b"") * 1000),
            "another seal": replace(report, sealed=theirs.sealed),
            "no seal": replace(report, sealed=None),
        }.get(lie, report)
        (receipt,) = (await liar.exchange([report])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, reason)
        for worker in honest:
            told = worker.report(orders[worker.name])
            (receipt,) = (await worker.exchange([told])).acknowledgements
            assert receipt.accepted
        assert (await ciphers.world.view(campaign)).row.state == "running"

    asyncio.run(story())


def test_no_bytes_in_a_ciphertexts_place_are_anything_but_refused(ciphers: Any) -> None:
    from random import Random

    from protection.ckks import residues
    from protection.ckks.errors import CkksError
    from protection.ckks.profile import SOMME
    from protection.ckks.residues import template_of

    template, draw = template_of(SOMME), Random(7)
    honest = template.before + bytes(8 * template.residue_count) + template.after
    assert residues.write(residues.parse(honest, SOMME)) == honest
    edges = [0, 1, len(template.before) - 1, len(template.before), len(honest) - 1]
    for at in [*edges, *(draw.randrange(len(template.before)) for _ in range(200))]:
        bad = bytearray(honest)
        bad[at] ^= 1 << draw.randrange(8)
        try:
            found = residues.parse(bytes(bad), SOMME)
        except CkksError:
            continue
        assert residues.write(found) == bytes(bad)  # one residue, still below its prime
    for bad in (b"", honest[:-1], honest + b"\0", honest * 2, bytes(len(honest)), b"\xff" * 99):
        with pytest.raises(CkksError):
            residues.parse(bad, SOMME)
    top = bytearray(honest)
    top[len(template.before) : len(template.before) + 8] = b"\xff" * 8
    with pytest.raises(CkksError):
        residues.parse(bytes(top), SOMME)


# --- a scheduler that was restored from a backup ---


class Backup:
    """The scheduler's database as it was; log, blobs and everybody else stay as they are."""

    def __init__(self, scene: Any, folder: Path) -> None:
        self._scene, self._copy = scene, folder / "backup.db"
        self._place = scene.world.folder / "scheduler.db"
        self._reopening(lambda: shutil.copy(self._place, self._copy))

    def restore(self) -> None:
        self._reopening(lambda: shutil.copy(self._copy, self._place))

    def _reopening(self, work: Callable[[], object]) -> None:
        world = self._scene.world
        helper, keyholder = world.desk.helper, world.desk.keyholder
        world.desk.store.close()
        for rest in ("-wal", "-shm"):
            self._place.with_name(self._place.name + rest).unlink(missing_ok=True)
        work()
        world.reopen()
        world.desk.helper, world.desk.keyholder = helper, keyholder


def test_a_restored_leader_gets_the_helpers_first_answer_again(
    scene: Scene, tmp_path: Path
) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        backup = Backup(scene, tmp_path)
        await scene.settle()
        assert (await scene.world.view(campaign)).row.state == "concluding"
        _, first = scene.documents(Kind.SHARE)
        backup.restore()
        # An honest one does not start: its own log knows more than it does.
        with pytest.raises(DatabaseRestored):
            require_one_moment(scene.world.desk.store, scene.world.desk.log)
        # Another one is given the same bytes: the helper's noise is drawn once.
        scene.world.clock.advance(60)
        publish_status(scene.world, scene.hosts, 2)
        await scene.settle(8)
        _, again = scene.documents(Kind.SHARE)
        assert again == first

    asyncio.run(story())


def test_a_restored_leader_has_no_second_sum_decrypted(ciphers: Any, tmp_path: Path) -> None:
    async def story() -> None:
        campaign = await ciphers.reported()
        backup = Backup(ciphers, tmp_path)
        await ciphers.settle()
        ciphers.custody.contribute([0, 1, 2])
        await ciphers.settle()
        assert await ciphers.standing(campaign) == ("concluding", "waiting-for-concluder")
        backup.restore()
        ciphers.world.clock.advance(60)
        publish_status(ciphers.world, ciphers.hosts, 2)
        await ciphers.settle(8)
        state, reason = await ciphers.standing(campaign)
        assert (state, reason) == ("failed", "already-opened")
        assert ciphers.documents(Kind.OPENED) == []

    asyncio.run(story())
