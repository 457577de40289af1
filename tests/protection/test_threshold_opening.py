"""Partial decryption against big integers; what single partials show; the count of openings."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protection.threshold import opening
from protection.threshold.ceremony import Epoch
from protection.threshold.errors import (
    DecryptionRepeated,
    DecryptionsExhausted,
    PartialRefused,
    PublicDataOnly,
    ThresholdError,
)
from protection.threshold.profile import MAXIMUM_DECRYPTIONS, MAXIMUM_NOISE, SEUIL, STATISTICAL_BITS
from protection.threshold.sampling import flooding
from protection.threshold.transform import ResidueArray, to_coefficients, to_values, transform
from tests.protection.threshold_world import World, centred, hold, schoolbook, small
from trust.documents.rules import DataClass
from trust.entropy import seeded

PRIMES = SEUIL.data_primes


@pytest.fixture(scope="module")
def world() -> World:
    return hold(small(32))


@pytest.fixture(scope="module")
def wide() -> World:
    return hold(small(1024))


def message(size: int) -> list[int]:
    return [(i * 7919 % 1009 - 500) << 80 for i in range(size)]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.binary(max_size=8),
    sizes=st.integers(2, 5).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n))),
    plain=st.lists(st.integers(-(1 << 112), 1 << 112), min_size=16, max_size=16),
)
def test_every_subset_opens_what_big_integers_decrypt(
    seed: bytes, sizes: tuple[int, int], plain: list[int]
) -> None:
    # Flooding of deviation 1 leaves every other digit to compare.
    world = hold(small(16, flooding=1), *sizes, seed)
    aggregate = world.encrypt(plain)
    raw = world.raw_decryption(aggregate)
    assert max(abs(x - y) for x, y in zip(raw, plain, strict=True)) < 2000
    for subset in world.subsets():
        opened = to_coefficients(world.open(aggregate, subset), PRIMES)
        assert max(abs(x - y) for x, y in zip(opened, raw, strict=True)) <= 12 * len(subset)


def test_an_opening_is_the_raw_decryption_plus_exactly_the_floodings(world: World) -> None:
    ring = world.epoch.profile
    aggregate = world.encrypt(message(32))
    announced = world.announce(aggregate, (1, 3, 5))
    partials, floods = [], [0] * 32
    for j in (1, 3, 5):
        seed = bytes([j])
        partials.append(
            opening.partial(
                world.holdings[j],
                announced,
                aggregate,
                opening.Answered(world.epoch),
                seeded(seed),
            )[0]
        )
        drawn = flooding(ring.flooding, 32, seeded(seed))
        floods = [x + y for x, y in zip(floods, drawn, strict=True)]
    opened = to_coefficients(opening.combine(announced, aggregate, partials), PRIMES)
    expected = [x + y for x, y in zip(world.raw_decryption(aggregate), floods, strict=True)]
    assert opened == expected


def test_fewer_partials_than_the_threshold_are_refused_and_worth_nothing(wide: World) -> None:
    aggregate = wide.encrypt_by_secret(message(1024))
    announced = wide.announce(aggregate, (1, 2, 3))
    partials = wide.partials(aggregate, (1, 2, 3))
    with pytest.raises(PartialRefused, match="not from the announced"):
        opening.combine(announced, aggregate, partials[:2])
    total = aggregate[0]
    for part in partials[:2]:
        rows = zip(PRIMES, total, part.values, strict=True)
        total = np.stack([transform(q, 1024).modulus.add(x, y) for q, x, y in rows])
    # Garbage of the whole modulus: uniform in +-Q/2 has a mean magnitude of Q/4.
    sizes = [abs(c) / wide.product for c in to_coefficients(total, PRIMES)]
    assert 0.23 < sum(sizes) / 1024 < 0.27
    values = opening.decode(wide.epoch.profile, total)
    assert np.abs(values).mean() > 1e8


def test_partials_of_another_set_or_aggregate_never_fit(world: World) -> None:
    aggregate, other = world.encrypt(message(32)), world.encrypt(message(32))
    announced = world.announce(aggregate, (1, 2, 3))
    partials = world.partials(aggregate, (1, 2, 3))
    for wrong in (
        world.partials(aggregate, (1, 2, 4)),
        [*partials, partials[0]],
        [*partials[:2], partials[0]],
        [*partials[:2], world.partials(aggregate, (2, 3, 4))[1]],
        [*partials[:2], world.partials(other, (1, 2, 3))[2]],
        [],
    ):
        with pytest.raises(PartialRefused):
            opening.combine(announced, aggregate, wrong)
    with pytest.raises(PartialRefused, match="not the announced one"):
        opening.combine(announced, other, partials)
    # A coordinator who relabels a partial of another set gets uniform noise, not the message.
    mixed = dataclasses.replace(
        world.partials(aggregate, (2, 3, 4))[1], announcement=announced.digest
    )
    opened = to_coefficients(opening.combine(announced, aggregate, [*partials[:2], mixed]), PRIMES)
    assert sum(map(abs, opened)) / 32 / world.product > 0.1


def test_a_trustee_answers_only_for_the_aggregate_and_set_that_it_sees(world: World) -> None:
    aggregate, other = world.encrypt(message(32)), world.encrypt(message(32))
    announced = world.announce(aggregate, (1, 2, 3))
    fresh, entropy = opening.Answered(world.epoch), seeded(b"")
    with pytest.raises(PartialRefused, match="not announced"):
        opening.partial(world.holdings[4], announced, aggregate, fresh, entropy)
    with pytest.raises(PartialRefused, match="not the announced one"):
        opening.partial(world.holdings[1], announced, other, fresh, entropy)
    stranger = hold(small(32), seed=b"another epoch")
    with pytest.raises(PartialRefused):
        opening.partial(stranger.holdings[1], announced, aggregate, fresh, entropy)


def test_sets_and_aggregates_outside_the_protocol_are_refused(world: World) -> None:
    aggregate = world.encrypt(message(32))
    for subset in ((1, 2), (1, 2, 3, 4), (1, 1, 2), (0, 1, 2), (1, 2, 6), ()):
        with pytest.raises(ThresholdError):
            world.announce(aggregate, subset)
    high = aggregate.copy()
    high[1, 0, 5] = PRIMES[0]
    signed: Any = aggregate.astype(np.int64)
    for wrong in (high, aggregate[0], aggregate[:, :1], signed, aggregate[:1]):
        with pytest.raises(ThresholdError):
            world.announce(wrong, (1, 2, 3))


@pytest.mark.parametrize("data_class", [DataClass.PERSONAL, DataClass.COMPANY])
def test_only_public_data_can_be_announced(world: World, data_class: DataClass) -> None:
    with pytest.raises(PublicDataOnly) as refused:
        opening.announce(
            world.epoch, data_class, world.encrypt(message(32)), (1, 2, 3), ciphertexts=1
        )
    assert refused.value.code == "threshold-public-data-only"
    assert data_class.value in str(refused.value)
    opening.refuse_protected(DataClass.PUBLIC)
    # Nor can an announcement be made without `announce`.
    honest = world.announce(world.encrypt(message(32)), (1, 2, 3))
    with pytest.raises(PublicDataOnly):
        dataclasses.replace(honest, data_class=data_class)


# --- what one partial shows to a coalition of t - 1 trustees -------------------------------


# F(1) = (3 s + 6 S2 - S4) / 8 for trustees 2 and 4, and lambda_1 = 15/8 in T = {1, 3, 5}. What
# h_1 is multiplied by until every denominator is gone, and lambda_1 in units of 1/8:
NAIVE = (64, 15)
CLEARED = (8, 8 * 15)


def low_bits_seen_by_2_and_4(
    world: World, aggregate: ResidueArray, h1: ResidueArray, form: tuple[int, int]
) -> list[int]:
    """The attack on trustee 1 of T by trustees 2 and 4, who are outside T.

    d h_1 = 45 s c1 + known + d flood, and c0 is public: the left side modulo d, divided by 45,
    is message + noise modulo d.
    """
    d, weight = form
    rows = []
    for place, q in enumerate(PRIMES):
        c0, c1 = (part[place].astype(object) for part in aggregate)
        s2, s4 = (world.holdings[j].share[place].astype(object) for j in (2, 4))
        outside = (s2 * 6 - s4) * weight * pow(64, -1, q) % q
        left = d * (h1[place].astype(object) - outside * c1) + 45 * c0
        rows.append((left % q).astype(np.uint64))
    left_side = to_coefficients(np.stack(rows), PRIMES)
    return [value * pow(45, -1, d) % d for value in left_side]


def textbook_partial(world: World, aggregate: ResidueArray, form: tuple[int, int]) -> ResidueArray:
    """lambda_1 S_1 c1 + flooding: written here and nowhere else."""
    ring = world.epoch.profile
    flood = to_values(flooding(ring.flooding, ring.degree, seeded(b"n")), PRIMES)
    rows = []
    for place, q in enumerate(PRIMES):
        weight = form[1] * pow(8, -1, q)
        share, c1 = (x[place].astype(object) for x in (world.holdings[1].share, aggregate[1]))
        rows.append(((weight * share * c1 + flood[place]) % q).astype(np.uint64))
    return np.stack(rows)


def noisy_message() -> list[int]:
    return [m + (i * 2654435761) % 8191 - 4095 for i, m in enumerate(message(1024))]


@pytest.mark.parametrize("form", [NAIVE, CLEARED])
def test_a_textbook_partial_shows_the_low_bits_unflooded_and_ours_does_not(
    wide: World, form: tuple[int, int]
) -> None:
    d = form[0]
    hidden = noisy_message()
    aggregate = wide.encrypt_by_secret(hidden)
    truth = [v % d for v in hidden]
    textbook = textbook_partial(wide, aggregate, form)
    assert low_bits_seen_by_2_and_4(wide, aggregate, textbook, form) == truth
    for answer in wide.partials(aggregate, (1, 3, 5)):
        guess = low_bits_seen_by_2_and_4(wide, aggregate, answer.values, form)
        right = sum(x == y for x, y in zip(guess, truth, strict=True))
        chance = 1024 / d
        assert abs(right - chance) < 6 * chance**0.5


def test_one_partial_is_uniform_for_those_without_its_seeds(wide: World) -> None:
    # The ciphertext of zero with c1 = 0 leaves nothing in a partial but zero-share and flooding.
    aggregate = np.zeros((2, 2, 1024), np.uint64)
    partials = wide.partials(aggregate, (1, 3, 5))
    for answer in partials:
        for q, row in zip(PRIMES, answer.values, strict=True):
            counts = np.bincount((row >> np.uint64(q.bit_length() - 4)).astype(int), minlength=16)
            assert ((counts - 64) ** 2 / 64).sum() < 44.3  # 99.99 % point, 15 degrees
    # Two of three add up to uniform noise as well; the three to the floodings alone.
    for some in itertools.combinations(partials, 2):
        total = some[0].values.astype(object) + some[1].values.astype(object)
        rows = [(row % q).astype(np.uint64) for q, row in zip(PRIMES, total, strict=True)]
        sizes = [abs(c) / wide.product for c in to_coefficients(np.stack(rows), PRIMES)]
        assert 0.23 < sum(sizes) / 1024 < 0.27
    whole = opening.combine(wide.announce(aggregate, (1, 3, 5)), aggregate, partials)
    floods = np.array([c / SEUIL.flooding for c in to_coefficients(whole, PRIMES)])
    assert abs(floods.var() / 3 - 1) < 4.5 * (2 / 1024) ** 0.5


def test_zero_shares_differ_for_every_aggregate_and_set(world: World) -> None:
    # A mask used twice would give the difference of two aggregates away.
    one, two = world.encrypt(message(32)), world.encrypt(message(32))
    seen = []
    for aggregate, subset in ((one, (1, 2, 3)), (one, (1, 2, 4)), (two, (1, 2, 3))):
        announced = world.announce(aggregate, subset)
        seen.append(opening._zero_share(world.holdings[1], announced, 0).tolist())
        assert seen[-1] != opening._zero_share(world.holdings[1], announced, 1).tolist()
    assert len({tuple(mask) for mask in seen}) == 3


def test_the_low_bits_of_a_whole_opening_are_flooded(wide: World) -> None:
    hidden = noisy_message()
    aggregate = wide.encrypt_by_secret(hidden)
    opened = to_coefficients(wide.open(aggregate, (1, 3, 5)), PRIMES)
    right = sum(x % 64 == y % 64 for x, y in zip(opened, hidden, strict=True))
    assert right < 40


# --- the count -----------------------------------------------------------------------------


def announcements(world: World) -> list[opening.Announcement]:
    aggregate = world.encrypt(message(32))
    base = world.announce(aggregate, (1, 2, 3))
    return [
        dataclasses.replace(base, aggregate=type(base.aggregate).of(bytes([n // 256, n % 256])))
        for n in range(MAXIMUM_DECRYPTIONS + 1)
    ]


def test_the_count_refuses_beyond_three_hundred_pairs(world: World) -> None:
    *allowed, last = announcements(world)
    answered = opening.Answered(world.epoch)
    for announcement in allowed:
        answered = answered.charge(announcement)
    with pytest.raises(DecryptionsExhausted):
        answered.charge(last)
    with pytest.raises(DecryptionRepeated):
        answered.charge(allowed[0])


def test_a_pair_is_an_aggregate_with_a_subset(world: World) -> None:
    aggregate = world.encrypt(message(32))
    answered = opening.Answered(world.epoch).charge(world.announce(aggregate, (1, 2, 3)))
    with pytest.raises(DecryptionRepeated):
        answered.charge(world.announce(aggregate, (3, 2, 1)))
    answered = answered.charge(world.announce(aggregate, (1, 2, 4)))
    assert len(answered.announcements) == 2


def test_an_answer_is_charged_before_it_exists_and_a_refused_one_is_not_made(world: World) -> None:
    aggregate = world.encrypt(message(32))
    announced = world.announce(aggregate, (1, 2, 3))
    fresh = opening.Answered(world.epoch)
    _, charged = opening.partial(world.holdings[1], announced, aggregate, fresh, seeded(b"first"))
    assert charged.announcements == {announced.digest}
    assert not fresh.announcements

    def no_draw(size: int) -> bytes:
        raise AssertionError(size)

    with pytest.raises(DecryptionRepeated):
        opening.partial(world.holdings[1], announced, aggregate, charged, no_draw)


def test_a_count_takes_announcements_of_its_own_epoch_only(world: World) -> None:
    stranger = dataclasses.replace(world.epoch, name="another")
    with pytest.raises(ThresholdError):
        opening.Answered(stranger).charge(announcements(world)[0])


@settings(deadline=None)
@given(st.integers(2, 16).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n))))
def test_all_counts_together_stay_within_what_the_flooding_covers(sizes: tuple[int, int]) -> None:
    threshold, holders = sizes
    epoch = Epoch("any", SEUIL, threshold, holders)
    assert 0 < epoch.decryptions <= MAXIMUM_DECRYPTIONS
    for bad in range(threshold):
        # Each honest trustee answers so often; every set spends at least t - bad honest answers.
        looks = epoch.decryptions * (holders - bad) / (threshold - bad)
        bits = SEUIL.statistical_bits(decryptions=int(looks), ciphertext_noise=MAXIMUM_NOISE)
        assert bits > STATISTICAL_BITS


def test_a_sum_of_more_noise_than_the_flooding_covers_is_refused(world: World) -> None:
    epoch = Epoch("full", SEUIL, 3, 5)
    aggregate = np.zeros((2, 2, SEUIL.degree), np.uint64)
    for count in (1, 29_000):
        opening.announce(epoch, DataClass.PUBLIC, aggregate, (1, 2, 3), ciphertexts=count)
    for count in (0, -1, 30_000, 1 << 70):
        with pytest.raises(ThresholdError, match="flooding covers"):
            opening.announce(epoch, DataClass.PUBLIC, aggregate, (1, 2, 3), ciphertexts=count)


def test_decode_is_the_canonical_embedding(world: World) -> None:
    ring = world.epoch.profile
    plain = [(i * i % 37 - 18) << 78 for i in range(32)]
    slots = opening.decode(ring, to_values(plain, PRIMES))
    for j, slot in enumerate(slots):
        angle = np.pi * pow(3, j, 64) / 32
        exact = sum(c / 2**80 * np.cos(angle * i) for i, c in enumerate(plain))
        assert abs(slot - exact) < 1e-10


def test_the_comparison_itself_is_right() -> None:
    assert centred(schoolbook([1, 2], [3, 4], 1000), 1000) == [-5, 10]
