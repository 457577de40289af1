"""The registry: pinned owners, highest serial wins, durable, bounded; and what it publishes."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.errors import StateRefused
from governance.status import registry as registries
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from tests.governance.territory import ENTROPY, NAME, NOW, WORKER, consent
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.consent import Decision, revocation_token
from trust.documents.governance import Status, Suspended, Suspension
from trust.ids import AuthorisationId, CapsuleId, WorkerId
from trust.keys import PrivateKey

OWNER = PrivateKey.generate(ENTROPY)
OTHER = PrivateKey.generate(ENTROPY)
COLLEGE = PrivateKey.generate(ENTROPY)
STATUS = PrivateKey.generate(ENTROPY)


def capsule() -> CapsuleId:
    return CapsuleId.draw(ENTROPY)


def opened(folder: Path, territory: str = NAME) -> Registry:
    return Registry(folder, territory, ENTROPY)


def live(registry: Registry, moment: timedelta = timedelta()) -> int:
    counts = registry.snapshot(NOW + moment).live_consents
    return sum(sum(workers.values()) for workers in counts.values())


def test_nobody_consents_by_default(tmp_path: Path) -> None:
    snapshot = opened(tmp_path).snapshot(NOW)
    assert snapshot.live_consents == {}
    assert snapshot.revoked == ()


def test_a_grant_counts_for_its_worker_and_target_until_it_expires(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    elsewhere = WorkerId.from_bytes(bytes(16))
    lines = [
        consent(OWNER, capsule()),
        consent(OWNER, capsule(), worker=elsewhere),
        consent(OTHER, capsule(), days=10),
    ]
    assert registry.submit(lines, NOW) == registries.Receipt(3, 0, ())
    assert registry.snapshot(NOW).live_consents == {"purpose:mobility": {WORKER: 2, elsewhere: 1}}
    assert live(registry, timedelta(days=10)) == 2
    assert live(registry, timedelta(days=366)) == 0


def test_the_highest_serial_wins_and_an_old_one_never_comes_back(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    mine = capsule()
    granted = consent(OWNER, mine, serial=1)
    withdrawn = consent(OWNER, mine, serial=2, decision=Decision.REVOKE)
    assert registry.submit([granted, withdrawn], NOW).accepted == 2
    assert registry.snapshot(NOW).revoked == (revocation_token(mine, "purpose:mobility"),)
    receipt = registry.submit([granted], NOW)
    assert [refused.code for refused in receipt.refused] == ["consent-stale-serial"]
    assert registry.submit([withdrawn], NOW) == registries.Receipt(0, 1, ())
    again = consent(OWNER, mine, serial=3)
    assert registry.submit([again], NOW).accepted == 1
    assert registry.snapshot(NOW).revoked == ()
    assert live(registry) == 1


def test_a_revocation_outlives_every_grant_that_it_withdraws(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    mine = capsule()
    registry.submit([consent(OWNER, mine, decision=Decision.REVOKE, days=1)], NOW)
    assert registry.snapshot(NOW + timedelta(days=399)).revoked
    assert not registry.snapshot(NOW + timedelta(days=401)).revoked


def test_refusals_give_their_code_and_take_nothing_else_down(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    mine = capsule()
    good = consent(OWNER, mine)
    lines = [
        good,
        b"nonsense",
        good.replace(b'"sig":"', b'"sig":"AAAA', 1)[:-8] + good[-8:],
        consent(OTHER, mine, serial=9),
        consent(OWNER, capsule(), territory="elsewhere.example"),
        consent(OWNER, capsule(), issued=NOW + timedelta(hours=1)),
        consent(OWNER, capsule(), issued=NOW - timedelta(days=30), days=30),
        consent(OWNER, capsule(), days=401),
        consent(OWNER, capsule(), serial=-1),
        consent(OWNER, capsule(), target="everything"),
    ]
    receipt = registry.submit(lines, NOW)
    assert receipt.accepted == 1
    assert [refused.index for refused in receipt.refused] == list(range(1, len(lines)))
    assert [refused.code for refused in receipt.refused] == [
        "malformed", "malformed", "consent-owner-changed", "consent-other-territory",
        "consent-out-of-time", "consent-out-of-time", "consent-out-of-time",
        "consent-malformed", "consent-malformed",
    ]  # fmt: skip
    assert live(registry) == 1


def test_a_full_registry_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "MAXIMUM_CONSENTS", 2)
    registry = opened(tmp_path)
    mine = capsule()
    lines = [consent(OWNER, mine), consent(OWNER, capsule()), consent(OWNER, capsule())]
    receipt = registry.submit(lines, NOW)
    assert (receipt.accepted, [r.code for r in receipt.refused]) == (2, ["registry-full"])
    withdrawn = consent(OWNER, mine, serial=2, decision=Decision.REVOKE)
    assert registry.submit([withdrawn], NOW).accepted == 1  # changing one's mind needs no room


def test_the_database_names_no_owner_and_no_capsule(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    mine = capsule()
    registry.submit([consent(OWNER, mine)], NOW)
    registry.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("registry.sqlite*"))
    assert mine.encode() not in raw
    assert OWNER.public.raw not in raw
    assert str(OWNER.public).encode() not in raw


def test_what_was_answered_is_there_after_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path)
    mine = capsule()
    first.submit([consent(OWNER, mine, serial=5)], NOW)
    number = first.numbers.next()
    # No close: as after a kill.
    second = opened(tmp_path)
    assert live(second) == 1
    assert second.numbers.next() > number
    assert second.submit([consent(OTHER, mine, serial=6)], NOW).refused[0].code == (
        "consent-owner-changed"
    )


@pytest.mark.parametrize("version", [3, 99])
def test_a_future_schema_is_refused(tmp_path: Path, version: int) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "registry.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(StateRefused, match="schema"):
        opened(tmp_path)


def test_a_foreign_damaged_or_saltless_folder_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "one").close()
    with pytest.raises(StateRefused, match="registry of"):
        opened(tmp_path / "one", "elsewhere.example")
    (tmp_path / "one" / "registry.salt").unlink()
    with pytest.raises(StateRefused, match="missing"):
        opened(tmp_path / "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "registry.salt").write_bytes(bytes(32))
    (tmp_path / "two" / "registry.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(StateRefused, match="SQLite"):
        opened(tmp_path / "two")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 5), st.booleans()), min_size=1, max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_any_order_of_arrival_ends_in_the_same_state(
    decisions: list[tuple[int, int, bool]], shuffled: random.Random
) -> None:
    """A model of the rule: per capsule, the decision with the highest serial."""
    capsules = [CapsuleId.from_bytes(bytes([n]) * 16) for n in range(3)]
    unique = {(c, s): (c, s, g) for c, s, g in decisions}  # one decision per serial
    order = list(unique.values())
    shuffled.shuffle(order)
    with tempfile.TemporaryDirectory() as folder:
        _check_order(Path(folder), capsules, order)


def _check_order(
    folder: Path, capsules: list[CapsuleId], order: list[tuple[int, int, bool]]
) -> None:
    registry = opened(folder)
    for number, serial, granted in order:
        decision = Decision.GRANT if granted else Decision.REVOKE
        registry.submit([consent(OWNER, capsules[number], serial=serial, decision=decision)], NOW)
    newest: dict[int, tuple[int, bool]] = {}
    for number, serial, granted in order:
        if number not in newest or serial > newest[number][0]:
            newest[number] = (serial, granted)
    snapshot = registry.snapshot(NOW)
    assert live(registry) == sum(granted for _, granted in newest.values())
    assert set(snapshot.revoked) == {
        revocation_token(capsules[number], "purpose:mobility")
        for number, (_, granted) in newest.items()
        if not granted
    }
    registry.close()


# --- publishing ---


def publisher(folder: Path, registry: Registry, clock: ManualClock) -> Publisher:
    return Publisher(registry, NAME, STATUS, folder / "status.json", clock)


def status_of(raw: bytes) -> Status:
    return signed.verify(Status, raw, {STATUS.public}).document


def suspension() -> signed.Signed[Suspension]:
    stop = Suspension(NAME, AuthorisationId.draw(ENTROPY), "why", NOW)
    return signed.sign(stop, [COLLEGE])


def test_a_status_is_valid_24_hours_and_renewed_hourly(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    publishing = publisher(tmp_path, opened(tmp_path), clock)
    first = publishing.published
    assert status_of(first.raw).expires_at - NOW == timedelta(hours=24)
    clock.advance(3599)
    assert publishing.refresh() is first
    clock.advance(1)
    second = publishing.refresh()
    assert second.number > first.number
    assert (tmp_path / "status.json").read_bytes() == second.raw


def test_a_change_is_published_at_once_also_one_by_another_process(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    publishing = publisher(tmp_path, opened(tmp_path), clock)
    assert status_of(publishing.published.raw).suspensions == ()
    other = opened(tmp_path)  # as the command line opens it
    stop = suspension()
    assert other.suspend(stop)
    assert not other.suspend(stop)
    status = status_of(publishing.refresh().raw)
    assert status.suspensions == (Suspended(stop.document.authorisation, "why"),)


def test_a_clock_that_jumps_back_does_not_stop_publishing(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    publishing = publisher(tmp_path, opened(tmp_path), clock)
    first = publishing.published
    clock.jump(-7200)
    second = publishing.refresh()
    assert second.number > first.number
    assert status_of(second.raw).issued_at == NOW - timedelta(hours=2)


def test_failed_not_stored_number_skips_and_the_old_status_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up between the number and the file."""
    from durable.errors import StorageFailed
    from governance.status import publisher as module

    clock = ManualClock(NOW)
    publishing = publisher(tmp_path, opened(tmp_path), clock)
    first = publishing.published

    def full(path: Path, _data: bytes) -> None:
        raise StorageFailed.writing(path, OSError(28, "No space left on device"))

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomic", full)
        with pytest.raises(StorageFailed):
            publishing.publish()
    assert publishing.published is first
    assert (tmp_path / "status.json").read_bytes() == first.raw
    assert publishing.publish().number == first.number + 2


def test_failed_but_stored_a_restart_goes_on_above_it(tmp_path: Path) -> None:
    """The file was written and the answer lost: nothing with that number is signed again."""
    clock = ManualClock(NOW)
    number = publisher(tmp_path, opened(tmp_path), clock).publish().number
    restarted = publisher(tmp_path, opened(tmp_path), clock)
    assert restarted.publish().number == number + 1
