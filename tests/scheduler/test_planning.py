"""Who takes part, and when a batch may be opened."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
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


@dataclass(frozen=True)
class Ask:
    """Workers who are ready, what a round asks of them, and the seed of its draw."""

    ready: list[WorkerFacts]
    needs: Needs
    seed: bytes

    @property
    def lots(self) -> list[WorkerFacts]:
        """The workers in the order that anybody who has these facts can work out."""
        return sorted(
            self.ready, key=lambda facts: hashlib.sha256(self.seed + facts.worker.encode()).digest()
        )


@st.composite
def asks(draw) -> Ask:
    operators = draw(st.lists(st.sampled_from("abcd"), min_size=6, max_size=16))
    entropy = seeded(draw(st.binary(max_size=4)))
    ready = [replace(worker(name), worker=WorkerId.draw(entropy)) for name in operators]
    rule = replace(
        RULE,
        minimum_workers=draw(st.integers(1, 6)),
        minimum_operators=draw(st.integers(1, len(set(operators)))),
    )
    tenths, spare = draw(st.integers(1, 10)), draw(st.integers(0, 3))
    needs = replace(NEEDS, rules=(rule,), quorum=1, share=Fraction(tenths, 10), spare=spare)
    return Ask(ready, needs, draw(st.binary(max_size=8)))


@settings(max_examples=40)
@given(asks(), st.randoms(use_true_random=False))
def test_the_same_seed_draws_the_same_workers_in_whatever_order_they_are_listed(ask, random):
    plan = plan_round(ask.ready, ask.needs, NOW, ask.seed)
    listed = list(ask.ready)
    random.shuffle(listed)
    assert plan_round(listed, ask.needs, NOW, ask.seed) == plan
    # Who cannot take part has no lot that would move another's.
    crowd = [*listed, worker("z", banned=True)]
    assert plan_round(crowd, ask.needs, NOW, ask.seed).chosen == plan.chosen


@given(asks())
def test_a_draw_takes_the_share_the_spare_and_whoever_the_minima_still_need(ask):
    needs = ask.needs
    plan = plan_round(ask.ready, needs, NOW, ask.seed)
    assert plan.reason is Reason.NONE
    target = max(needs.minimum_workers, math.ceil(needs.share * len(ask.ready)))
    first, behind = ask.lots[: target + needs.spare], ask.lots[target + needs.spare :]
    expected, operators = list(first), {facts.operator for facts in first}
    for facts in behind:
        if len(operators) < needs.minimum_operators and facts.operator not in operators:
            expected.append(facts)
            operators.add(facts.operator)
    assert set(plan.chosen) == set(expected)
    assert len(plan.chosen) == len(expected)
    assert len({facts.operator for facts in plan.chosen}) >= needs.minimum_operators
    # The spare are not waited for; without any, whoever is asked is.
    assert plan.target == (target if needs.spare else len(expected))
    assert {item.worker for item in plan.left_out} == {
        facts.worker for facts in ask.ready if facts not in expected
    }
    assert {item.reason for item in plan.left_out} <= {Reason.NOT_DRAWN}


def test_each_seed_draws_anew_and_nobody_more_often_than_chance():
    entropy = seeded(b"twelve")
    ready = [worker(worker=WorkerId.draw(entropy)) for _ in range(12)]
    rule = replace(RULE, minimum_operators=1)
    needs = replace(NEEDS, rules=(rule,), share=Fraction(1, 2))
    drawn = [
        {facts.worker for facts in plan_round(ready, needs, NOW, b"camp/%d/" % n).chosen}
        for n in range(100)
    ]
    assert {len(one) for one in drawn} == {6}
    assert len(set(map(frozenset, drawn))) > 80  # of 924 halves
    often = [sum(facts.worker in one for one in drawn) for facts in ready]
    assert min(often) >= 30 and max(often) <= 70  # noqa: PT018 - fifty each, four deviations


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
