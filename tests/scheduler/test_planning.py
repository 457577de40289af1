"""Who takes part, and when a batch may be opened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.commitments import Member, seal
from scheduler.domain.planning import (
    Needs,
    PartialFacts,
    WorkerFacts,
    may_open,
    plan_round,
    round_down,
)
from scheduler.domain.reasons import Reason
from trust.documents.rules import Mechanism, Norm, PrivacyUnit, Protection, ReleaseRules
from trust.entropy import seeded
from trust.ids import Digest, WorkerId
from trust.log.tree import Tree, leaf_hash

SEED = b"test/1/"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ENTROPY = seeded(b"planning")
IMAGE = Digest.of(b"image")
RULE = ReleaseRules(
    "counts",
    (3,),
    "int64",
    "1",
    Norm.L2,
    "1",
    PrivacyUnit.OWNER,
    Protection.CLEAR,
    Mechanism.DISCRETE_GAUSSIAN,
    "0.1",
    20,
    1000,
    1,
    3,
    2,
    0,
)
NEEDS = Needs((RULE,), (IMAGE,), ("numpy",), 3, timedelta(minutes=10), NOW + timedelta(days=1))


def worker(operator: str = "a", capsules: int = 30, **changes: object) -> WorkerFacts:
    facts = WorkerFacts(
        WorkerId.draw(ENTROPY), operator, capsules, NOW, "L3", IMAGE, ("numpy",), True, False, False
    )
    return replace(facts, **changes)


ALL = [worker("a"), worker("b"), worker("a")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"capsules": 19}, Reason.BELOW_MINIMUM),
        ({"banned": True}, Reason.WORKER_BANNED),
        ({"contributes": False}, Reason.WORKER_DOES_NOT_CONTRIBUTE),
        ({"last_seen": None}, Reason.WORKER_NEVER_SEEN),
        ({"last_seen": NOW - timedelta(minutes=5)}, Reason.WORKER_LOST),
        ({"draining": True}, Reason.WORKER_DRAINING),
        ({"level": "L0"}, Reason.SANDBOX_LEVEL),
        ({"image": Digest.of(b"another")}, Reason.IMAGE_NOT_PERMITTED),
        ({"libraries": ()}, Reason.LIBRARY_MISSING),
    ],
)
def test_who_cannot_take_part_is_left_out_with_the_reason(changes, reason):
    odd = worker("c", **changes)
    plan = plan_round([*ALL, odd], NEEDS, NOW, SEED)
    assert plan.reason is Reason.NONE
    assert {facts.worker for facts in plan.chosen} == {facts.worker for facts in ALL}
    assert [(item.worker, item.reason) for item in plan.left_out] == [(odd.worker, reason)]


def test_the_obstacle_counts_missing_consents():
    plan = plan_round([*ALL[:2], worker("c", capsules=8)], NEEDS, NOW, SEED)
    assert plan.reason is Reason.WAITING_FOR_CONSENTS
    assert plan.why == "waiting for consents: 12 missing"


def test_operators_count_by_name_not_by_machine():
    plan = plan_round([worker("a"), worker("a"), worker("a")], NEEDS, NOW, SEED)
    assert plan.reason is Reason.WAITING_FOR_OPERATORS


def test_nobody_at_all_is_an_obstacle_not_an_error():
    assert plan_round([], NEEDS, NOW, SEED).reason is Reason.WAITING_FOR_WORKERS


def test_the_deadline_stays_inside_the_authorisation():
    needs = replace(NEEDS, not_after=NOW + timedelta(minutes=2))
    assert plan_round(ALL, needs, NOW, SEED).deadline == needs.not_after
    late = plan_round(ALL, needs, needs.not_after - timedelta(seconds=5), SEED)
    assert late.reason in {Reason.AUTHORISATION_EXPIRED, Reason.WAITING_FOR_WORKERS}


def test_persons_inside_capsules_are_not_counted_by_consents():
    rule = replace(RULE, unit=PrivacyUnit.PERSON, minimum_capsules=3)
    needs = replace(NEEDS, rules=(rule,))
    assert needs.minimum_capsules == 3


def partial(operator: str, contributors: int = 30) -> PartialFacts:
    return PartialFacts(WorkerId.draw(ENTROPY), operator, contributors, contributors)


def test_a_round_that_the_helper_would_refuse_does_not_close_early() -> None:
    """A crowd that one operator made up ended a whole campaign, where one more partial was due."""
    shared = replace(NEEDS, rules=(replace(RULE, protection=Protection.SHARED),))
    crowd = RULE.minimum_contributors
    lone = [partial("a", crowd), partial("b", 1), partial("c", 1)]
    assert may_open(lone, NEEDS, target=3, all_ended=False, past_deadline=False)[0] is True
    closes, reason, why = may_open(lone, shared, target=3, all_ended=False, past_deadline=False)
    assert (closes, reason) == (False, Reason.WAITING_FOR_PARTIALS)
    closes, reason, why = may_open(lone, shared, target=3, all_ended=False, past_deadline=True)
    assert (closes, reason) == (True, Reason.MINIMUM_MISSED)
    assert "without those of one operator" in why
    spread = [*lone, partial("d", crowd)]
    assert (
        may_open(spread, shared, target=4, all_ended=False, past_deadline=False)[1] is Reason.NONE
    )


def test_a_round_closes_at_its_deadline_or_when_all_ended():
    three = [partial("a"), partial("b"), partial("c")]
    assert may_open(three, NEEDS, target=9, all_ended=False, past_deadline=False)[0] is False
    assert may_open(three, NEEDS, target=9, all_ended=True, past_deadline=False)[:2] == (
        True,
        Reason.NONE,
    )
    assert may_open(three, NEEDS, target=9, all_ended=False, past_deadline=True)[:2] == (
        True,
        Reason.NONE,
    )
    assert may_open(three[:2], NEEDS, target=9, all_ended=True, past_deadline=False)[:2] == (
        True,
        Reason.QUORUM_MISSED,
    )
    same = [partial("a"), partial("a"), partial("a")]
    assert (
        may_open(same, NEEDS, target=9, all_ended=True, past_deadline=False)[1]
        is Reason.MINIMUM_MISSED
    )
    few = [partial("a", 1), partial("b", 1), partial("c", 1)]
    assert (
        may_open(few, NEEDS, target=9, all_ended=True, past_deadline=False)[1]
        is Reason.MINIMUM_MISSED
    )


@given(st.integers(0, 40))
def test_a_commitment_hides_how_many_it_holds_and_proves_each(count):
    members = [Member(ENTROPY(32), Digest.of(ENTROPY(8))) for _ in range(count)]
    sealed = seal(members, ENTROPY)
    assert sealed.size == len(sealed.leaves)
    assert sealed.size & (sealed.size - 1) == 0
    assert sealed.size >= max(8, count)
    leaves = [leaf if isinstance(leaf, bytes) else leaf.leaf for leaf in sealed.leaves]
    assert leaves == sorted(leaves)
    assert Tree(map(leaf_hash, leaves)).root() == sealed.root.raw
    assert {leaf.envelope for leaf in sealed.leaves if isinstance(leaf, Member)} == {
        member.envelope for member in members
    }


def test_published_counts_are_rounded_down():
    assert [round_down(n) for n in (0, 9, 10, 19, 5029)] == [0, 0, 10, 10, 5020]
