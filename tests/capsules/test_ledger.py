from __future__ import annotations

import shutil
import sqlite3
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from capsule_runtime.capsules.errors import (
    BudgetExhausted,
    DatabaseRefused,
    LedgerConflict,
    LedgerRestored,
)
from capsule_runtime.ledger import FILE_NAME, Charge, Checkpoint, Ledger, MissingRound
from durable.errors import DiskFull
from trust.clock import ManualClock, from_text
from trust.entropy import seeded
from trust.ids import CampaignId, CapsuleId
from trust.keys import PrivateKey

TENTH = Fraction(1, 10)
CLOCK = ManualClock(from_text("2026-11-22T12:00:00Z"))


@pytest.fixture
def ledger(state: Path) -> Any:
    opened = Ledger(state, CLOCK)
    yield opened
    opened.close()


def charge(world: Any) -> Charge:
    key = world.owner()
    return Charge(key.capsule, key.signing.public)


def campaign(world: Any) -> CampaignId:
    return CampaignId.draw(world.entropy)


def test_a_retry_is_charged_once(world: Any, ledger: Any, state: Path) -> None:
    one, run = charge(world), campaign(world)
    first = ledger.reserve([one], run, 1, TENTH)
    # The answer was lost after the commit: the same question gets the same answer.
    ledger.close()
    again = Ledger(state, CLOCK)
    assert again.reserve([one], run, 1, TENTH) == first
    assert again.spent(one.owner) == TENTH
    again.reserve([one], run, 2, TENTH)
    assert again.spent(one.owner) == 2 * TENTH
    again.close()


def test_a_retry_at_another_price_is_refused(world: Any, ledger: Any) -> None:
    one, two, run = charge(world), charge(world), campaign(world)
    ledger.reserve([one], run, 1, TENTH)
    with pytest.raises(LedgerConflict):
        ledger.reserve([two, one], run, 1, Fraction(1, 20))
    assert ledger.spent(two.owner) == 0


def test_who_cannot_pay_is_skipped_without_a_name(world: Any, ledger: Any) -> None:
    poor, rich = charge(world), charge(world)
    for number in range(10):
        ledger.reserve([poor], campaign(world), number + 1, TENTH)
    assert ledger.spent(poor.owner) == 1
    split = ledger.reserve([poor, rich], campaign(world), 1, TENTH)
    assert split.reserved == {rich.capsule}
    assert split.skipped == {poor.capsule}
    before = ledger.checkpoint()
    with pytest.raises(BudgetExhausted) as caught:
        ledger.reserve([poor], campaign(world), 1, TENTH)
    assert caught.value.skipped == {poor.capsule}
    assert poor.capsule not in str(caught.value)
    assert not caught.value.ids
    assert ledger.checkpoint() == before


def test_two_capsules_of_one_owner_cost_four_times(world: Any, ledger: Any) -> None:
    one = charge(world)
    two = Charge(CapsuleId.draw(world.entropy), one.owner)
    ledger.reserve([one, two], campaign(world), 1, TENTH)
    assert ledger.spent(one.owner) == 4 * TENTH


def test_a_full_disk_charges_nothing(world: Any, ledger: Any) -> None:
    batch, run = [charge(world) for _ in range(300)], campaign(world)
    execute = ledger._database.connection.execute
    execute(f"PRAGMA max_page_count={execute('PRAGMA page_count').fetchone()[0] + 3}")
    before = ledger.checkpoint()
    with pytest.raises(DiskFull):
        ledger.reserve(batch, run, 1, TENTH)
    assert ledger.checkpoint() == before
    execute("PRAGMA max_page_count=1000000")
    assert len(ledger.reserve(batch, run, 1, TENTH).reserved) == 300


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET rho='1/1000' WHERE counter=2",
        "DELETE FROM entry WHERE counter=2",
        "UPDATE account SET spent='0'",
        "DELETE FROM account",
        "UPDATE entry SET counter=9 WHERE counter=3",
    ],
)
def test_an_edited_ledger_refuses_to_start(
    world: Any, ledger: Any, state: Path, statement: str
) -> None:
    ledger.reserve([charge(world) for _ in range(3)], campaign(world), 1, TENTH)
    ledger.close()
    with sqlite3.connect(state / FILE_NAME) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(DatabaseRefused, match="damaged"):
        Ledger(state, CLOCK)


def restored(world: Any, state: Path, tmp_path: Path) -> Any:
    """A ledger that forgot a round: (old copy, reopened; what was seen; what is missing)."""
    ledger = Ledger(state, CLOCK)
    known, absent = charge(world), charge(world)
    ledger.reserve([known], campaign(world), 1, TENTH)
    ledger.close()
    shutil.copytree(state, tmp_path / "copy")
    ledger = Ledger(state, CLOCK)
    lost = campaign(world)
    ledger.reserve([known, absent], lost, 1, TENTH)
    seen = ledger.checkpoint()
    ledger.close()
    return Ledger(tmp_path / "copy", CLOCK), seen, MissingRound(lost, 1, TENTH), known, absent


def test_a_restored_copy_is_seen_and_charged_for_everything_since(
    world: Any, state: Path, tmp_path: Path
) -> None:
    ledger, seen, missing, known, absent = restored(world, state, tmp_path)
    with pytest.raises(LedgerRestored):
        ledger.confirm(seen)
    head = ledger.reconcile(seen, [missing], [known, absent])
    assert head.counter > seen.counter
    assert ledger.spent(known.owner) == 2 * TENTH
    assert ledger.spent(absent.owner) == TENTH
    ledger.confirm(head)
    # A retry of the lost round is paid for; reconciling again does nothing.
    ledger.reserve([known, absent], missing.campaign, 1, TENTH)
    assert ledger.reconcile(head, [missing], [known]) == head
    assert ledger.spent(known.owner) == 2 * TENTH
    ledger.close()
    Ledger(tmp_path / "copy", CLOCK).close()  # and the spliced chain verifies


def test_without_a_journal_every_account_is_closed(world: Any, state: Path, tmp_path: Path) -> None:
    ledger, seen, _, known, absent = restored(world, state, tmp_path)
    ledger.reconcile(seen, None, [absent])
    assert ledger.spent(known.owner) == ledger.spent(absent.owner) == 1
    with pytest.raises(BudgetExhausted):
        ledger.reserve([known, absent], campaign(world), 1, TENTH)
    ledger.close()


def test_a_copy_that_went_its_own_way_is_seen(world: Any, state: Path, tmp_path: Path) -> None:
    ledger, seen, missing, known, absent = restored(world, state, tmp_path)
    ledger.reserve([known, absent, charge(world)], campaign(world), 1, TENTH)
    assert ledger.checkpoint().counter >= seen.counter
    with pytest.raises(LedgerRestored):
        ledger.confirm(seen)
    ledger.reconcile(seen, [missing], [known, absent])
    assert ledger.spent(known.owner) == 3 * TENTH
    ledger.close()


def test_gaps_are_charged_over_the_cap(world: Any, ledger: Any) -> None:
    one = charge(world)
    for _ in range(10):
        ledger.reserve([one], campaign(world), 1, TENTH)
    gap = MissingRound(campaign(world), 1, TENTH)
    assert ledger.charge_gap(gap, [one]) == ledger.charge_gap(gap, [one])
    assert ledger.spent(one.owner) == Fraction(11, 10)


def test_a_ledger_that_is_ahead_of_the_checkpoint_is_fine(world: Any, ledger: Any) -> None:
    ledger.confirm(Checkpoint(0, bytes(32)))
    ledger.reserve([charge(world)], campaign(world), 1, TENTH)
    seen = ledger.checkpoint()
    ledger.reserve([charge(world)], campaign(world), 1, TENTH)
    ledger.confirm(seen)


def test_a_checkpoint_tells_how_many_were_charged_in_tens_only(world: Any, ledger: Any) -> None:
    """It leaves the worker; the growth of an exact counter would tell how many could not pay."""
    run = campaign(world)
    batch = [charge(world) for _ in range(13)]
    first = ledger.reserve(batch, run, 1, TENTH).checkpoint
    assert first.counter == 20
    assert ledger.reserve(batch, run, 1, TENTH).checkpoint == first  # nothing was charged
    assert ledger.reserve(batch[:1], run, 2, TENTH).checkpoint.counter == 30
    assert (
        ledger.reserve([charge(world) for _ in range(10)], run, 2, TENTH).checkpoint.counter == 40
    )
    gap = ledger.charge_gap(MissingRound(campaign(world), 1, TENTH), batch)
    assert gap.counter % 10 == 0


def test_a_refusal_tells_nobody_how_many_could_not_pay(world: Any, ledger: Any) -> None:
    """It said "none of the 7 capsules", and a unit's report carries that to the scheduler."""
    poor = [charge(world) for _ in range(7)]
    ledger.reserve(poor, campaign(world), 1, Fraction(1))
    with pytest.raises(BudgetExhausted) as caught:
        ledger.reserve(poor, campaign(world), 1, TENTH)
    assert "7" not in str(caught.value)
    assert caught.value.ids == {}
    for each in poor:
        assert each.capsule not in str(caught.value)


class LedgerModel(RuleBasedStateMachine):
    """Against a dictionary: no loss, no double charge, never over the cap, across restarts."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._state = Path(self._folder.name)
        entropy = seeded(b"model")
        owners = [PrivateKey.generate(entropy).public for _ in range(3)]
        self._charges = [Charge(CapsuleId.draw(entropy), owners[n % 3]) for n in range(4)]
        self._campaigns = [CampaignId.draw(entropy) for _ in range(4)]
        self._paid: dict[tuple[CapsuleId, CampaignId], Fraction] = {}
        self._ledger = Ledger(self._state, CLOCK)

    def _model_spent(self, owner: Any) -> Fraction:
        mine = {charge.capsule for charge in self._charges if charge.owner == owner}
        return sum(
            (cost for (capsule, _), cost in self._paid.items() if capsule in mine), Fraction(0)
        )

    @rule(
        which=st.lists(st.integers(0, 3), min_size=1, unique=True),
        run=st.integers(0, 3),
        restart=st.booleans(),
    )
    def reserve(self, which: list[int], run: int, restart: bool) -> None:
        rho, run_id = Fraction(run + 1, 10), self._campaigns[run]
        reserved = set()
        for charge in (self._charges[index] for index in which):
            slot = (charge.capsule, run_id)
            if slot not in self._paid:
                mine = [c.capsule for c in self._charges if c.owner == charge.owner]
                before = sum((capsule, run_id) in self._paid for capsule in mine)
                cost = (2 * before + 1) * rho
                if self._model_spent(charge.owner) + cost > 1:
                    continue
                self._paid[slot] = cost
            reserved.add(charge.capsule)
        charges = [self._charges[index] for index in which]
        if reserved:
            assert self._ledger.reserve(charges, run_id, 1, rho).reserved == reserved
        else:
            with pytest.raises(BudgetExhausted):
                self._ledger.reserve(charges, run_id, 1, rho)
        if restart:
            self._ledger.close()
            self._ledger = Ledger(self._state, CLOCK)

    @invariant()
    def totals_agree(self) -> None:
        for charge in self._charges:
            spent = self._ledger.spent(charge.owner)
            assert spent == self._model_spent(charge.owner)
            assert spent <= 1

    def teardown(self) -> None:
        self._ledger.close()
        self._folder.cleanup()


LedgerModel.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
TestLedgerModel = LedgerModel.TestCase
