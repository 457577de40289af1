from __future__ import annotations

import dataclasses
import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_runtime import guard
from capsule_runtime.guard import Judged, Sum, Verdict
from protection import clip
from protection.ckks.errors import ProfileRefused
from protection.errors import CohortTooSmall, NoiselessRefused, RingOverflow, RuleRefused
from trust.documents.rules import (
    DataClass,
    Mechanism,
    Norm,
    PrivacyUnit,
    Protection,
    ReleaseRules,
)
from trust.entropy import seeded

FLOWS = ReleaseRules(
    output="flows",
    shape=(3, 4),
    dtype="int64",
    step="1",
    norm=Norm.L2,
    bound="1",
    unit=PrivacyUnit.OWNER,
    protection=Protection.CLEAR,
    mechanism=Mechanism.DISCRETE_GAUSSIAN,
    rho="0.1",
    minimum_contributors=2,
    maximum_contributors=1000,
    minimum_capsules=2,
    minimum_workers=1,
    minimum_operators=1,
    suppress_below=0,
)
MOMENTS = dataclasses.replace(
    FLOWS, output="moments", shape=(5,), dtype="float64", step="0.001", bound="2.2361"
)
RULES = (FLOWS, MOMENTS)


def frame(flows: object = 0, moments: object = 0.0) -> bytes:
    return (
        np.broadcast_to(np.asarray(flows, "<i8"), (3, 4)).tobytes()
        + np.broadcast_to(np.asarray(moments, "<f8"), (5,)).tobytes()
    )


def one_cell() -> np.ndarray:
    flows = np.zeros((3, 4), np.int64)
    flows[1, 2] = 1
    return flows


def test_an_honest_frame_is_accepted_in_steps() -> None:
    judged = guard.judge(RULES, frame(one_cell(), [1.0, 0.5, -0.25, 0.0004, 0.0016]))
    assert judged.verdict is Verdict.ACCEPTED
    np.testing.assert_array_equal(judged.vectors["flows"], one_cell())
    assert judged.vectors["moments"].tolist() == [1000, 500, -250, 0, 2]


@pytest.mark.parametrize(
    ("hostile", "verdict"),
    [
        (None, Verdict.NO_FRAME),
        (b"", Verdict.WRONG_LENGTH),
        (frame()[:-1], Verdict.WRONG_LENGTH),
        (frame() + b"\0", Verdict.WRONG_LENGTH),
        (frame(moments=math.nan), Verdict.NOT_FINITE),
        (frame(moments=[0, 0, 0, 0, math.inf]), Verdict.NOT_FINITE),
        (frame(moments=-math.inf), Verdict.NOT_FINITE),
        (frame(moments=1e300), Verdict.OUT_OF_RANGE),
        (frame(flows=2**63 - 1), Verdict.OUT_OF_RANGE),
        (frame(flows=-(2**63)), Verdict.OUT_OF_RANGE),
    ],
)
def test_a_bad_frame_becomes_the_neutral_vector(hostile: bytes | None, verdict: Verdict) -> None:
    judged = guard.judge(RULES, hostile)
    assert judged.verdict is verdict
    assert judged.verdict.neutral
    assert not any(vector.any() for vector in judged.vectors.values())


def test_one_bad_output_takes_the_good_one_along() -> None:
    judged = guard.judge(RULES, frame(one_cell(), math.nan))
    assert not judged.vectors["flows"].any()


@pytest.mark.parametrize("fill", [1, -1, 7, -(10**12)])
def test_a_bundle_that_fills_every_cell_stays_within_the_clip(fill: int) -> None:
    judged = guard.judge(RULES, frame(fill, 1000.0))
    assert judged.verdict is Verdict.CLIPPED
    assert clip.l2_squared(judged.vectors["flows"]) <= 1
    assert clip.l2_squared(judged.vectors["moments"]) <= 2236.1**2
    assert judged.vectors["moments"].any()


@given(st.binary(min_size=136, max_size=136) | st.binary(max_size=200))
def test_any_bytes_are_judged_without_an_exception_and_within_the_norm(raw: bytes) -> None:
    judged = guard.judge(RULES, raw)
    assert clip.l2_squared(judged.vectors["flows"]) <= 1
    assert clip.l2_squared(judged.vectors["moments"]) <= Fraction("2236.1") ** 2
    assert {name: v.shape for name, v in judged.vectors.items()} == {
        "flows": (3, 4),
        "moments": (5,),
    }


@given(st.lists(st.floats(width=64), min_size=5, max_size=5))
def test_any_floats_are_judged(values: list[float]) -> None:
    guard.judge((MOMENTS,), struct.pack("<5d", *values))


def filled(capsules: int, rules: tuple[ReleaseRules, ...] = RULES) -> Sum:
    total = Sum(rules)
    for _ in range(capsules):
        total.add_capsule(((guard.judge(rules, frame(one_cell(), 0.5)), 1),))
    return total


def test_a_failed_capsule_counts_and_the_others_go_on() -> None:
    total = filled(3)
    total.add_capsule(((guard.judge(RULES, None), 1),))
    assert total.cohort.contributors == total.cohort.capsules == 4
    assert total.values["flows"].sum() == 3


def test_persons_multiply_a_contribution_that_was_clipped_first() -> None:
    person = dataclasses.replace(FLOWS, unit=PrivacyUnit.PERSON)
    total = Sum((person,))
    honest = guard.judge((person,), one_cell().tobytes())
    greedy = guard.judge((person,), (one_cell() * 500).tobytes())
    total.add_capsule(((honest, 30), (greedy, 2)))
    assert total.values["flows"][1, 2] == 32
    assert (total.cohort.contributors, total.cohort.capsules) == (32, 1)


def test_the_sum_refuses_more_contributors_than_were_admitted_and_keeps_its_values() -> None:
    total = filled(2)
    judged = guard.judge(RULES, frame(one_cell()))
    for runs in (((judged, 999),), ((judged, -1),), ((judged, 998), (judged, 1))):
        with pytest.raises(RingOverflow):
            total.add_capsule(runs)
    assert total.values["flows"].sum() == 2
    assert total.cohort.capsules == 2


def test_the_values_of_a_sum_cannot_be_changed_from_outside() -> None:
    total = filled(2)
    total.values["flows"][:] = 99
    assert total.values["flows"].sum() == 2


def protect(total: Sum, rules: tuple[ReleaseRules, ...] = RULES, **more: int) -> guard.ProtectedSum:
    return guard.protect_clear(
        rules, total, seeded(b"noise"), data_class=DataClass.PERSONAL, **more
    )


def test_a_protected_sum_has_full_noise_and_says_how_much() -> None:
    protected = protect(filled(5))
    assert protected.variances == {"flows": "5", "moments": "25000716.05"}
    assert protected.rho == "0.2"
    assert (protected.values["flows"] != filled(5).values["flows"]).any()
    assert protected.values["moments"].std() > 500


def test_the_noise_of_two_rounds_is_wider_and_each_is_cheaper() -> None:
    protected = protect(filled(5), rounds=2)
    assert protected.variances["flows"] == "10"
    assert protected.rho == "0.1"
    assert guard.charge(RULES, rounds=2) == Fraction(1, 10)


def test_the_noise_has_the_promised_spread() -> None:
    big = dataclasses.replace(FLOWS, shape=(100, 100))
    total = Sum((big,))
    for _ in range(2):
        total.add_capsule(((guard.judge((big,), None), 1),))
    noise = protect(total, (big,)).values["flows"]
    assert noise.var() == pytest.approx(5, rel=0.06)
    assert abs(noise.mean()) < 0.1


def test_a_small_cohort_releases_nothing() -> None:
    with pytest.raises(CohortTooSmall):
        protect(filled(1))
    people = dataclasses.replace(FLOWS, minimum_contributors=20, minimum_capsules=3)
    total = Sum((people,))
    judged = guard.judge((people,), one_cell().tobytes())
    total.add_capsule(((judged, 400),))
    total.add_capsule(((judged, 400),))
    with pytest.raises(CohortTooSmall):
        protect(total, (people,))
    total.add_capsule(((judged, 1),))
    assert protect(total, (people,)).cohort.contributors == 801


def test_no_noise_is_for_public_data_only() -> None:
    free = dataclasses.replace(FLOWS, mechanism=Mechanism.NONE, rho="0")
    total = Sum((free,))
    for _ in range(2):
        total.add_capsule(((guard.judge((free,), one_cell().tobytes()), 1),))
    with pytest.raises(NoiselessRefused):
        protect(total, (free,))
    public = guard.protect_clear((free,), total, seeded(b""), data_class=DataClass.PUBLIC)
    assert public.values["flows"].sum() == 2


def test_another_protection_is_not_quietly_treated_as_clear() -> None:
    shared = dataclasses.replace(FLOWS, protection=Protection.SHARED)
    with pytest.raises(RuleRefused):
        protect(filled(2, (FLOWS, MOMENTS)), (shared,))


def test_rules_that_do_not_fit_the_ring_are_refused_before_the_first_capsule() -> None:
    with pytest.raises(RingOverflow):
        Sum((dataclasses.replace(FLOWS, bound=str(1 << 44), maximum_contributors=1 << 22),))
    with pytest.raises(RuleRefused):
        Sum(())


def test_an_encrypted_sum_has_the_room_of_one_ciphertext() -> None:
    rule = dataclasses.replace(
        FLOWS, protection=Protection.ENCRYPTED, bound="1000", maximum_contributors=16_000
    )
    assert guard.room((rule,)) == ((1 << 23) - 1) // 1000
    small = dataclasses.replace(rule, maximum_contributors=100)
    assert guard.room((small,)) == 100
    with pytest.raises(ProfileRefused):
        Sum((dataclasses.replace(rule, maximum_contributors=17_000),))


def test_a_dtype_from_another_version_is_refused() -> None:
    with pytest.raises(RuleRefused):
        guard.judge((dataclasses.replace(FLOWS, dtype="float32"),), b"\0" * 96)


def test_neutral_is_zero() -> None:
    assert Judged(guard.neutral(RULES), Verdict.NO_FRAME).vectors["flows"].shape == (3, 4)
