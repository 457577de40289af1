"""One unit without a sandbox: who is charged, when, and what ends it or does not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hosting import Owner, host, people

from capsule_runtime import guard
from capsule_runtime.broker import boot, unit
from capsule_runtime.broker.channel import Channel
from capsule_runtime.broker.errors import JournalMissing
from capsule_runtime.broker.messages import (
    MAXIMUM_PACKET_BYTES,
    Contribute,
    Contributed,
    Failed,
    Inspect,
    Message,
    Setup,
)
from capsule_runtime.broker.program import Program
from capsule_runtime.broker.service import Broker, reconciled
from capsule_runtime.capsules.card import make_card, verify_card
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentStore
from capsule_runtime.errors import JobRefused
from capsule_runtime.guard import Judged, Verdict
from capsule_runtime.ledger import Charge, Checkpoint, Ledger, MissingRound
from capsule_runtime.ledger.chain import START
from capsule_runtime.sandbox.model import Job, Outcome, Status
from capsule_runtime.sandbox.zygote import Zygote
from jobs import archive
from protection.errors import CohortTooSmall
from trust.clock import SystemClock
from trust.documents.rules import PrivacyUnit
from trust.entropy import SYSTEM, seeded
from trust.ids import CampaignId, CapsuleId, Digest
from trust.keys import PrivateKey

CLOCK = SystemClock()
FOLDER = Path(__file__).parents[2] / "jobs" / "bundles" / "commute_flows"
CAMPAIGN = CampaignId.draw(seeded(b"campaign"))
PEOPLE = 24


def bundle(*changes: tuple[bytes, bytes]) -> archive.Bundle:
    """`commute_flows` with its manifest edited."""
    files = {
        name: (FOLDER / name).read_bytes() for name in ("algorithm.py", "bundle.toml", "README.md")
    }
    for before, after in changes:
        assert before in files["bundle.toml"]
        files["bundle.toml"] = files["bundle.toml"].replace(before, after)
    return archive.read(archive.pack(files))


@dataclass
class FakeZygote:
    """Answers every run with one person in the first cell."""

    runs: int = 0

    @contextlib.contextmanager
    def load(self, job: Job) -> Iterator[Job]:
        yield job

    def run(self, job: Job, data: bytes) -> Outcome:
        self.runs += 1
        frame = np.zeros((9, 9, 6), "<i8")
        frame[0, 0, 0] = 1
        return Outcome(Status.ok, frame.tobytes())


@dataclass
class FakeLine:
    """Gives every capsule's key and never interrupts."""

    keys: dict[CapsuleId, bytes]
    charged: list[int] = field(default_factory=list)

    def key(self, capsule: CapsuleId) -> bytes | None:
        return self.keys[capsule]

    def reserved(self, capsules: int, checkpoint: Checkpoint) -> None:
        self.charged.append(capsules)

    def advanced(self, done: int, total: int) -> None:
        """Nobody looks."""

    def check(self, tokens: Collection[Digest], seconds: float = 0.0) -> None:
        """Time passes at once."""
        threading.Event().wait(seconds)

    def revoked(self) -> frozenset[Digest]:
        return frozenset()

    def withdrawals(self) -> int:
        return 0


class House:
    """A worker with `PEOPLE` owners who said yes to `commute_flows`, edited."""

    def __init__(self, state: Path, *changes: tuple[bytes, bytes]) -> None:
        node, hpke = PrivateKey.generate(SYSTEM), X25519PrivateKey.generate()
        card = verify_card(make_card(node, hpke, territory="t.example", operator="o", site="s"))
        self.program = Program(bundle(*changes))
        self.owners: list[Owner] = people(PEOPLE)
        host(state, card, self.owners, self.program.bundle)
        self.ledger = Ledger(state, CLOCK)
        self.runtime = unit.Runtime(
            store=CapsuleStore(state, CLOCK),
            consents=ConsentStore(state),
            ledger=self.ledger,
            worker=card.worker,
            territory="t.example",
            clock=CLOCK,
            entropy=SYSTEM,
        )
        self.zygote = FakeZygote()
        self.line = FakeLine({owner.capsule: owner.capsule_key for owner in self.owners})

    def contribute(self, parameters: bytes = b"{}") -> Contributed:
        sandboxed = unit.Sandboxed(cast("Zygote", self.zygote), self.program, parameters)
        order = Contribute(1, CAMPAIGN, 1, "mobility")
        return unit.contribute(self.runtime, sandboxed, order, self.line)[0]

    def setup(self, seen: Checkpoint) -> Setup:
        """What an agent whose journal has seen `seen` says first."""
        return Setup("/", "t.example", self.runtime.worker, ("numpy",), seen.counter, seen.hash)


def test_everybody_is_charged_once_and_counted(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert house.contribute().contributors == PEOPLE == house.zygote.runs
    assert house.line.charged == [PEOPLE]


def test_parameters_that_make_no_job_charge_nobody(tmp_path: Path) -> None:
    house = House(tmp_path)
    with pytest.raises(JobRefused):
        house.contribute(b"[]")
    assert house.ledger.checkpoint() == START


def test_too_few_capsules_charge_nobody(tmp_path: Path) -> None:
    house = House(
        tmp_path,
        (b"minimum_capsules = 20", b"minimum_capsules = 25"),
        (b"minimum_contributors = 20", b"minimum_contributors = 25"),
    )
    with pytest.raises(CohortTooSmall):
        house.contribute()
    assert house.ledger.checkpoint() == START


def test_too_few_capsules_of_many_persons_charge_nobody(tmp_path: Path) -> None:
    """How many persons there are is not known yet, how many capsules is."""
    rules = tuple(replace(rule, minimum_capsules=25) for rule in House(tmp_path).program.rules)
    program = cast("Program", _Persons(rules))
    with pytest.raises(CohortTooSmall):
        unit._require_size(program, 24)
    unit._require_size(program, 25)


def test_too_few_who_can_pay_run_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    spent = [Charge(owner.capsule, owner.key.public) for owner in house.owners[:5]]
    house.ledger.reserve(spent, CampaignId.draw(SYSTEM), 1, Fraction(1))
    with pytest.raises(CohortTooSmall):
        house.contribute()
    assert house.zygote.runs == 0


@dataclass(frozen=True)
class _Persons:
    """The parts of a program over company capsules that the sum looks at."""

    rules: tuple[Any, ...]
    unit: PrivacyUnit = PrivacyUnit.PERSON


def test_a_capsule_over_the_maximum_is_nobody_and_the_unit_goes_on(tmp_path: Path) -> None:
    rules = tuple(
        replace(rule, minimum_contributors=2, maximum_contributors=30)
        for rule in House(tmp_path).program.rules
    )
    program, total = cast("Program", _Persons(rules)), guard.Sum(rules)
    one = guard.neutral(rules)
    one["flows"][0, 0, 0] = 1
    judged = Judged(one, Verdict.ACCEPTED)
    assert unit._add(program, total, ((judged, 20),)) == 0
    assert unit._add(program, total, ((judged, 20),)) == 1
    assert unit._add(program, total, ((judged, 10),)) == 0
    assert (total.cohort.contributors, total.cohort.capsules) == (30, 3)
    assert total.values["flows"][0, 0, 0] == 30


# --- a journal that is gone ---


def test_a_used_ledger_without_its_journal_is_not_served(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.contribute()
    with pytest.raises(JournalMissing):
        reconciled(house.runtime, house.setup(START), [])


def test_a_broker_that_ends_tells_why_and_leaves_whole_files(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.contribute()
    for store in (house.runtime.store, house.runtime.consents, house.ledger):
        store.close()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        Channel(ours).send(replace(house.setup(START), state=str(tmp_path)), (b"",))
        with pytest.raises(JournalMissing):
            boot.start(theirs)
        answer, _ = Channel(ours).receive()
    assert isinstance(answer, Failed)
    assert answer.code == "journal-missing"
    # Nothing waits in a write-ahead log that a copy of the file alone would miss.
    assert not list(tmp_path.glob("*-wal"))


def test_a_crash_between_the_first_charge_and_its_checkpoint_is_served(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.contribute()
    begun = [MissingRound(CAMPAIGN, 1, Fraction(1, 10))]
    present = house.ledger.checkpoint()
    assert reconciled(house.runtime, house.setup(START), begun) == present
    assert reconciled(house.runtime, house.setup(present), []) == present


def test_a_new_worker_is_served(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert reconciled(house.runtime, house.setup(START), []) == START


# --- an answer that is too long ---


def test_a_manifest_that_fits_no_packet_is_a_refusal_and_not_the_end(tmp_path: Path) -> None:
    house = House(tmp_path)
    choices = b", ".join(b'"%05d%s"' % (n, b"x" * 75) for n in range(MAXIMUM_PACKET_BYTES // 75))
    raw = bundle(
        (
            b"[needs]",
            b'[parameters]\nmode = { type = "choice", choices = [%s] }\n\n[needs]' % choices,
        )
    ).raw
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    answers: list[Message] = []
    with theirs:
        broker = Broker(Channel(theirs), house.runtime, None, ("numpy",))
        serving = threading.Thread(target=broker.serve)
        serving.start()
        with ours:
            for number, content in enumerate((raw, house.program.bundle_file.raw), start=1):
                Channel(ours).send(Inspect(number), (content,))
                answers.append(Channel(ours).receive()[0])
        serving.join()
    assert isinstance(answers[0], Failed)
    assert answers[0].code == "bundle-unfit"
    assert type(answers[1]).__name__ == "Inspected"
