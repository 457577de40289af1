# ruff: noqa: E402 - the helpers of these tests lie in folders that are no packages
"""Attacks on a worker: by its scheduler, its broker, its own user, its backups and its clocks.

Copies of one identity are attacked in tests/simulation (any order, real scheduler); what stands
here is one worker against parties that lie.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

# The stage of the agent's own tests, in folders that are no packages.
for _room in ("policy", "broker", "worker"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _room))

from scene import Scene
from test_agent import Stage

from capsule_runtime.broker.channel import Channel
from capsule_runtime.broker.errors import MessageRefused
from capsule_runtime.broker.messages import Advanced, Inspected, KeyWanted, encode
from capsule_runtime.errors import RuntimeUnreadable
from durable.errors import DiskFull
from trust.documents import signed
from trust.documents.campaign import Cancellation
from trust.documents.reporting import Outcome
from trust.entropy import SYSTEM, seeded
from trust.ids import AttemptId, CapsuleId, Digest, UnitId, WorkerId
from trust.policy import verify_orders
from trust.policy.errors import StatusStale
from trust.problem import Problem
from worker import broker, broker_program, identity, privileges, program, staging
from worker.agent import Agent
from worker.broker import BrokerProcess, _Proven
from worker.broker_life import MAXIMUM_INBOX, BrokerLife
from worker.errors import NotRunning, StateUnreadable
from worker.exchange import Desk, answered
from worker.freshness import Freshness
from worker.governance import Standing
from worker.journal import Journal
from worker.ports import Answer
from worker.privileges import Account

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be tricked as root")
SOMEBODY = 64125
CAPSULE = CapsuleId.draw(seeded(b"capsule"))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(Scene(tmp_path, 2))


# --- by the scheduler, or whoever answers in its place ---


def test_nothing_leaves_and_nothing_starts_before_this_life_was_answered(stage: Stage) -> None:
    """A restored copy is answered with what the scheduler had stored: orders, and no more."""
    order = stage.scene.territory.order(stage.scene.plan)
    journal = Journal(stage.scene.identity.state)
    raw = signed.sign(stage.scene.batch(1), [stage.scene.identity.keys.node]).envelope.raw
    journal.begin_exchange(1, raw)
    journal.close()

    async def plot(agent: Agent) -> None:
        honest = stage.scheduler.exchange
        refusals = 0

        async def exchange(reports: bytes, values: tuple[bytes, ...] = ()) -> Answer:
            nonlocal refusals
            if reports == raw:
                return await honest(reports, values)  # the old answer, with its order
            refusals += 1
            async with stage.scheduler.changed:
                stage.scheduler.changed.notify_all()
            raise _Shared("another machine is further")

        stage.scheduler.exchange = exchange  # type: ignore[method-assign]
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: refusals >= 2)
        assert agent.attempts.desk.held == (order.attempt,)
        assert not agent.attempts.running

    journal = stage.play(plot)
    assert stage.broker.runs == 0
    assert not stage.scheduler.stored
    assert journal.sequence() == 2, "a copy must not number past the original, parting either"


class _Shared(Problem):
    code = "identity-shared"


def test_an_answer_without_the_probe_confirms_nothing() -> None:
    probe, report = (AttemptId.draw(seeded(name)) for name in (b"probe", b"report"))
    asked = Freshness().asked(7, probe, {report})
    for sequence, cancelled in ((6, {probe}), (7, set()), (7, {report}), (8, {probe})):
        assert asked.answered(sequence, cancelled) == asked
    settled = asked.answered(7, {probe})
    assert (settled.alive, settled.settled) == (True, {report})
    assert not settled.refused().alive


def test_a_blob_of_an_attempt_that_ended_is_not_sent(stage: Stage) -> None:
    """The scheduler says at the probe that the lease is over: the report goes, the sum stays."""
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        async def during() -> None:
            # From now on this attempt is unknown there.
            stage.scheduler.given.clear()

        stage.broker.during = during
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    journal = stage.play(plot)
    assert not stage.scheduler.stored
    assert journal.statement(order.campaign, order.round, order.kind) is not None


@pytest.mark.parametrize("lie", ["another worker", "another exchange"])
def test_orders_of_somebody_else_are_not_taken(stage: Stage, lie: str) -> None:
    order = stage.scene.territory.order(stage.scene.plan)
    other = WorkerId.draw(seeded(b"other"))

    async def plot(agent: Agent) -> None:
        honest = stage.scheduler._answer

        def answer(batch: Any) -> Answer:
            true = honest(batch)
            if not stage.scheduler.given:
                return true
            raw = stage.scene.territory.orders(
                other if lie == "another worker" else stage.scene.identity.worker,
                (order,),
                answers=batch.sequence + (lie == "another exchange"),
            )
            return replace(true, orders=raw)

        stage.scheduler._answer = answer  # type: ignore[method-assign]
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: len(stage.scheduler.raws) >= 4)

    stage.play(plot)
    assert stage.broker.runs == 0
    code = "order-misdirected" if lie == "another worker" else "order-replayed"
    assert any(code in condition.problem for condition in stage.conditions)


def test_a_scheduler_that_cancels_what_nobody_holds_fills_no_memory(stage: Stage) -> None:
    """Found by review: every name that it invented was remembered for ever."""
    territory = stage.scene.territory
    names = [AttemptId.draw(SYSTEM) for _ in range(50)]
    unit = UnitId.draw(SYSTEM)
    batch = _orders(territory, stage, tuple(Cancellation(unit, name, "x") for name in names))
    assert answered(Desk(), batch, 0.0).desk.ended == frozenset()


def _orders(territory: Any, stage: Stage, cancellations: tuple[Cancellation, ...]) -> Any:
    worker = stage.scene.identity.worker
    raw = territory.orders(worker, (), answers=1, cancellations=cancellations)
    return verify_orders(stage.scene.identity.root, raw, worker, 1).document


def test_a_clock_that_is_set_back_keeps_no_status_fresh(stage: Stage) -> None:
    """Found by review: whoever sets the wall clock back each day hid a suspension for ever."""
    journal = Journal(stage.scene.identity.state)
    standing = Standing(stage.scene.identity.state, journal)
    standing.accept(stage.scene.identity.root, stage.scene.territory.status(), 1000.0)
    assert standing.recent(1000.0 + 86_399) is standing.status
    with pytest.raises(StatusStale):
        standing.recent(1000.0 + 86_400)
    # The same status served once more is no younger for it.
    standing.accept(stage.scene.identity.root, stage.scene.territory.status(), 80_000.0)
    with pytest.raises(StatusStale):
        standing.recent(1000.0 + 86_400)
    standing.accept(stage.scene.identity.root, stage.scene.territory.status(2), 90_000.0)
    assert standing.recent(90_001.0) is standing.status


# --- by its broker ---


class Wired(BrokerProcess):
    """A broker process of which the other end is ours: taken over, and saying what we want."""

    def __init__(self, tmp_path: Path, keys: Callable[[CapsuleId], bytes | None]) -> None:
        super().__init__(
            lambda: pytest.fail("never started"),
            Journal(tmp_path),
            keys,
            clock=None,  # type: ignore[arg-type]
            entropy=SYSTEM,
        )
        self.wire()

    def wire(self) -> None:
        """The line to the next broker."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours, self.theirs, self.raw = Channel(ours), Channel(theirs), theirs

    def close(self) -> None:
        self.theirs.close()
        self.ours.close()
        self._journal.close()

    async def _up(self) -> Any:
        process = type("Process", (), {"returncode": 1, "pid": 0})()
        life = BrokerLife(process, self.ours)  # type: ignore[arg-type]
        self._proven = _Proven(life, None)  # type: ignore[arg-type]
        return self._proven


def test_a_broker_that_was_taken_over_by_a_bundle_gets_no_key_before_the_order_is_verified(
    tmp_path: Path,
) -> None:
    """Found by review: it could ask while it only inspected bytes that nobody had voted."""
    asked: list[CapsuleId] = []

    def keys(capsule: CapsuleId) -> bytes | None:
        asked.append(capsule)
        return b"k" * 32

    async def scenario() -> None:
        wired = Wired(tmp_path, keys)
        wired.theirs.send(KeyWanted(1, CAPSULE))
        with pytest.raises(MessageRefused):
            await wired.inspect(b"a bundle that nobody voted")
        wired.close()
        wired = Wired(tmp_path, keys)
        wired.theirs.send(KeyWanted(1, CAPSULE))
        with pytest.raises(MessageRefused):
            await wired.conclude(b"bundle", b"{}", b"aggregate")
        wired.close()

    asyncio.run(scenario())
    assert asked == []


def inspected(run: int, bundle: bytes) -> Inspected:
    return Inspected(
        run=run,
        bundle=Digest.of(bundle),
        manifest=Digest.of(b"its manifest"),
        name="flows",
        version="1.0.0",
        rules=(),
        tables={},
        bounds={},
        libraries=(),
        rounds=1,
        charge="0",
    )


def test_what_a_bundle_was_inspected_as_is_never_said_of_another(tmp_path: Path) -> None:
    """The newest one's inspection stays at hand, as long as its bytes are the same."""

    async def scenario() -> None:
        wired = Wired(tmp_path, lambda capsule: None)
        answers = [inspected(1, b"voted"), inspected(2, b"other"), inspected(3, b"voted")]
        wired.theirs.send(answers[0])
        assert await wired.inspect(b"voted") == answers[0]
        assert await wired.inspect(b"voted") == answers[0]  # nobody answers a second question
        for bundle, answer in ((b"other", answers[1]), (b"voted", answers[2])):
            wired.theirs.send(answer)
            assert await wired.inspect(bundle) == answer
        wired.close()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_what_a_broker_said_of_a_bundle_ends_with_the_broker(tmp_path: Path) -> None:
    """Found by review: the lie of one that was taken over outlived it, as long as the agent."""

    async def scenario() -> None:
        wired = Wired(tmp_path, lambda capsule: None)
        lie = replace(inspected(1, b"voted"), charge="1")
        wired.theirs.send(lie)
        assert await wired.inspect(b"voted") == lie
        await wired.stop()
        wired.theirs.close()
        wired.wire()
        truth = inspected(2, b"voted")
        wired.theirs.send(truth)
        assert await wired.inspect(b"voted") == truth
        wired.close()

    asyncio.run(asyncio.wait_for(scenario(), 10))


@pytest.mark.parametrize("packet", [b"", b"{", b"\xff" * 200, b"[]" * 40_000])
def test_garbage_from_a_broker_ends_the_broker_and_not_the_agent(
    tmp_path: Path, packet: bytes
) -> None:
    async def scenario() -> None:
        wired = Wired(tmp_path, lambda capsule: None)
        wired.raw.send(packet) if packet else wired.raw.close()
        with pytest.raises(Problem):
            await wired.inspect(b"bundle")
        wired.close()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_descriptor_that_is_no_memory_does_not_leave_a_unit_waiting(tmp_path: Path) -> None:
    """Found by review: reading a pipe's raised in the loop's reader, and the answer never came."""

    async def scenario() -> None:
        wired = Wired(tmp_path, lambda capsule: None)
        reader, writer = os.pipe()
        os.write(writer, b"x")
        socket.send_fds(wired.raw, [encode(Advanced(1, 1, 2))], [reader])
        with pytest.raises(MessageRefused):
            await wired.inspect(b"bundle")
        os.close(reader)
        os.close(writer)
        wired.close()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_broker_that_talks_without_end_fills_no_memory(tmp_path: Path) -> None:
    """Found by review: between units everything that it sent was kept, attachments too."""

    async def scenario() -> None:
        wired = Wired(tmp_path, lambda capsule: None)
        life = (await wired._up()).life
        wired.raw.setblocking(False)
        sent = 0
        for _ in range(20):
            try:
                while True:
                    wired.theirs.send(Advanced(0, 1, 2))
                    sent += 1
            except Problem:
                pass  # the kernel's buffer is full
            for _ in range(50):
                await asyncio.sleep(0)
        assert sent > MAXIMUM_INBOX
        assert life.unread == MAXIMUM_INBOX
        wired.close()

    asyncio.run(asyncio.wait_for(scenario(), 20))


# --- by a disk that is full ---


def test_a_broker_whose_ledger_cannot_be_kept_is_not_left_running(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by review: nobody held it any more, and every further try left one more behind."""
    journal = Journal(stage.scene.identity.state)
    process = stage.scene.workshop(journal).broker
    begun: list[BrokerLife] = []

    async def begin() -> BrokerLife:
        """A child of ours in the broker's place: the real one never runs as root."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            child = await asyncio.create_subprocess_exec("sleep", "60", pass_fds=[theirs.fileno()])
            Channel(theirs).send(broker_program.without_capsules(["nothing"]))
        begun.append(BrokerLife(child, Channel(ours)))
        return begun[-1]

    def full(seen: object) -> None:
        raise DiskFull("the disk is full", remedy="free some space")

    monkeypatch.setattr(broker, "begin", begin)
    monkeypatch.setattr(journal, "keep_ledger", full)

    async def scenario() -> None:
        with pytest.raises(DiskFull):
            await process.ready()
        assert [life.over for life in begun] == [True]

    try:
        asyncio.run(scenario())
    finally:
        journal.close()


@pytest.mark.parametrize("write", ["keep_report", "keep_statement", "begin_round", "end_exchange"])
def test_a_disk_that_fills_up_ends_no_loop_and_repeats_nothing(stage: Stage, write: str) -> None:
    first, second = (stage.scene.territory.order(stage.scene.plan) for _ in range(2))

    async def plot(agent: Agent) -> None:
        whole = getattr(agent.journal, write)
        failing = 0

        def fail(*arguments: Any, **named: Any) -> Any:
            nonlocal failing
            if first.attempt in stage.scheduler.given and failing < 1:
                failing += 1
                raise DiskFull("the disk is full", remedy="free some space")
            return whole(*arguments, **named)

        setattr(agent.journal, write, fail)
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(first))
        if write in {"keep_report", "begin_round", "keep_statement"}:
            await stage.scheduler.until(lambda: first.attempt in stage.scheduler.given)
            await stage.scheduler.until(
                lambda: bool(failing) and first.attempt not in stage.scheduler.batches[-1].held
            )
            await stage.scheduler.say(lambda: stage.scheduler.orders.append(second))
            wanted = second.attempt
        else:
            wanted = first.attempt
        await stage.scheduler.until(lambda: wanted in stage.scheduler.reports)
        assert failing == 1
        assert stage.scheduler.reports[wanted].outcome is Outcome.CONTRIBUTED

    stage.play(plot)
    assert len(stage.scheduler.stored) == 1


# --- by files of its own user, when root starts it ---


@ROOT_ONLY
def test_root_gives_away_nothing_that_a_link_in_the_state_directory_names(tmp_path: Path) -> None:
    """Found by review: a hard link to a file of root's became the worker's own."""
    state, precious = tmp_path / "state", tmp_path / "shadow"
    state.mkdir(mode=0o700)
    precious.write_text("root's")
    os.link(precious, state / "journal.sqlite")
    with pytest.raises(StateUnreadable):
        privileges.hand_over(state, Account("somebody", SOMEBODY, SOMEBODY))
    assert precious.stat().st_uid == 0


@ROOT_ONLY
def test_root_hands_over_no_directory_that_is_a_link(tmp_path: Path) -> None:
    """Found by review: `--state` in somebody's own directory could point at any other one."""
    target, state = tmp_path / "etc", tmp_path / "state"
    target.mkdir()
    (target / "passwd").write_text("root's")
    state.symlink_to(target)
    with pytest.raises(StateUnreadable):
        privileges.hand_over(state, Account("somebody", SOMEBODY, SOMEBODY))
    assert (target / "passwd").stat().st_uid == target.stat().st_uid == 0


@ROOT_ONLY
def test_links_inside_a_state_directory_are_not_followed(tmp_path: Path) -> None:
    target, state = tmp_path / "etc", tmp_path / "state"
    target.mkdir()
    (target / "passwd").write_text("root's")
    (state / "roots").mkdir(parents=True)
    (state / "roots" / "1.json").write_text("{}")
    (state / "more").symlink_to(target)
    privileges.hand_over(state, Account("somebody", SOMEBODY, SOMEBODY))
    assert (state / "roots" / "1.json").stat().st_uid == SOMEBODY
    assert (target / "passwd").stat().st_uid == target.stat().st_uid == 0


@ROOT_ONLY
def test_root_runs_no_program_that_somebody_else_may_write() -> None:
    """Found by review: a staged copy in a directory of the worker's would have run as root."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        home = Path(folder)
        home.chmod(0o755)
        (theirs := home / "theirs").mkdir()
        os.chown(theirs, SOMEBODY, SOMEBODY)
        (anybodys := home / "anybodys").mkdir()
        anybodys.chmod(0o777)
        (home / "link").symlink_to(theirs)
        for place in (theirs, anybodys, home / "link"):
            for target in (place, place / "program"):
                with pytest.raises(RuntimeUnreadable, match="changed by others"):
                    staging.stage(target)


def test_worker_stop_signals_only_the_owner_of_the_state_directory(tmp_path: Path) -> None:
    """Found by review: `worker stop` by root ended whatever process the lock file named."""
    lock = tmp_path / program.LOCK_NAME
    lock.write_text("0\n")
    holding = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", holding, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        for named in ("0", "1" if os.geteuid() else "4194999", "4194999"):
            lock.write_text(f"{named}\n")
            with pytest.raises(NotRunning):
                program.running_process(tmp_path)
        lock.write_text(f"{holder.pid}\n")
        assert program.running_process(tmp_path) == holder.pid
        if os.geteuid() == 0:
            os.chown(tmp_path, SOMEBODY, SOMEBODY)  # its user wrote root's process there
            with pytest.raises(NotRunning):
                program.running_process(tmp_path)
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("name", ["node.key", "hpke.key", "tls.key"])
def test_a_private_key_that_others_may_read_is_not_used(stage: Stage, name: str) -> None:
    """Found by review: only the first of the three was looked at."""
    state = stage.scene.identity.state
    (state / name).chmod(0o640)
    with pytest.raises(Problem, match="other users"):
        identity.load(state)


@pytest.mark.parametrize("spoil", ["stray root", "no roots", "certificate", "names"])
def test_a_damaged_identity_is_refused_in_words(stage: Stage, spoil: str) -> None:
    """Found by review: a stray file beside the roots ended the program with a traceback."""
    state = stage.scene.identity.state
    match spoil:
        case "stray root":
            (state / "roots" / "backup.json").write_text("{}")
        case "no roots":
            (state / "roots" / "1.json").unlink()
        case "certificate":
            (state / "certificate.pem").write_bytes(b"\xff\x00")
        case "names":
            (state / "identity.json").write_bytes(b"[]")
    with pytest.raises(Problem):
        identity.load(state)


# --- by whoever reads what it shows ---


def test_no_secret_stands_in_logs_status_or_representations(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    order = stage.scene.territory.order(stage.scene.plan)
    caplog.set_level(logging.DEBUG)

    async def plot(agent: Agent) -> None:
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)
        await stage.scheduler.until(lambda: not stage.scheduler.batches[-1].reports)

    stage.play(plot)
    keys = stage.scene.identity.keys
    shown = caplog.text + repr(stage.conditions) + repr(stage.scene.identity)
    seed, private = keys.node.seed, keys.hpke.private_bytes_raw()
    for secret in (str(order.token), seed.hex(), repr(seed)[2:-1], private.hex()):
        assert secret not in shown
    assert repr(private)[2:-1] not in shown
