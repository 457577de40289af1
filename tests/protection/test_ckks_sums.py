"""Addition and masks: exact arithmetic against Python's integers, and exact uniformity."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from protection.ckks import addition, masks
from protection.ckks.addition import ResidueSum, subtract
from protection.ckks.errors import BatchTooLarge, CiphertextForeign
from protection.ckks.profile import PRODUIT, PROFILES, SOMME, Profile
from protection.ckks.residues import Residues
from protection.seeds import Seed
from tests.protection.ckks_world import ENTROPY, added, uniform


def constant(profile: Profile, below: int) -> Residues:
    """Every residue `below` under its prime."""
    primes = np.array(profile.data_primes, np.uint64).reshape(1, -1, 1)
    values = np.broadcast_to(primes - np.uint64(below), (2, primes.size, profile.degree)).copy()
    return Residues.checked(profile, values)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("count", [1, 14, 15, 16, 17, 31, 100])
def test_sums_of_the_largest_residues_never_overflow(profile: Profile, count: int) -> None:
    one, total = constant(profile, 1), ResidueSum(profile)
    for _ in range(count):
        total.add(one)
    assert total.count == count
    for place, prime in enumerate(profile.data_primes):
        assert set(total.total().values[:, place].ravel().tolist()) == {prime - count}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.randoms(use_true_random=False), st.sampled_from([SOMME, PRODUIT]))
def test_sums_are_those_of_big_integers(count: int, random: object, profile: Profile) -> None:
    del random
    parts = [uniform(profile, ENTROPY) for _ in range(count)]
    exact = sum(part.values.astype(object) for part in parts)
    primes = np.array(profile.data_primes, object).reshape(1, -1, 1)
    total = added(*parts)
    np.testing.assert_array_equal(total.values.astype(object), exact % primes)
    difference = subtract(total, parts[0]).values.astype(object)
    np.testing.assert_array_equal(difference, (exact - parts[0].values.astype(object)) % primes)


def test_asking_for_the_total_does_not_end_or_alias_the_sum() -> None:
    one, total = uniform(SOMME, ENTROPY), ResidueSum(SOMME)
    total.add(one)
    first = total.total()
    total.add(one)
    np.testing.assert_array_equal(first.values, one.values)
    np.testing.assert_array_equal(subtract(total.total(), one).values, one.values)


def test_sums_take_one_profile_and_shape_and_a_bounded_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    total = ResidueSum(SOMME)
    for other in (uniform(PRODUIT, ENTROPY), uniform(SOMME, ENTROPY, polynomials=1)):
        with pytest.raises(CiphertextForeign):
            total.add(other)
        with pytest.raises(CiphertextForeign):
            subtract(uniform(SOMME, ENTROPY), other)
    assert not total.total().values.any()
    monkeypatch.setattr(addition, "MAXIMUM_CIPHERTEXTS", 1)
    total.add(uniform(SOMME, ENTROPY))
    with pytest.raises(BatchTooLarge):
        total.add(uniform(SOMME, ENTROPY))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_masks_cancel_exactly_and_touch_c0_only(profile: Profile) -> None:
    seeds = [Seed.draw(ENTROPY) for _ in range(20)]
    parts = [uniform(profile, ENTROPY) for _ in seeds]
    blind = [masks.masked(part, seed) for part, seed in zip(parts, seeds, strict=True)]
    for part, hidden in zip(parts, blind, strict=True):
        np.testing.assert_array_equal(part.values[1], hidden.values[1])
        assert (part.values[0] != hidden.values[0]).all()
    total = masks.mask_sum(profile)
    for seed in seeds:
        total.add(masks.mask_of(profile, seed))
    opened = masks.unmasked(added(*blind), total.total())
    np.testing.assert_array_equal(opened.values, added(*parts).values)
    with pytest.raises(CiphertextForeign):
        masks.unmasked(added(*blind), parts[0])


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_mask_is_its_cipher_stream_less_the_rejected_words(profile: Profile) -> None:
    seed = Seed.draw(ENTROPY)
    stream = Cipher(algorithms.AES256(seed.reveal()), modes.CTR(bytes(16))).encryptor()
    raw = stream.update(bytes(8 * 4 * profile.degree))
    words = iter(np.frombuffer(raw, "<u8").tolist())
    for place, prime in enumerate(profile.data_primes):
        low = (word % (1 << prime.bit_length()) for word in words)
        kept = list(itertools.islice((word for word in low if word < prime), profile.degree))
        assert masks.mask_of(profile, seed).values[0, place].tolist() == kept


@pytest.mark.parametrize("prime", [3, 5, 11, 13, 97, 129, 251])
def test_rejection_is_exactly_uniform_where_a_remainder_is_not(
    prime: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stream in which every low byte comes equally often: by rejection every number below the
    # prime comes equally often too, to the last one. Reduced modulo the prime it would not.
    every = np.repeat(np.arange(256, dtype=np.uint64), 8)
    np.random.default_rng(7).shuffle(every)
    words = masks._Words(Seed(bytes(32)))
    monkeypatch.setattr(words, "_words", every.copy())
    power = 1 << prime.bit_length()
    expected = every.size // power
    drawn = words.below(prime, prime * expected)
    counts = collections.Counter(drawn.tolist())
    assert set(counts) == set(range(prime))
    assert set(counts.values()) == {expected}
    assert len(set(np.bincount((every % np.uint64(prime)).astype(np.int64)).tolist())) > 1


def test_words_that_are_refused_are_replaced_by_the_next_not_skipped_in_rounds() -> None:
    # A prime just over a power of two refuses half of the words: many refills, one order.
    prime, count = (1 << 40) + 15, 1000
    at_once = masks._Words(Seed(bytes(32))).below(prime, count)
    one_by_one = masks._Words(Seed(bytes(32)))
    assert at_once.tolist() == [int(one_by_one.below(prime, 1)[0]) for _ in range(count)]
    assert at_once.max() < prime


def test_masks_of_two_seeds_have_nothing_in_common_and_fill_the_range() -> None:
    first, second = (masks.mask_of(SOMME, Seed.draw(ENTROPY)).values for _ in range(2))
    assert (first != second).all()
    mean = first.astype(np.float64).mean() / SOMME.data_primes[0]
    assert abs(mean - 0.5) < 6 / np.sqrt(12 * SOMME.degree)
