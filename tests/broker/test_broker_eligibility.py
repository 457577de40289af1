"""Who takes part: the default is no, and every doubt leaves a capsule out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hosting import Owner, host, people

from capsule_runtime.broker.eligibility import Cohort, Register, Use, eligible
from capsule_runtime.capsules import grants
from capsule_runtime.capsules.card import WorkerCard, make_card, verify_card
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentGate, ConsentStore
from trust.clock import SystemClock
from trust.documents.consent import PURPOSE_PREFIX, Decision, revocation_token
from trust.documents.rules import DataClass, PrivacyUnit
from trust.entropy import SYSTEM
from trust.ids import CapsuleId, Digest
from trust.keys import PrivateKey

BUNDLE, OTHER = Digest.of(b"bundle"), Digest.of(b"other")
USE = Use(
    bundle=BUNDLE,
    purpose="mobility planning",
    tables={"commute": ("home_sector", "mode")},
    classes=(DataClass.PERSONAL,),
    unit=PrivacyUnit.OWNER,
)
PURPOSE = PURPOSE_PREFIX + USE.purpose
CLOCK = SystemClock()


class House:
    """A worker with three owners who said yes to `target`."""

    def __init__(self, state: Path, target: str = BUNDLE) -> None:
        node, hpke = PrivateKey.generate(SYSTEM), X25519PrivateKey.generate()
        raw = make_card(node, hpke, territory="t.example", operator="o", site="s")
        self.card: WorkerCard = verify_card(raw)
        self.owners: list[Owner] = people(3)
        host(state, self.card, self.owners, target)
        self.store, self.consents = CapsuleStore(state, CLOCK), ConsentStore(state)

    def cohort(self, use: Use = USE, revoked: frozenset[Digest] = frozenset()) -> Cohort:
        return eligible(self._register(revoked), use, CLOCK.now())

    def later(self, days: int) -> Cohort:
        return eligible(self._register(frozenset()), USE, CLOCK.now() + timedelta(days=days))

    def _register(self, revoked: frozenset[Digest]) -> Register:
        gate = ConsentGate(
            self.consents,
            self.store.owners().__getitem__,
            worker=self.card.worker,
            territory="t.example",
        )
        return Register(self.card.worker, self.store, self.consents, gate, revoked)

    def say(self, owner: Owner, decision: Decision, serial: int, target: str = BUNDLE) -> None:
        raw = owner.decide(self.card, target, CLOCK.now(), decision, serial)
        assert self.consents.add([raw], self.store.owner).accepted == 1

    def names(self, cohort: Cohort) -> set[CapsuleId]:
        return {charge.capsule for charge in cohort.charges}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_whoever_said_yes_takes_part(house: House) -> None:
    cohort = house.cohort()
    assert house.names(cohort) == {owner.capsule for owner in house.owners}
    assert cohort.data_class is DataClass.PERSONAL
    assert len(cohort.tokens) == 6


def test_the_default_is_no(tmp_path: Path) -> None:
    assert House(tmp_path, OTHER).cohort().charges == ()


def test_a_yes_to_the_purpose_counts(tmp_path: Path) -> None:
    assert len(House(tmp_path, PURPOSE).cohort().charges) == 3


def test_a_withdrawal_counts(house: House) -> None:
    house.say(house.owners[0], Decision.REVOKE, 2)
    assert house.owners[0].capsule not in house.names(house.cohort())


def test_a_withdrawal_that_only_governance_knows_counts(house: House) -> None:
    leaver = house.owners[1].capsule
    for target in (BUNDLE, PURPOSE):
        cohort = house.cohort(revoked=frozenset({revocation_token(leaver, target)}))
        assert house.names(cohort) == {owner.capsule for owner in house.owners} - {leaver}
        assert revocation_token(leaver, target) not in cohort.tokens


def test_a_later_yes_to_the_bundle_outweighs_a_known_no_to_the_purpose(house: House) -> None:
    owner = house.owners[0]
    # The "no" to the purpose is dated before the "yes" to this very bundle.
    early = owner.decide(house.card, PURPOSE, CLOCK.now() - timedelta(days=1), Decision.REVOKE, 1)
    assert house.consents.add([early], house.store.owner).accepted == 1
    listed = frozenset({revocation_token(owner.capsule, PURPOSE)})
    cohort = house.cohort(revoked=listed)
    assert owner.capsule in house.names(cohort)
    # And the listed token does not stop the running unit over and over.
    assert cohort.tokens.isdisjoint(listed)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": (DataClass.COMPANY, DataClass.PUBLIC)},
        {"unit": PrivacyUnit.PERSON},
        {"tables": {"commute": ("income",)}},
        {"tables": {"health": ("mode",)}},
    ],
    ids=["class", "unit", "column", "table"],
)
def test_a_capsule_that_does_not_fit_is_left_out(house: House, change: dict[str, object]) -> None:
    assert house.cohort(replace(USE, **change)).charges == ()  # type: ignore[arg-type]


def test_grants_and_consents_run_out(house: House) -> None:
    assert len(house.later(6).charges) == 3
    assert house.later(8).charges == ()


def test_a_grant_for_another_worker_opens_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    stranger, owner = House(tmp_path / "other"), house.owners[0]
    raw = grants.issue(
        owner.capsule,
        owner.capsule_key,
        owner.key,
        stranger.card,
        now=CLOCK.now(),
        entropy=SYSTEM,
        lifetime=timedelta(days=30),
    )
    house.store.add([], [raw])
    # The other worker's longer grant does not lengthen ours.
    assert house.later(8).charges == ()
