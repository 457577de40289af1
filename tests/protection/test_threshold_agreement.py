"""Subsets that disagree: a lie is detected by t + 1 trustees and named by t + 2."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protection.threshold import agreement, opening
from protection.threshold.ceremony import Epoch
from protection.threshold.errors import ThresholdError, TrusteesDisagree
from protection.threshold.transform import ResidueArray, to_values, transform
from tests.protection.threshold_world import World, hold, small

Openings = dict[tuple[int, ...], NDArray[np.float64]]
DEGREE = 32
VALUE = 1234.0


@pytest.fixture(scope="module")
def world() -> World:
    return hold(small(DEGREE))


@pytest.fixture(scope="module")
def aggregate(world: World) -> ResidueArray:
    return world.encrypt([int(VALUE) << 80] + [0] * (DEGREE - 1))


def lied(world: World, partial: opening.Partial, offset: float) -> opening.Partial:
    primes = world.epoch.profile.data_primes
    shift = to_values([int(offset * 2**80)] + [0] * (DEGREE - 1), primes)
    rows = zip(primes, partial.values, shift, strict=True)
    moved = np.stack([transform(q, DEGREE).modulus.add(x, y) for q, x, y in rows])
    return dataclasses.replace(partial, values=moved)


def openings(
    world: World,
    aggregate: ResidueArray,
    trustees: Sequence[int],
    lie: Callable[[int, tuple[int, ...]], float] = lambda _trustee, _subset: 0.0,
) -> Openings:
    """All sets of t among `trustees`, each trustee moving its partial by `lie`."""
    opened = {}
    for subset in world.subsets(trustees):
        answers = [
            lied(world, p, lie(p.trustee, subset)) for p in world.partials(aggregate, subset)
        ]
        total = opening.combine(world.announce(aggregate, subset), aggregate, answers)
        opened[subset] = opening.decode(world.epoch.profile, total)
    return opened


def test_honest_subsets_agree(world: World, aggregate: ResidueArray) -> None:
    verdict = agreement.check_subsets(world.epoch, openings(world, aggregate, world.epoch.trustees))
    assert verdict.suspects == frozenset()
    assert np.abs(verdict.values - VALUE).max() < agreement.tolerance(world.epoch)


@pytest.mark.parametrize("liar", [1, 2, 4])
def test_one_more_than_the_threshold_detects(
    world: World, aggregate: ResidueArray, liar: int
) -> None:
    opened = openings(world, aggregate, (1, 2, 3, 4), lambda j, _: 50.0 * (j == liar))
    with pytest.raises(TrusteesDisagree, match=r"any of trustees \[1, 2, 3, 4\]") as refused:
        agreement.check_subsets(world.epoch, opened)
    assert "ask 5 trustees" in refused.value.remedy


@pytest.mark.parametrize("liar", [1, 2, 3, 4, 5])
def test_two_more_than_the_threshold_name(world: World, aggregate: ResidueArray, liar: int) -> None:
    # The same lie everywhere: six sets of ten agree on the wrong value, and still do not win.
    opened = openings(world, aggregate, world.epoch.trustees, lambda j, _: 50.0 * (j == liar))
    verdict = agreement.check_subsets(world.epoch, opened)
    assert verdict.suspects == {liar}
    assert np.abs(verdict.values - VALUE).max() < agreement.tolerance(world.epoch)


def test_lies_in_shared_sets_only_leave_two_suspects_and_the_right_value(
    world: World, aggregate: ResidueArray
) -> None:
    opened = openings(
        world, aggregate, world.epoch.trustees, lambda j, subset: 50.0 * (j == 1 and 2 in subset)
    )
    verdict = agreement.check_subsets(world.epoch, opened)
    assert verdict.suspects == {1, 2}
    assert np.abs(verdict.values - VALUE).max() < agreement.tolerance(world.epoch)


@settings(max_examples=60, deadline=None)
@given(
    liar=st.integers(1, 5),
    trustees=st.sampled_from([(1, 2, 3, 4), (1, 2, 3, 4, 5), (1, 2, 4, 5)]),
    offsets=st.lists(st.sampled_from([0.0, 1.0, -1.0, 7.0]), min_size=10, max_size=10),
)
def test_no_single_liar_ever_passes_a_wrong_value(
    liar: int, trustees: tuple[int, ...], offsets: list[float]
) -> None:
    epoch = Epoch("any", small(8), 3, 5)
    names = {s: i for i, s in enumerate(itertools.combinations(trustees, 3))}
    opened: Openings = {
        s: np.full(epoch.profile.slots, VALUE + (offsets[i] if liar in s else 0.0))
        for s, i in names.items()
    }
    try:
        verdict = agreement.check_subsets(epoch, opened)
    except TrusteesDisagree:
        assert any(offsets)
        assert len(trustees) == 4  # five trustees always find the truth
        return
    assert (verdict.values == VALUE).all()
    assert not verdict.suspects or liar in verdict.suspects


def test_two_liars_are_seen_but_not_named(world: World, aggregate: ResidueArray) -> None:
    opened = openings(
        world, aggregate, world.epoch.trustees, lambda j, _: {1: 50.0, 2: 70.0}.get(j, 0.0)
    )
    with pytest.raises(TrusteesDisagree, match="no single trustee"):
        agreement.check_subsets(world.epoch, opened)


def test_sets_that_share_a_trustee_prove_nothing(world: World, aggregate: ResidueArray) -> None:
    opened = openings(world, aggregate, world.epoch.trustees, lambda j, _: 50.0 * (j == 1))
    shared = {subset: slots for subset, slots in opened.items() if 1 in subset}
    with pytest.raises(ThresholdError, match=r"\[1\] sit in every set"):
        agreement.check_subsets(world.epoch, shared)
    with pytest.raises(ThresholdError):
        agreement.check_subsets(world.epoch, {})


def test_openings_under_impossible_sets_or_shapes_are_refused(world: World) -> None:
    slots = np.zeros(DEGREE // 2)
    for subset in ((1, 2), (1, 2, 2), (1, 2, 9)):
        with pytest.raises(ThresholdError):
            agreement.check_subsets(world.epoch, {subset: slots, (3, 4, 5): slots})
    with pytest.raises(ThresholdError):
        agreement.check_subsets(world.epoch, {(1, 2, 3): slots[:-1], (2, 4, 5): slots})


def test_values_that_are_not_numbers_do_not_agree(world: World) -> None:
    good, bad = np.zeros(DEGREE // 2), np.full(DEGREE // 2, np.nan)
    with pytest.raises(TrusteesDisagree):
        agreement.check_subsets(world.epoch, {(1, 2, 3): bad, (3, 4, 5): bad, (1, 2, 4): bad})
    one = agreement.check_subsets(
        world.epoch, {(1, 2, 3): good, (3, 4, 5): bad, (1, 2, 4): bad, (1, 2, 5): good}
    )
    assert one.suspects == {4}
    assert (one.values == 0).all()
