"""Packing, and what stands between a decryption and the world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protection.ckks import masks, quarter_turn, scheme
from protection.ckks.compression import expand_zstd
from protection.ckks.errors import (
    KeyMaterialRefused,
    OpeningImplausible,
    PartialMisshapen,
    PartialTooLarge,
)
from protection.ckks.packing import Decrypted, Fault, find_faults, pack, unpack
from protection.ckks.profile import PRODUIT, PROFILES, SOMME, Profile, largest_sum
from protection.ckks.residues import Residues, parse, write
from protection.seeds import Seed
from tests.protection.ckks_world import (
    ENTROPY,
    RULES,
    added,
    decryptor,
    encryptor,
    faults,
    keys,
    partial,
    rule,
    uniform,
)

CELLS = 9 * 9 * 5 + 1 + 17


def honest(seed: int = 1, **range_: int) -> Residues:
    return encryptor().encrypt(pack(SOMME, RULES, partial(seed, **range_)))


def opened(decrypted: Decrypted, contributors: int = 100_000) -> dict[str, NDArray[np.int64]]:
    return unpack(SOMME, RULES, decrypted, ciphertexts=1, contributors=contributors)


def plain(real: NDArray[np.float64]) -> Decrypted:
    return Decrypted(real, np.zeros(SOMME.slots))


def same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert list(left) == list(right)
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], strict=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_packing_and_unpacking_are_inverse_in_the_rules_order(seed: int) -> None:
    slots = pack(SOMME, RULES, partial(seed))
    assert slots.shape == (SOMME.slots,)
    assert not slots[CELLS:].any()
    np.testing.assert_array_equal(slots[:405], partial(seed)["flows"].ravel())
    same(opened(plain(slots)), partial(seed))


def test_a_partial_of_other_outputs_shapes_or_types_is_refused() -> None:
    good = partial(1)
    bad: list[dict[str, Any]] = [
        {},
        {name: good[name] for name in ("flows", "total")},
        {**good, "extra": good["ages"]},
        {**good, "ages": good["ages"][:-1]},
        {**good, "ages": good["ages"].astype(np.float64)},
        {**good, "ages": np.full(17, np.nan)},
    ]
    for each in bad:
        with pytest.raises(PartialMisshapen):
            pack(SOMME, RULES, each)
    wide = (rule("wide", (SOMME.capacity + 1,)),)
    with pytest.raises(PartialMisshapen):
        pack(SOMME, wide, {"wide": np.zeros(SOMME.capacity + 1, np.int64)})


@pytest.mark.parametrize("value", [1 << 23, -(1 << 23), np.iinfo(np.int64).min])
def test_counts_that_one_ciphertext_cannot_encode_are_refused_on_the_worker(value: int) -> None:
    with pytest.raises(PartialTooLarge):
        pack(SOMME, RULES, {**partial(1), "total": np.array(value)})
    edge = {**partial(1), "total": np.array((1 << 23) - 1)}
    sums = opened(decryptor().decrypt(encryptor().encrypt(pack(SOMME, RULES, edge))), 200_000)
    same(sums, edge)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**23, 1e300])
def test_what_is_no_number_in_range_is_not_encrypted(value: float) -> None:
    slots = np.zeros(SOMME.slots)
    slots[3] = value
    with pytest.raises(PartialTooLarge):
        encryptor().encrypt(slots)
    for other in (slots[:-1], np.zeros(0), np.zeros(SOMME.slots, np.int64)):
        with pytest.raises(PartialMisshapen):
            encryptor().encrypt(other)  # type: ignore[arg-type]


def test_masked_partials_of_many_workers_open_to_the_exact_sum() -> None:
    total, blinding = [], masks.mask_sum(SOMME)
    for worker in range(40):
        seed = Seed.draw(ENTROPY)
        sent = write(masks.masked(honest(worker), seed))
        total.append(parse(sent, SOMME))
        blinding.add(masks.mask_of(SOMME, seed))
    aggregate = added(*total)
    result = masks.unmasked(aggregate, blinding.total())
    sums = unpack(SOMME, RULES, decryptor().decrypt(result), ciphertexts=40, contributors=2000)
    exact = [partial(worker) for worker in range(40)]
    same(sums, {name: np.asarray(sum(p[name] for p in exact)) for name in exact[0]})
    # Either institution alone: the keyholder with the aggregate, or with one worker's ciphertext.
    everything = {Fault.PADDING, Fault.IMAGINARY, Fault.FRACTION}
    assert everything <= faults(aggregate, 40)
    assert everything <= faults(total[0])


def test_a_mask_missing_repeated_or_of_another_batch_is_refused() -> None:
    seeds = [Seed.draw(ENTROPY) for _ in range(4)]
    aggregate = added(*(masks.masked(honest(place), seed) for place, seed in enumerate(seeds)))
    for wrong in (seeds[:3], [*seeds, seeds[0]], [*seeds[:3], Seed.draw(ENTROPY)]):
        blinding = masks.mask_sum(SOMME)
        for seed in wrong:
            blinding.add(masks.mask_of(SOMME, seed))
        unmasked = masks.unmasked(aggregate, blinding.total())
        assert {Fault.PADDING, Fault.IMAGINARY} <= faults(unmasked, 4)


def test_head_room_is_usable_to_its_last_step() -> None:
    one = rule("total", (), bound="1", maximum_contributors=(1 << 24) - 1)
    half = pack(SOMME, (one,), {"total": np.array((1 << 23) - 1)})
    last = pack(SOMME, (one,), {"total": np.array(1)})
    full = added(*(encryptor().encrypt(slots) for slots in (half, half, last)))
    sums = unpack(
        SOMME, (one,), decryptor().decrypt(full), ciphertexts=3, contributors=(1 << 24) - 1
    )
    assert sums["total"] == (1 << 24) - 1


def test_sums_past_the_head_room_wrap_and_are_out_of_range() -> None:
    half = honest()
    lying = {**partial(1), "total": np.array((1 << 23) - 1)}
    part = encryptor().encrypt(pack(SOMME, RULES, lying))
    assert faults(added(part, part, part, half), 4) == {Fault.RANGE}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_quarter_turn_shows_the_imaginary_half_and_turns_back_after_four(
    profile: Profile,
) -> None:
    slots = np.rint(np.random.default_rng(3).uniform(-99, 99, profile.slots))
    one = encryptor(profile).encrypt(slots)
    straight = decryptor(profile).decrypt(one)
    crossed = decryptor(profile).decrypt(quarter_turn.turned(one))
    tolerance = profile.tolerance(1)
    assert np.abs(straight.real - slots).max() < tolerance
    assert np.abs(straight.imaginary).max() < tolerance
    assert np.abs(np.abs(crossed.imaginary) - np.abs(slots)).max() < tolerance
    again = one
    for _ in range(4):
        again = quarter_turn.turned(again)
    np.testing.assert_array_equal(again.values, one.values)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_derived_error_is_the_measured_one(profile: Profile) -> None:
    slots = np.zeros(profile.slots)
    found = decryptor(profile).decrypt(
        added(*(encryptor(profile).encrypt(slots) for _ in range(9)))
    )
    for half in (found.real, found.imaginary):
        assert 0.5 < half.std() / (3 * profile.slot_error) < 2
        assert np.abs(half).max() < profile.tolerance(9)


# The attacks of reference/crypto.md: (0, K) makes the sum contain K times the secret key.


def hostile(c1: NDArray[Any]) -> Residues:
    """The ciphertext (0, c1), c1 in number-theoretic form; a constant is itself in that form."""
    values = np.zeros((2, 1, SOMME.degree), np.uint64)
    values[1, 0] = c1
    return Residues.checked(SOMME, values)


def shaped(slots: NDArray[np.float64]) -> Residues:
    """(0, K) with K the encoding of `slots`: a slot opens to the key's value times its own."""
    tenseal = pytest.importorskip("tenseal")
    context = encryptor()._context
    zero = np.zeros((2, 1, SOMME.degree), np.uint64)
    zero[1] = 1
    vector = tenseal.ckks_vector_from(context, write(Residues.checked(SOMME, zero)))
    encoded = parse((vector + slots.tolist()).serialize(), SOMME, expand_zstd)
    return hostile(encoded.values[0, 0])


@pytest.mark.parametrize("size", [30, 35, 40, 48, 55, 59])
def test_an_unshaped_key_extraction_is_refused_by_the_padding(size: int) -> None:
    forged = added(honest(), hostile(np.full(SOMME.degree, 1 << size, np.uint64)))
    assert {Fault.PADDING, Fault.IMAGINARY} <= faults(forged, 2)
    with pytest.raises(OpeningImplausible) as refused:
        opened(decryptor().decrypt(forged))
    assert refused.value.code == "ckks-opening-implausible"


def test_a_key_extraction_too_small_to_be_refused_is_gone_after_rounding() -> None:
    forged = added(honest(), hostile(np.full(SOMME.degree, 3, np.uint64)))
    assert faults(forged, 2) == set()
    same(opened(decryptor().decrypt(forged)), partial(1))


@pytest.mark.parametrize("weight", [0.01, 1.0, 1000.0])
def test_a_key_extraction_shaped_to_spare_the_padding_shows_in_the_imaginary_half(
    weight: float,
) -> None:
    # The padding check alone would pass this one: K vanishes on the padding.
    slots = np.zeros(SOMME.slots)
    slots[7] = weight
    forged = added(honest(), shaped(slots))
    found = faults(forged, 2)
    assert Fault.PADDING not in found
    assert Fault.IMAGINARY in found
    with pytest.raises(OpeningImplausible):
        opened(decryptor().decrypt(forged))


def test_a_ciphertext_of_another_epochs_key_is_refused() -> None:
    foreign = encryptor(SOMME, 1).encrypt(pack(SOMME, RULES, partial(2)))
    everything = {Fault.PADDING, Fault.IMAGINARY, Fault.FRACTION}
    assert everything <= faults(foreign)
    assert everything <= faults(added(honest(), foreign), 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2 * SOMME.degree - 1), st.integers(0, 58))
def test_a_flipped_bit_anywhere_is_refused_or_was_too_small_to_matter(at: int, bit: int) -> None:
    good = honest()
    values = good.values.copy()
    values.reshape(-1)[at] ^= np.uint64(1 << bit)
    if int(values.reshape(-1)[at]) >= SOMME.data_primes[0]:
        return
    # One residue in number-theoretic form spreads over all coefficients at random.
    assert {Fault.PADDING, Fault.IMAGINARY} <= faults(Residues.checked(SOMME, values))


def test_one_ciphertext_counted_twice_is_an_honest_sum_to_arithmetic() -> None:
    # Not found here: report ids and the committed batch are what refuse a repeated report.
    good = honest()
    assert faults(added(good, good), 2) == set()


def test_implausible_numbers_are_all_refused_alike() -> None:
    slots = pack(SOMME, RULES, partial(1))
    tolerance, nothing = SOMME.tolerance(1), np.zeros(SOMME.slots)
    cases: list[tuple[Fault, Decrypted]] = []
    for at, off, fault in (
        (CELLS, 2 * tolerance, Fault.PADDING),
        (SOMME.slots - 1, -1.0, Fault.PADDING),
        (0, 2 * tolerance, Fault.FRACTION),
        (0, 0.5, Fault.FRACTION),
        (0, 6e6, Fault.RANGE),
        (0, np.nan, Fault.FRACTION),
        (0, np.inf, Fault.FRACTION),
        (CELLS, np.nan, Fault.PADDING),
    ):
        real = slots.copy()
        real[at] += off
        cases.append((fault, plain(real)))
        imaginary = nothing.copy()
        imaginary[at] = off
        cases.append((Fault.IMAGINARY, Decrypted(slots, imaginary)))
    cases.append((Fault.SHAPE, Decrypted(slots[:-1], nothing)))
    cases.append((Fault.SHAPE, Decrypted(slots, nothing[:-1])))
    sentences = set()
    for fault, decrypted in cases:
        assert fault in find_faults(SOMME, RULES, decrypted, ciphertexts=1, contributors=100_000)
        with pytest.raises(OpeningImplausible) as refused:
            opened(decrypted)
        sentences.add(str(refused.value))
    assert len(sentences) == 1


def test_sums_over_the_reach_of_the_claimed_contributors_are_refused() -> None:
    reach = largest_sum(RULES[1], 30)
    slots = pack(SOMME, RULES, {**partial(1, low=-9, high=9), "total": np.array(reach)})
    assert opened(plain(slots), contributors=30)["total"] == reach
    with pytest.raises(OpeningImplausible):
        opened(plain(slots), contributors=29)


def test_raw_decryptions_and_keys_do_not_show_in_text() -> None:
    pair = keys()
    assert len(repr(Decrypted(np.ones(3), np.ones(3)))) < 120
    assert "1." not in repr(Decrypted(np.ones(3), np.ones(3)))
    assert repr(pair.secret[5000:5040])[2:-1] not in repr(pair)
    assert "secret=" not in repr(pair)


def test_keys_are_refused_for_what_they_are_not() -> None:
    pair, other = keys(), keys(PRODUIT)
    whole = pair.public
    with pytest.raises(KeyMaterialRefused, match="not a public key alone"):
        scheme.Encryptor(SOMME, pair.secret)
    with pytest.raises(KeyMaterialRefused, match="no secret key"):
        scheme.Decryptor(SOMME, whole)
    for raw in (b"", b"\0", whole[:-1], whole[: len(whole) // 2], b"\xff" * 99, bytes(1 << 21)):
        with pytest.raises(KeyMaterialRefused):
            scheme.Encryptor(SOMME, raw)
        with pytest.raises(KeyMaterialRefused):
            scheme.Decryptor(SOMME, raw)
    with pytest.raises(KeyMaterialRefused, match="profile somme"):
        scheme.Encryptor(SOMME, other.public)
    with pytest.raises(KeyMaterialRefused, match="profile somme"):
        scheme.Decryptor(SOMME, other.secret)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_altered_keys_are_refused_by_a_problem_or_open_nothing(
    changes: list[tuple[int, int]],
) -> None:
    for raw, user in ((keys().public, scheme.Encryptor), (keys().secret, scheme.Decryptor)):
        altered = bytearray(raw)
        for at, byte in changes:
            altered[at % len(altered)] = byte
        try:
            user(SOMME, bytes(altered))
        except KeyMaterialRefused:
            continue


def test_a_context_that_carries_both_keys_is_refused_by_the_encryptor() -> None:
    tenseal = pytest.importorskip("tenseal")
    context = tenseal.context_from(keys().public, n_threads=1)
    assert not context.has_secret_key()
    both = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, 4096, coeff_mod_bit_sizes=[60, 49], n_threads=1
    )
    both.global_scale = SOMME.scale
    raw = both.serialize(
        save_public_key=True, save_secret_key=True, save_galois_keys=False, save_relin_keys=False
    )
    with pytest.raises(KeyMaterialRefused, match="not a public key alone"):
        scheme.Encryptor(SOMME, raw)


def test_same_scale_and_other_primes_are_another_profile() -> None:
    tenseal = pytest.importorskip("tenseal")
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, 4096, coeff_mod_bit_sizes=[54, 54], n_threads=1
    )
    context.global_scale = SOMME.scale
    for secret, user in ((False, scheme.Encryptor), (True, scheme.Decryptor)):
        raw = scheme._exported(context, secret=secret)
        with pytest.raises(KeyMaterialRefused, match="profile somme"):
            user(SOMME, raw)


def test_uniform_residues_are_refused() -> None:
    for _ in range(3):
        assert {Fault.PADDING, Fault.IMAGINARY, Fault.FRACTION} <= faults(uniform(SOMME, ENTROPY))
