"""A worker whose ledger and journal were put back together is found, and contributes nothing."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import pytest
from fake_registry import FakeRegistry
from fakes import FakeBroker
from hosting import people
from scene import Scene
from worker_territory import NAME

from capsule_runtime.ledger import Charge, Checkpoint, Ledger
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from governance.status.server import StatusServer
from trust.documents import signed
from trust.documents.campaign import UnitKind
from trust.documents.consent import Consent, Decision
from trust.documents.reporting import AttemptReport
from trust.entropy import SYSTEM, seeded
from trust.ids import CampaignId, CapsuleId, Digest
from trust.keys import PrivateKey
from wire.errors import Unreachable
from worker import checkpoints
from worker.checkpoints import Checkpoints
from worker.errors import CheckpointUnacknowledged, LedgerRolledBack
from worker.journal import Journal, SeenLedger
from worker.undertaking import MAXIMUM_OPEN_ROUNDS, undertake
from worker.workshop import Workshop


@dataclass
class Bench:
    """A worker with a fake broker and a registry, given one campaign after another."""

    home: Path
    patience: float = 0.0
    scene: Scene = field(init=False)

    def __post_init__(self) -> None:
        self.scene = Scene(self.home, 2)
        self.scene.authorisation = self.scene.territory.authorisation(
            self.scene.facts, images=(self.scene.image,), campaigns=99, rho_budget="99"
        )
        self.journal = Journal(self.scene.identity.state)
        self.broker = FakeBroker(self.scene)
        self.registry = FakeRegistry(self.scene.territory.status_key)
        self.checkpoints = self.asking(self.registry)

    def asking(self, post: Callable[[str, bytes], Awaitable[bytes]]) -> Checkpoints:
        return Checkpoints(
            lambda: self.scene.identity,
            self.journal.ledger,
            post,
            clock=self.scene.clock,
            entropy=SYSTEM,
            patience=self.patience,
        )

    def require(self) -> None:
        asyncio.run(self.checkpoints.require())

    def workshop(self) -> Workshop:
        return replace(
            self.scene.workshop(self.journal),
            broker=self.broker,
            checkpoint=self.checkpoints.require,
        )

    def attempt(self, name: bytes) -> AttemptReport:
        campaign = CampaignId.draw(seeded(name))
        territory = self.scene.territory
        self.scene.plan = territory.plan(self.scene.facts, b"{}", campaign=campaign)
        received = self.scene.received()
        return asyncio.run(undertake(self.workshop(), received, lambda done, total: None))

    def said(self, name: bytes) -> object:
        return self.journal.statement(CampaignId.draw(seeded(name)), 1, UnitKind.CONTRIBUTE)

    def grow(self, counter: int) -> None:
        self.journal.keep_ledger(SeenLedger(counter, bytes([counter]) * 32))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_every_new_contribution_is_acknowledged_before_the_charge_and_after(bench: Bench) -> None:
    async def charged() -> None:
        bench.grow(10)

    bench.broker.during = charged
    assert bench.attempt(b"one").reason == ""
    assert [asked.counter for asked in bench.registry.asked] == [0, 10]
    # What was said before is said again, without asking anybody.
    assert bench.attempt(b"one").reason == ""
    assert len(bench.registry.asked) == 2


def test_an_old_copy_charges_nobody_and_says_why(bench: Bench) -> None:
    bench.grow(20)
    bench.require()
    bench.journal._file._connection.execute("UPDATE counter SET ledger_counter=10")
    report = bench.attempt(b"one")
    assert (report.outcome.value, report.reason) == ("refused", "ledger-rolled-back")
    assert "at 20" in report.sentence
    assert "ends at 10" in report.sentence
    assert bench.broker.runs == 0
    assert bench.checkpoints.rolled_back
    assert "[ledger-rolled-back]" in bench.checkpoints.problem
    # The newest copy is back: nothing stands in its way.
    bench.grow(20)
    assert bench.attempt(b"one").reason == ""
    assert not bench.checkpoints.rolled_back
    assert bench.checkpoints.problem == ""


def test_a_copy_that_was_charged_differently_is_found_at_the_same_counter(bench: Bench) -> None:
    bench.grow(10)
    bench.require()
    bench.journal._file._connection.execute("UPDATE counter SET ledger_hash=zeroblob(32)")
    with pytest.raises(LedgerRolledBack, match="another privacy ledger"):
        bench.require()


def test_a_sum_leaves_only_after_its_charge_is_known_at_the_registry(bench: Bench) -> None:
    """Else a copy from before the charge would say the counter that the registry has."""

    async def charged() -> None:
        bench.grow(10)
        bench.registry.lose = 1

    bench.broker.during = charged
    assert bench.attempt(b"one").reason == "checkpoint-unacknowledged"
    assert bench.said(b"one") is None
    bench.broker.during = FakeBroker(bench.scene).during
    assert bench.attempt(b"one").reason == ""


def test_a_registry_that_does_not_answer_stops_contributions_and_is_named(bench: Bench) -> None:
    bench.registry.lose = 99
    report = bench.attempt(b"one")
    assert (report.outcome.value, report.reason) == ("not-ready", "checkpoint-unacknowledged")
    assert "the answer was lost" in report.sentence
    assert bench.broker.runs == 0
    assert not bench.checkpoints.rolled_back  # nobody signed that
    assert bench.checkpoints.problem


def test_a_lost_answer_is_asked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, patience=30.0)
    bench.registry.lose = 1
    bench.require()
    first, second = bench.registry.asked
    assert first.nonce != second.nonce


def test_neither_a_forged_nor_an_earlier_answer_counts(bench: Bench) -> None:
    answers: list[bytes] = []

    async def replaying(address: str, body: bytes) -> bytes:
        answers.append(await bench.registry(address, body))
        return answers[0]

    bench.checkpoints = bench.asking(replaying)
    bench.require()
    with pytest.raises(CheckpointUnacknowledged, match="another question"):
        bench.require()
    bench.checkpoints = bench.asking(FakeRegistry(PrivateKey.generate(SYSTEM)))
    with pytest.raises(CheckpointUnacknowledged, match="not its own"):
        bench.require()
    assert not bench.checkpoints.rolled_back


@contextmanager
def governance(folder: Path, bench: Bench) -> Iterator[str]:
    """The real status server, in which one owner chose the worker; its status address."""
    scene = bench.scene
    registry = Registry(folder, NAME, SYSTEM)
    owner = PrivateKey.generate(SYSTEM)
    line = Consent(
        territory=NAME,
        capsule=CapsuleId.draw(SYSTEM),
        worker=scene.identity.worker,
        owner=owner.public,
        serial=1,
        decision=Decision.GRANT,
        target="purpose:mobility",
        tables=("trips",),
        issued_at=scene.territory.now,
        expires_at=scene.territory.now.replace(year=scene.territory.now.year + 1),
    )
    assert registry.submit([signed.sign(line, [owner]).envelope.raw], scene.clock.now()).accepted
    publisher = Publisher(
        registry, NAME, scene.territory.status_key, folder / "status.json", scene.clock
    )
    server = StatusServer(("127.0.0.1", 0), registry, publisher, scene.clock)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield f"{server.url}/checkpoints"
    finally:
        server.close()
        thread.join()
        registry.close()


def test_a_ledger_and_journal_restored_together_are_found_by_the_registry(
    bench: Bench, tmp_path: Path
) -> None:
    """Both agree with each other, so the machine alone sees nothing: issue 3, part 2."""
    state, copy = bench.scene.identity.state, tmp_path / "copy"
    charges = [Charge(owner.capsule, owner.key.public) for owner in people(3)]

    def reserve(name: bytes) -> None:
        ledger = Ledger(state, bench.scene.clock)
        head = ledger.reserve(charges, CampaignId.draw(seeded(name)), 1, Fraction(1, 10)).checkpoint
        bench.journal.keep_ledger(SeenLedger(head.counter, head.hash))
        ledger.close()

    with governance(tmp_path / "G", bench) as address:

        async def post(_: str, body: bytes) -> bytes:
            return await checkpoints.post(address, body)

        reserve(b"one")
        bench.checkpoints = bench.asking(post)
        bench.require()
        copy.mkdir()
        bench.journal.close()
        for path in state.glob("*.sqlite*"):
            shutil.copy(path, copy)
        bench.journal = Journal(state)
        bench.checkpoints = bench.asking(post)
        reserve(b"two")
        bench.require()
        # The keeper puts everything back as it was after the first round.
        bench.journal.close()
        for path in state.glob("*.sqlite*"):
            path.unlink()
        for path in copy.iterdir():
            shutil.copy(path, state)
        bench.journal = Journal(state)
        ledger, seen = Ledger(state, bench.scene.clock), bench.journal.ledger()
        ledger.confirm(Checkpoint(seen.counter, seen.hash))  # here nothing is wrong
        ledger.close()
        bench.checkpoints = bench.asking(post)
        report = bench.attempt(b"two")
        assert report.reason == "ledger-rolled-back"
        assert bench.broker.runs == 0


def test_a_worker_that_no_owner_chose_is_told_so(bench: Bench, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "G", NAME, SYSTEM)
    publisher = Publisher(
        registry, NAME, bench.scene.territory.status_key, tmp_path / "s", bench.scene.clock
    )
    server = StatusServer(("127.0.0.1", 0), registry, publisher, bench.scene.clock)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:

        async def post(_: str, body: bytes) -> bytes:
            return await checkpoints.post(f"{server.url}/checkpoints", body)

        bench.checkpoints = bench.asking(post)
        with pytest.raises(CheckpointUnacknowledged, match="checkpoint-unexpected"):
            bench.require()
    finally:
        server.close()
        thread.join()
        registry.close()


def test_nothing_listens(bench: Bench) -> None:
    async def post(_: str, body: bytes) -> bytes:
        return await checkpoints.post("http://127.0.0.1:9/checkpoints", body)

    bench.checkpoints = bench.asking(post)
    with pytest.raises(CheckpointUnacknowledged, match="does not answer"):
        bench.require()


def test_rounds_that_are_begun_and_never_answered_are_bounded(bench: Bench) -> None:
    """A scheduler that cancels every unit would charge the owners for nothing, again and again."""
    for number in range(MAXIMUM_OPEN_ROUNDS):
        bench.broker.failures.append(Unreachable("the unit was cancelled"))
        assert bench.attempt(b"open %d" % number).reason == "unreachable"
    assert bench.attempt(b"one more").reason == "too-many-open-rounds"
    assert bench.broker.runs == MAXIMUM_OPEN_ROUNDS
    # A repetition of one of them is none more, and its answer closes it.
    assert bench.attempt(b"open 0").reason == ""
    assert bench.attempt(b"one more").reason == ""


def test_digests_and_counters_are_all_that_leaves(bench: Bench) -> None:
    bench.grow(10)
    bench.require()
    (asked,) = bench.registry.asked
    assert asked.head == Digest.from_bytes(bytes([10]) * 32)
    assert set(vars(asked)) == {
        "territory", "worker", "key", "counter", "head", "nonce", "made_at"
    }  # fmt: skip
