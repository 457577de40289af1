from __future__ import annotations

import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from capsule_runtime.capsules import decisions
from capsule_runtime.capsules.errors import (
    CapsuleMissing,
    ConsentExpired,
    ConsentMissing,
    ConsentRefused,
    ConsentRevoked,
    ConsentStale,
    OwnerDirectoryRefused,
)
from capsule_runtime.consents import (
    FILE_NAME,
    ConsentGate,
    ConsentStore,
    read_directory,
    verify,
)
from durable.errors import DiskFull
from trust.documents import signed
from trust.documents.consent import Consent, Decision
from trust.ids import CapsuleId, Digest, WorkerId
from trust.keys import PublicKey

BUNDLE = Digest.of(b"bundle")
PURPOSE = "mobilité"
TARGETS = {"bundle": str(BUNDLE), "purpose": "purpose:mobilité"}


class Host:
    """A consent store and its gate, with the owners that it knows."""

    def __init__(self, world: Any, state: Path) -> None:
        self.world = world
        self.owners: dict[CapsuleId, PublicKey] = {}
        self.store = ConsentStore(state)
        self.gate = ConsentGate(self.store, self.owner, worker=world.card.worker, territory="demo")

    def owner(self, capsule: Any) -> Any:
        if capsule not in self.owners:
            raise CapsuleMissing("no such capsule is hosted here")
        return self.owners[capsule]

    def welcome(self) -> Any:
        key = self.world.owner()
        self.owners[key.capsule] = key.signing.public
        return key

    def add(self, *raws: Any) -> Any:
        return self.store.add(raws, self.owner)

    def ask(self, key: Any, tables: tuple[str, ...] = ("commute",)) -> Any:
        return self.gate.live_consent(key.capsule, BUNDLE, PURPOSE, tables, self.world.clock.now())


@pytest.fixture
def host(world: Any, state: Path) -> Any:
    opened = Host(world, state)
    yield opened
    opened.store.close()


def test_the_default_is_no(host: Any) -> None:
    with pytest.raises(ConsentMissing, match="default is no"):
        host.ask(host.welcome())
    with pytest.raises(CapsuleMissing):
        host.ask(host.world.owner())


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_yes_counts_until_it_ends_or_is_withdrawn(host: Any, world: Any, target: str) -> None:
    key = host.welcome()
    raw = world.consent(key, target, days=30)
    assert host.add(raw).accepted == 1
    assert host.ask(key).digest == Digest.of(raw)
    world.clock.advance(30 * 86_400 - 1)
    host.ask(key)
    world.clock.advance(1)
    with pytest.raises(ConsentExpired):
        host.ask(key)
    host.add(world.consent(key, target, 2))
    host.ask(key)
    world.clock.advance(1)
    host.add(world.consent(key, target, 3, Decision.REVOKE))
    with pytest.raises(ConsentRevoked):
        host.ask(key)
    world.clock.advance(400 * 86_400)  # a withdrawal never ends
    with pytest.raises(ConsentRevoked):
        host.ask(key)


def test_an_old_serial_is_refused_and_a_repeated_envelope_is_not(host: Any, world: Any) -> None:
    key = host.welcome()
    yes, no = world.consent(key, BUNDLE, 1), world.consent(key, BUNDLE, 2, Decision.REVOKE)
    host.add(yes, no)
    outcome = host.add(no, yes, world.consent(key, BUNDLE, 2))
    assert (outcome.accepted, outcome.unchanged) == (0, 1)
    assert [(place, problem.code) for place, problem in outcome.refused] == [
        (1, "consent-stale-serial"),
        (2, "consent-stale-serial"),
    ]
    assert isinstance(outcome.refused[0][1], ConsentStale)
    with pytest.raises(ConsentRevoked):
        host.ask(key)


def test_a_bad_consent_does_not_hold_up_a_withdrawal(host: Any, world: Any) -> None:
    key, stranger = host.welcome(), world.owner()
    host.add(world.consent(key, BUNDLE))
    outcome = host.add(
        b"noise", world.consent(stranger, BUNDLE), world.consent(key, BUNDLE, 2, Decision.REVOKE)
    )
    assert outcome.accepted == 1
    assert [problem.code for _, problem in outcome.refused] == [
        "consent-refused",
        "capsule-missing",
    ]
    with pytest.raises(ConsentRevoked):
        host.ask(key)


def test_only_the_owner_in_the_signed_header_decides(host: Any, world: Any) -> None:
    key, thief = host.welcome(), world.owner()
    forged = type(key)(key.capsule, thief.signing, key.capsule_key)
    (refusal,) = host.add(world.consent(forged, BUNDLE)).refused
    assert isinstance(refusal[1], ConsentRefused)


def test_more_than_twelve_months_is_refused_on_both_sides(host: Any, world: Any) -> None:
    key = host.welcome()
    with pytest.raises(ConsentRefused):
        world.consent(key, BUNDLE, days=367)
    made = verify(world.consent(key, BUNDLE), host.owner).document
    longer = type(made)(**{**made.__dict__, "expires_at": made.expires_at + timedelta(days=9)})
    raw = signed.sign(longer, [key.signing]).envelope.raw
    assert host.add(raw).refused[0][1].code == "consent-refused"


def test_tables_host_and_territory_must_match(host: Any, world: Any) -> None:
    key = host.welcome()
    host.add(world.consent(key, BUNDLE, tables=("commute",)))
    with pytest.raises(ConsentMissing, match="health"):
        host.ask(key, ("commute", "health"))
    for worker, territory in ((WorkerId.draw(world.entropy), "demo"), (world.card.worker, "x")):
        gate = ConsentGate(host.store, host.owner, worker=worker, territory=territory)
        with pytest.raises(ConsentMissing, match="another worker"):
            gate.live_consent(key.capsule, BUNDLE, PURPOSE, ["commute"], world.clock.now())


def test_a_consent_from_the_future_waits(host: Any, world: Any) -> None:
    key = host.welcome()
    world.clock.jump(3600)
    host.add(world.consent(key, BUNDLE))
    world.clock.jump(-3600)
    with pytest.raises(ConsentMissing, match="clock"):
        host.ask(key)


@pytest.mark.parametrize(
    ("words", "live"),
    [
        # (target, decision) in the order in which the owner says them, a second apart
        ([("purpose", "grant"), ("bundle", "revoke")], False),
        ([("bundle", "revoke"), ("purpose", "grant")], False),
        ([("bundle", "grant"), ("purpose", "revoke")], False),
        ([("purpose", "revoke"), ("bundle", "grant")], True),
        ([("bundle", "revoke"), ("bundle", "grant")], True),
        ([("purpose", "grant"), ("bundle", "grant")], True),
    ],
)
def test_two_words_of_one_owner(host: Any, world: Any, words: Any, live: bool) -> None:
    key = host.welcome()
    serials = {"bundle": 0, "purpose": 0}
    for target, decision in words:
        serials[target] += 1
        host.add(world.consent(key, TARGETS[target], serials[target], Decision(decision)))
        world.clock.advance(1)
    if live:
        assert host.ask(key).consent.decision is Decision.GRANT
    else:
        with pytest.raises(ConsentRevoked):
            host.ask(key)


def test_a_live_purpose_helps_out_for_an_expired_bundle_consent(host: Any, world: Any) -> None:
    key = host.welcome()
    host.add(world.consent(key, BUNDLE, days=1), world.consent(key, TARGETS["purpose"]))
    world.clock.advance(2 * 86_400)
    assert host.ask(key).consent.target == TARGETS["purpose"]


def test_an_edited_store_opens_nothing(host: Any, world: Any, state: Path) -> None:
    key, other = host.welcome(), host.welcome()
    host.add(world.consent(key, BUNDLE, 1), world.consent(other, BUNDLE, 1, Decision.REVOKE))
    with sqlite3.connect(state / FILE_NAME) as connection:
        (raw,) = connection.execute(
            "SELECT envelope FROM consent WHERE capsule=?", (key.capsule,)
        ).fetchone()
        connection.execute(
            "UPDATE consent SET decision='grant', envelope=? WHERE capsule=?", (raw, other.capsule)
        )
    connection.close()
    with pytest.raises(ConsentRefused):
        host.ask(other)


def test_erased_capsules_leave_no_consent(host: Any, world: Any, state: Path) -> None:
    key = host.welcome()
    host.add(world.consent(key, BUNDLE))
    host.store.erase([key.capsule])
    assert host.store.decisions() == []
    assert key.capsule.encode() not in b"".join(path.read_bytes() for path in state.iterdir())


def test_a_full_disk_keeps_the_old_words(host: Any, world: Any) -> None:
    keys = [host.welcome() for _ in range(80)]
    host.add(world.consent(keys[0], BUNDLE))
    run = host.store._database.connection.execute
    run(f"PRAGMA max_page_count={run('PRAGMA page_count').fetchone()[0] + 3}")
    with pytest.raises(DiskFull):
        host.add(*[world.consent(key, BUNDLE, 2, Decision.REVOKE) for key in keys])
    host.ask(keys[0])
    assert len(host.store.decisions()) == 1


def test_filed_decisions_give_the_last_words(world: Any, tmp_path: Path) -> None:
    key, other = world.owner(), world.owner()
    with pytest.raises(OwnerDirectoryRefused):
        read_directory(tmp_path)
    made = [
        signed.verify_self_named(Consent, raw, "owner")
        for raw in (
            world.consent(key, BUNDLE, 1),
            world.consent(key, BUNDLE, 10, Decision.REVOKE),
            world.consent(key, BUNDLE, 9),
            world.consent(other, TARGETS["purpose"], 1),
        )
    ]
    decisions.write_decisions(tmp_path, made)
    assert decisions.last_serials(tmp_path)[key.capsule, decisions.target_tag(BUNDLE)] == 10
    found = {
        signed.verify_self_named(Consent, raw, "owner").document.serial
        for raw in read_directory(tmp_path)
    }
    assert found == {1, 10}
    (tmp_path / "consents" / "stray.consent").write_text("")
    with pytest.raises(OwnerDirectoryRefused, match="named"):
        read_directory(tmp_path)


def test_bulk_import_keeps_pace(host: Any, world: Any) -> None:
    keys = [host.welcome() for _ in range(500)]
    raws = [world.consent(key, BUNDLE) for key in keys]
    start = time.perf_counter()
    assert host.add(*raws).accepted == 500
    assert time.perf_counter() - start < 2  # 5,000 in 5 s asks for 1 ms each; 0.2 ms is usual
