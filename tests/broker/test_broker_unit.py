"""One unit without a sandbox: who is charged, when, and what ends it or does not."""

from __future__ import annotations

import contextlib
import socket
import sys
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

from capsule_runtime import encrypting, guard
from capsule_runtime.broker import boot, protecting, unit
from capsule_runtime.broker.channel import Channel
from capsule_runtime.broker.errors import JournalMissing, NobodyEligible, SealingUnfit
from capsule_runtime.broker.messages import (
    MAXIMUM_PACKET_BYTES,
    Contribute,
    Contributed,
    Failed,
    Inspect,
    Message,
    Sealing,
    Setup,
    encode,
)
from capsule_runtime.broker.program import Program
from capsule_runtime.broker.service import Broker, failed, reconciled
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
from jobs.aggregate import require_partial
from jobs.errors import ParametersRefused
from protection import columns
from protection.ckks import masks, packing, residues, scheme
from protection.ckks.errors import KeyMaterialRefused, ProfileRefused, TensealMissing
from protection.ckks.profile import PRODUIT, SOMME, check_admission
from protection.errors import CohortTooSmall, NoiselessRefused, RingOverflow, SeedRefused
from protection.layout import Layout, Role, Vector
from protection.scope import Binding, Scope
from protection.seeds import open_seed
from protection.shares import MaskSum, ShareSum, combine
from trust.clock import SystemClock
from trust.documents.rules import DataClass, PrivacyUnit
from trust.entropy import SYSTEM, seeded
from trust.ids import CampaignId, CapsuleId, Digest, ReportId
from trust.keys import PrivateKey
from trust.parameters import RoundParameters
from trust.problem import Problem

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


class SlotClock(SystemClock):
    """Today, but what is waited for takes no time."""

    passed = 0.0

    def boottime(self) -> float:
        return self.passed


@dataclass
class FakeLine:
    """Gives every capsule's key and never interrupts."""

    keys: dict[CapsuleId, bytes]
    clock: SlotClock
    charged: list[int] = field(default_factory=list)

    def key(self, capsule: CapsuleId) -> bytes | None:
        return self.keys[capsule]

    def reserved(self, capsules: int, checkpoint: Checkpoint) -> None:
        self.charged.append(capsules)

    def advanced(self, done: int, total: int) -> None:
        """Nobody looks."""

    def check(self, tokens: Collection[Digest], seconds: float = 0.0) -> None:
        """Time passes at once."""
        self.clock.passed += seconds

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
            clock=SlotClock(),
            entropy=SYSTEM,
        )
        self.zygote = FakeZygote()
        keys = {owner.capsule: owner.capsule_key for owner in self.owners}
        self.line = FakeLine(keys, cast("SlotClock", self.runtime.clock))

    def contribute(self, parameters: bytes = b"{}") -> Contributed:
        return self.halves(parameters)[0]

    def halves(
        self,
        parameters: bytes = b"{}",
        sealing: Sealing | None = None,
        public: bytes | None = None,
    ) -> tuple[Contributed, tuple[bytes, ...]]:
        sandboxed = unit.Sandboxed(cast("Zygote", self.zygote), self.program, parameters)
        order = Contribute(1, CAMPAIGN, 1, "mobility", sealing)
        return unit.contribute(self.runtime, sandboxed, order, self.line, public)

    def setup(self, seen: Checkpoint) -> Setup:
        """What an agent whose journal has seen `seen` says first."""
        return Setup("/", "t.example", self.runtime.worker, ("numpy",), seen.counter, seen.hash)


def test_everybody_is_charged_once_and_counted(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert house.contribute().contributors == PEOPLE == house.zygote.runs
    assert house.line.charged == [PEOPLE]


def test_a_sum_leaves_at_the_end_of_a_slot_whenever_it_was_ready(tmp_path: Path) -> None:
    house = House(tmp_path)
    clock, run = house.line.clock, house.zygote.run

    def slowly(job: Job, data: bytes) -> Outcome:
        clock.passed += 0.1
        return run(job, data)

    house.zygote.run = slowly  # type: ignore[method-assign]
    house.contribute()
    assert clock.passed == pytest.approx(3 * unit.SLOT_SECONDS)  # after 24 runs of 0.1 s


def test_parameters_that_make_no_job_charge_nobody(tmp_path: Path) -> None:
    house = House(tmp_path)
    with pytest.raises(JobRefused):
        house.contribute(b"[]")
    assert house.ledger.checkpoint() == START


SEVERAL = (b"[rounds]\nmaximum = 1", b"[state.model]\nshape = [2]\n\n[rounds]\nmaximum = 3")


@pytest.mark.parametrize(
    ("number", "weights"),
    [
        (1, [0.0, 1e-300]),
        (2, [np.nan, 0.0]),
        (2, [np.inf, 0.0]),
        (2, [-1e13, 0.0]),
        (2, [0.0]),
        (2, [[0.0, 0.0]]),
    ],
)
def test_a_state_that_is_none_charges_nobody(
    tmp_path: Path, number: int, weights: list[float]
) -> None:
    house = House(tmp_path, SEVERAL)
    state = columns.encode({"state": {"model": np.array(weights)}})
    with pytest.raises(ParametersRefused):
        house.contribute(RoundParameters(b"{}", number, state).encode())
    assert house.ledger.checkpoint() == START
    assert house.zygote.runs == 0
    honest = columns.encode({"state": {"model": np.zeros(2)}})
    house.contribute(RoundParameters(b"{}", number, honest).encode())
    assert house.line.charged == [PEOPLE]


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


def test_skipped_capsules_are_named_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what leaves the broker nor its log says who could not pay, or how many."""
    caplog.set_level(0)
    house = House(tmp_path)
    poor = house.owners[:3]
    spent = [Charge(owner.capsule, owner.key.public) for owner in poor]
    house.ledger.reserve(spent, CampaignId.draw(SYSTEM), 1, Fraction(1))
    before = house.ledger.checkpoint().counter
    answer, halves = house.halves()
    assert answer.capsules == answer.contributors == PEOPLE - 3
    # Twenty-one links, as nineteen or thirty would have: in tens.
    assert house.ledger.checkpoint().counter == before + 30
    # The next round: nobody can pay, and what is said of it counts nobody.
    rest = [Charge(owner.capsule, owner.key.public) for owner in house.owners[3:]]
    house.ledger.reserve(rest, CampaignId.draw(SYSTEM), 1, Fraction(9, 10))
    order = Contribute(1, CampaignId.draw(SYSTEM), 1, "mobility", None)
    with pytest.raises(Problem) as caught:
        unit.contribute(
            house.runtime,
            unit.Sandboxed(cast("Zygote", house.zygote), house.program, b"{}"),
            order,
            house.line,
        )
    told = failed(1, caught.value)
    assert told.code == "budget-exhausted"
    said = [encode(answer), encode(told), *halves, caplog.text.encode()]
    for owner in house.owners:
        for name in (owner.capsule, str(owner.key.public), owner.key.public.raw):
            raw = name if isinstance(name, bytes) else name.encode()
            assert not any(raw in text for text in said)
    for count in (3, PEOPLE):
        assert str(count) not in told.sentence.replace("1/10", "")


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


# --- shared ---

SHARED = (b'protection = "clear"', b'protection = "shared"')
HELPER = X25519PrivateKey.generate()
REPORT = ReportId.draw(seeded(b"report"))


def sealing() -> Sealing:
    return Sealing(HELPER.public_key().public_bytes_raw(), Digest.of(b"plan"), REPORT)


def opened(house: House, share: bytes, sealed: bytes) -> dict[str, Any]:
    """What both institutions together would see, without their noise."""
    scope = Scope(
        "t.example", CAMPAIGN, 1, house.program.bundle, Digest.of(b"plan"), Digest.of(b"{}")
    )
    seed = open_seed(sealed, HELPER, Binding(scope, house.runtime.worker, REPORT))
    layout = Layout.of(house.program.rules)
    zeros = guard.neutral(house.program.rules)
    shares, masks = ShareSum(layout), MaskSum(layout)
    shares.add(Vector.decode(layout, Role.SHARE, share))
    masks.add(seed)
    return combine(shares.answer(zeros), masks.answer(zeros))


def test_a_shared_sum_leaves_in_two_halves_without_noise(tmp_path: Path) -> None:
    house = House(tmp_path, SHARED)
    answer, (share, sealed) = house.halves(sealing=sealing())
    assert answer.contributors == PEOPLE
    assert set(answer.variances.values()) == {"0"}
    assert house.line.charged == [PEOPLE]
    flows = opened(house, share, sealed)["flows"]
    assert flows[0, 0, 0] == PEOPLE == flows.sum()
    layout = Layout.of(house.program.rules)
    leader = Vector.decode(layout, Role.SHARE, share)
    # The leader's half: no cell of it is small, as every cell of the truth is.
    assert np.count_nonzero(leader.elements(layout.slots[0]) < 2 * PEOPLE) <= 1


def test_a_repetition_draws_a_fresh_seed_and_charges_nobody_again(tmp_path: Path) -> None:
    house = House(tmp_path, SHARED)
    first = house.halves(sealing=sealing())
    charged = house.ledger.checkpoint()
    second = house.halves(sealing=sealing())
    assert first[1] != second[1]
    assert first[0].rho == second[0].rho
    assert house.ledger.checkpoint() == charged


def test_shared_needs_no_minimum_on_one_worker(tmp_path: Path) -> None:
    house = House(
        tmp_path,
        SHARED,
        (b"minimum_capsules = 20", b"minimum_capsules = 25"),
        (b"minimum_contributors = 20", b"minimum_contributors = 25"),
    )
    assert house.halves(sealing=sealing())[0].contributors == PEOPLE


@pytest.mark.parametrize("shared", [True, False])
def test_sealing_and_protection_go_together_before_anybody_pays(
    tmp_path: Path,
    shared: bool,
) -> None:
    house = House(tmp_path, *([SHARED] if shared else []))
    with pytest.raises(SealingUnfit):
        house.halves(sealing=None if shared else sealing())
    assert house.ledger.checkpoint() == START


# --- encrypted ---


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"short"])
def test_a_helpers_key_that_nothing_can_be_sealed_to_charges_nobody(
    tmp_path: Path, key: bytes
) -> None:
    """Certified by the helper itself: the last moment to find out is before anybody pays."""
    house = House(tmp_path, SHARED)
    with pytest.raises(SeedRefused):
        house.halves(sealing=replace(sealing(), helper=key))
    assert house.ledger.checkpoint() == START


ENCRYPTED = (b'protection = "clear"', b'protection = "encrypted"')
PROFILED = replace(sealing(), profile=SOMME.name)


@pytest.fixture(scope="module")
def epoch() -> scheme.KeyPair:
    return scheme.generate(SOMME)


def decrypted(house: House, epoch: scheme.KeyPair, masked: bytes, sealed: bytes) -> dict[str, Any]:
    """What helper and keyholder together would see, without noise."""
    scope = Scope(
        "t.example", CAMPAIGN, 1, house.program.bundle, Digest.of(b"plan"), Digest.of(b"{}")
    )
    seed = open_seed(sealed, HELPER, Binding(scope, house.runtime.worker, REPORT))
    opened = scheme.Decryptor(SOMME, epoch.secret).decrypt(
        masks.unmasked(residues.parse(masked, SOMME), masks.mask_of(SOMME, seed))
    )
    return packing.unpack(SOMME, house.program.rules, opened, ciphertexts=1, contributors=PEOPLE)


def test_an_encrypted_sum_leaves_masked_and_without_noise(
    tmp_path: Path, epoch: scheme.KeyPair
) -> None:
    house = House(tmp_path, ENCRYPTED)
    answer, (masked, sealed) = house.halves(sealing=PROFILED, public=epoch.public)
    assert answer.contributors == PEOPLE
    assert set(answer.variances.values()) == {"0"}
    assert house.line.charged == [PEOPLE]
    require_partial(house.program.rules, masked, rounds=1)
    flows = decrypted(house, epoch, masked, sealed)["flows"]
    assert flows[0, 0, 0] == PEOPLE == flows.sum()


def test_the_keyholder_alone_sees_garbage(tmp_path: Path, epoch: scheme.KeyPair) -> None:
    house = House(tmp_path, ENCRYPTED)
    _, (masked, _) = house.halves(sealing=PROFILED, public=epoch.public)
    alone = scheme.Decryptor(SOMME, epoch.secret).decrypt(residues.parse(masked, SOMME))
    assert packing.find_faults(
        SOMME, house.program.rules, alone, ciphertexts=1, contributors=PEOPLE
    ) == set(packing.Fault) - {packing.Fault.SHAPE}


def test_a_repeated_encryption_has_a_fresh_seed_and_charges_nobody_again(
    tmp_path: Path, epoch: scheme.KeyPair
) -> None:
    house = House(tmp_path, ENCRYPTED)
    first = house.halves(sealing=PROFILED, public=epoch.public)
    charged = house.ledger.checkpoint()
    second = house.halves(sealing=PROFILED, public=epoch.public)
    assert not set(first[1]) & set(second[1])
    assert house.ledger.checkpoint() == charged


@pytest.mark.parametrize(
    ("order", "public"),
    [
        (None, None),
        (sealing(), None),
        (sealing(), b"key"),
        (PROFILED, None),
        (replace(PROFILED, profile="produit"), b"key"),
        (replace(PROFILED, profile=""), b"key"),
    ],
)
def test_keys_that_do_not_go_with_encrypted_charge_nobody(
    tmp_path: Path, order: Sealing | None, public: bytes | None
) -> None:
    house = House(tmp_path, ENCRYPTED)
    with pytest.raises(SealingUnfit):
        house.halves(sealing=order, public=public)
    assert house.ledger.checkpoint() == START


@pytest.mark.parametrize("change", [(), (SHARED,)])
def test_an_epochs_key_without_encryption_charges_nobody(
    tmp_path: Path, change: tuple[tuple[bytes, bytes], ...]
) -> None:
    house = House(tmp_path, *change)
    for order, public in ((PROFILED, b"key"), (sealing() if change else None, b"key")):
        with pytest.raises(SealingUnfit):
            house.halves(sealing=order, public=public)
    assert house.ledger.checkpoint() == START


# --- products ---

PRODUCT = (
    (b'classes = ["personal"]', b'classes = ["public"]'),
    (b'release = "flows"\n', b""),
    (b"suppress_below = 20\n", b'product = "both"\n'),
    (
        b'noise = { mechanism = "discrete_gaussian", rho = "0.1" }',
        b'noise = { mechanism = "none" }',
    ),
    (b"maximum_contributors = 1000000", b"maximum_contributors = 1000"),
    ENCRYPTED,
)
MULTIPLIED = replace(sealing(), profile=PRODUIT.name)


def product_house(state: Path) -> House:
    """The bundle releases `flows` times `again`; the capsules on the worker are personal."""
    text = (FOLDER / "bundle.toml").read_bytes()
    first = text[text.index(b"[release.flows]") : text.index(b"[report.flows]")]
    second = first.replace(b"[release.flows]", b"[release.again]")
    return House(state, (first, first + second), *PRODUCT)


def test_a_product_never_opens_a_personal_capsule(tmp_path: Path) -> None:
    house = product_house(tmp_path)
    with pytest.raises(NobodyEligible):  # each has the tables, a grant and a consent
        house.halves(sealing=MULTIPLIED, public=scheme.generate(PRODUIT).public)
    assert house.zygote.runs == 0
    assert house.ledger.checkpoint() == START


@pytest.mark.parametrize("data_class", [DataClass.PERSONAL, DataClass.COMPANY])
def test_a_product_over_other_capsules_is_not_encrypted(
    tmp_path: Path, data_class: DataClass
) -> None:
    """Whatever brought them here: the broker judges by the class of the capsules themselves."""
    house, public = product_house(tmp_path), scheme.generate(PRODUIT).public
    total = guard.Sum(house.program.rules)
    total.add_capsule(((Judged(guard.neutral(house.program.rules), Verdict.ACCEPTED), 1),))
    order = Contribute(1, CAMPAIGN, 1, "mobility", MULTIPLIED)
    protector = protecting.prepare(house.program, order, public)
    reporter = protecting.Reporter("t.example", house.runtime.worker)
    with pytest.raises(NoiselessRefused):
        protector.protect(total, order, b"{}", reporter, SYSTEM, data_class=data_class)
    with pytest.raises(ProfileRefused):
        check_admission(PRODUIT, house.program.rules, data_class)
    made, halves = protector.protect(
        total, order, b"{}", reporter, SYSTEM, data_class=DataClass.PUBLIC
    )
    assert made.variances == {"flows": "0", "again": "0"}
    require_partial(house.program.rules, halves[0], rounds=1)


@pytest.mark.parametrize("order", [PROFILED, sealing(), replace(PROFILED, profile="")])
def test_a_product_under_another_profiles_key_charges_nobody(
    tmp_path: Path, order: Sealing
) -> None:
    house = product_house(tmp_path)
    with pytest.raises(SealingUnfit):
        house.halves(sealing=order, public=b"key")
    assert house.ledger.checkpoint() == START


# --- encrypted: keys that are none ---


def test_bytes_that_are_no_public_key_charge_nobody(tmp_path: Path, epoch: scheme.KeyPair) -> None:
    house = House(tmp_path, ENCRYPTED)
    cut = epoch.public[: len(epoch.public) // 2]
    for public in (b"", b"no key", cut, epoch.secret, scheme.generate(PRODUIT).public):
        with pytest.raises(KeyMaterialRefused):
            house.halves(sealing=PROFILED, public=public)
    assert house.ledger.checkpoint() == START


def test_without_tenseal_nobody_is_charged(
    tmp_path: Path, epoch: scheme.KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, ENCRYPTED)
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(TensealMissing):
        house.halves(sealing=PROFILED, public=epoch.public)
    assert house.ledger.checkpoint() == START


@pytest.mark.parametrize("missing", ["tenseal", "backports", "backports.zstd"])
def test_only_who_can_encrypt_says_so(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    assert encrypting.libraries() == ("tenseal",)
    monkeypatch.delitem(sys.modules, "backports.zstd", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    assert encrypting.libraries() == ()


def test_more_owners_than_a_ciphertext_has_room_for_charge_nobody(
    tmp_path: Path, epoch: scheme.KeyPair
) -> None:
    # 699,051 steps each: 23 make a sum that fits 2^24, one worker's partial has half that room.
    house = House(
        tmp_path,
        ENCRYPTED,
        (b"bound = 1 }", b"bound = 699051 }"),
        (b"maximum_contributors = 1000000", b"maximum_contributors = 23"),
    )
    with pytest.raises(RingOverflow, match="room for 11"):
        house.halves(sealing=PROFILED, public=epoch.public)
    assert house.ledger.checkpoint() == START


def test_persons_over_the_room_of_a_ciphertext_are_nobody(tmp_path: Path) -> None:
    rules = tuple(
        replace(rule, bound="699051", maximum_contributors=23)
        for rule in House(tmp_path, ENCRYPTED).program.rules
    )
    program, total = cast("Program", _Persons(rules)), guard.Sum(rules)
    most = guard.neutral(rules)
    most["flows"][0, 0, 0] = 699051
    judged = Judged(most, Verdict.ACCEPTED)
    assert unit._add(program, total, ((judged, 11),)) == 0
    assert unit._add(program, total, ((judged, 1),)) == 1
    assert (total.cohort.contributors, total.cohort.capsules) == (11, 2)
    packing.pack(SOMME, rules, total.values)


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
