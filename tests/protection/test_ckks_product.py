"""Products of two totals: what is admitted, how exact an opening is, what its checks catch."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protection.accounting import decimal
from protection.ckks import masks
from protection.ckks.errors import KeyMaterialRefused, OpeningImplausible, ProfileRefused
from protection.ckks.packing import Fault, find_faults, pack, unpack
from protection.ckks.profile import (
    PRODUIT,
    SOMME,
    check_admission,
    largest_sum,
    profile_of,
)
from protection.ckks.residues import Residues, parse, write
from protection.errors import RuleRefused
from protection.products import factors_of, released
from protection.seeds import Seed
from tests.protection.ckks_world import ENTROPY, added, decryptor, encryptor, rule, uniform
from trust.documents.rules import DataClass, Mechanism, Protection, ReleaseRules

PUBLIC = DataClass.PUBLIC
CONTRIBUTORS = 100


def factor(output: str, shape: tuple[int, ...] = (3, 4), **changes: object) -> ReleaseRules:
    fields: dict[str, object] = {
        "bound": "2000",
        "mechanism": Mechanism.NONE,
        "rho": "0",
        "maximum_contributors": CONTRIBUTORS,
        "product": "footprint",
    }
    return rule(output, shape, **{**fields, **changes})


RULES = (factor("quantities"), factor("factors", bound="4000"))
CELLS = 12
Steps = dict[str, NDArray[np.int64]]


def totals(seed: int, workers: int) -> tuple[list[Steps], list[int]]:
    """Each worker's partial, and the exact products of their sums, with Python's integers."""
    random = np.random.default_rng(seed)
    share = CONTRIBUTORS // workers
    parts = [
        {
            item.output: np.asarray(
                random.integers(
                    -share * largest_sum(item, 1), share * largest_sum(item, 1) + 1, item.shape
                ),
                np.int64,
            )
            for item in RULES
        }
        for _ in range(workers)
    ]
    left, right = (
        [sum(int(part[item.output].ravel()[k]) for part in parts) for k in range(CELLS)]
        for item in RULES
    )
    return parts, [a * b for a, b in zip(left, right, strict=True)]


def opened(ciphertext: Residues, ciphertexts: int = 1) -> list[int]:
    found = unpack(
        PRODUIT,
        RULES,
        decryptor(PRODUIT).open(ciphertext, RULES),
        ciphertexts=ciphertexts,
        contributors=CONTRIBUTORS,
    )
    assert set(found) == {"footprint"}
    assert found["footprint"].shape == (3, 4)
    return [int(value) for value in found["footprint"].ravel()]


def faults(ciphertext: Residues) -> set[Fault]:
    decrypted = decryptor(PRODUIT).open(ciphertext, RULES)
    return set(find_faults(PRODUIT, RULES, decrypted, ciphertexts=1, contributors=CONTRIBUTORS))


def slots_of(seed: int = 1) -> NDArray[np.float64]:
    return pack(PRODUIT, RULES, totals(seed, 1)[0][0])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 5, 10]))
def test_an_opened_product_is_that_of_the_exact_sums(seed: int, workers: int) -> None:
    parts, exact = totals(seed, workers)
    sent, blinding = [], masks.mask_sum(PRODUIT)
    for part in parts:
        mask = Seed.draw(ENTROPY)
        fresh = encryptor(PRODUIT).encrypt(pack(PRODUIT, RULES, part))
        sent.append(parse(write(masks.masked(fresh, mask)), PRODUIT))
        blinding.add(masks.mask_of(PRODUIT, mask))
    total = masks.unmasked(added(*sent), blinding.total())
    raw = decryptor(PRODUIT).open(total, RULES)
    largest = max(abs(value) for value in exact)
    # Under a billionth of the largest, before rounding; after it, every digit.
    assert np.abs(raw.real[:CELLS] - np.array(exact, np.float64)).max() <= 1e-9 * largest + 1e-6
    assert opened(total, workers) == exact


def test_the_errors_of_the_largest_totals_are_within_the_stated_tolerance() -> None:
    corner = {
        item.output: np.full(item.shape, CONTRIBUTORS * largest_sum(item, 1), np.int64)
        for item in RULES
    }
    raw = decryptor(PRODUIT).open(encryptor(PRODUIT).encrypt(pack(PRODUIT, RULES, corner)), RULES)
    exact = math.prod(CONTRIBUTORS * largest_sum(item, 1) for item in RULES)
    tolerance = PRODUIT.product_tolerance(1, 200_000, 400_000)
    assert np.abs(raw.real[:CELLS] - exact).max() < tolerance < 1 / 64
    for rest in (raw.real[CELLS:], raw.imaginary):
        assert np.abs(rest).max() < tolerance


def test_only_the_product_can_be_read_from_what_is_decrypted() -> None:
    one, two = slots_of(), slots_of()
    # The same products of other factors: 6 x 4 and 3 x 8 decrypt alike.
    one[:CELLS], one[CELLS : 2 * CELLS] = 6, 4
    two[:CELLS], two[CELLS : 2 * CELLS] = 3, 8
    shown = [decryptor(PRODUIT).open(encryptor(PRODUIT).encrypt(s), RULES) for s in (one, two)]
    for raw in shown:
        np.testing.assert_allclose(raw.real[:CELLS], 24, atol=1e-4)
        np.testing.assert_allclose(raw.real[CELLS:], 0, atol=1e-4)
        np.testing.assert_allclose(raw.imaginary, 0, atol=1e-4)


def test_a_masked_sum_multiplies_to_garbage() -> None:
    fresh = encryptor(PRODUIT).encrypt(slots_of())
    assert {Fault.PADDING, Fault.IMAGINARY, Fault.FRACTION} <= faults(
        masks.masked(fresh, Seed.draw(ENTROPY))
    )


def test_forged_sums_are_refused_with_one_word() -> None:
    honest = encryptor(PRODUIT).encrypt(slots_of())
    foreign = encryptor(PRODUIT, 1).encrypt(slots_of(2))
    key = np.zeros((2, len(PRODUIT.data_primes), PRODUIT.degree), np.uint64)
    key[1] = 1 << 30
    for forged in (
        foreign,
        uniform(PRODUIT, ENTROPY),
        added(honest, foreign),
        added(honest, Residues.checked(PRODUIT, key)),
    ):
        assert {Fault.PADDING, Fault.IMAGINARY} <= faults(forged)
        with pytest.raises(OpeningImplausible):
            opened(forged)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1),
    st.integers(0, len(PRODUIT.data_primes) - 1),
    st.integers(0, PRODUIT.degree - 1),
    st.integers(0, 38),
)
def test_a_flipped_bit_is_refused(polynomial: int, prime: int, place: int, bit: int) -> None:
    values = np.array(encryptor(PRODUIT).encrypt(slots_of()).values)
    values[polynomial, prime, place] ^= np.uint64(1 << bit)
    if int(values[polynomial, prime, place]) < PRODUIT.data_primes[prime]:
        assert {Fault.PADDING, Fault.IMAGINARY} <= faults(Residues.checked(PRODUIT, values))


def test_what_the_padding_tells_of_a_product_and_what_not() -> None:
    slots = slots_of()
    slots[CELLS : 2 * CELLS] = 5
    beside = slots.copy()
    beside[2 * CELLS] = 3  # meets a total of the second factor
    assert Fault.PADDING in faults(encryptor(PRODUIT).encrypt(beside))
    around = slots.copy()
    around[-CELLS] = 3  # meets the first factor, which comes round
    assert Fault.PADDING in faults(encryptor(PRODUIT).encrypt(around))
    alone = slots.copy()
    alone[1000] = 3  # both its neighbours are zero: it changes nothing, and is not seen
    assert opened(encryptor(PRODUIT).encrypt(alone)) == opened(encryptor(PRODUIT).encrypt(slots))


def test_a_product_over_the_reach_of_its_contributors_is_refused() -> None:
    slots = slots_of()
    slots[0], slots[CELLS] = 200_001, 400_000
    assert faults(encryptor(PRODUIT).encrypt(slots)) == {Fault.RANGE}


@pytest.mark.parametrize("cells", [0, -1, PRODUIT.slots])
def test_impossible_turns_are_refused(cells: int) -> None:
    with pytest.raises(KeyMaterialRefused):
        decryptor(PRODUIT).decrypt_product(encryptor(PRODUIT).encrypt(slots_of()), cells)


def test_sums_are_never_multiplied() -> None:
    with pytest.raises(KeyMaterialRefused):
        decryptor(SOMME).decrypt_product(encryptor(SOMME).encrypt(np.zeros(SOMME.slots)), 3)


# --- admission ---


def test_a_product_of_public_totals_is_admitted_under_its_profile_alone() -> None:
    assert profile_of(RULES) is PRODUIT
    check_admission(PRODUIT, RULES, PUBLIC)
    with pytest.raises(ProfileRefused, match="for the profile produit"):
        check_admission(SOMME, RULES, PUBLIC)
    sums = (rule("flows", (3,), bound="5"),)
    assert profile_of(sums) is SOMME
    with pytest.raises(ProfileRefused, match="for the profile somme"):
        check_admission(PRODUIT, sums, PUBLIC)


@pytest.mark.parametrize("data_class", [DataClass.PERSONAL, DataClass.COMPANY])
def test_products_over_anything_but_public_capsules_are_refused(data_class: DataClass) -> None:
    with pytest.raises(ProfileRefused, match="public capsules only"):
        check_admission(PRODUIT, RULES, data_class)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({}, {"bound": "14000"}),  # over 2^38
        ({"bound": "0.5"}, {}),
        ({"bound": "1", "maximum_contributors": 1}, {"bound": "274877906944"}),
        ({"bound": "1"}, {"bound": "20000000"}),  # one factor's error times the other's size
        ({"shape": (PRODUIT.capacity // 3 + 1,)}, {"shape": (PRODUIT.capacity // 3 + 1,)}),
    ],
)
def test_totals_that_no_ciphertext_multiplies_are_refused(
    left: dict[str, object], right: dict[str, object]
) -> None:
    shapes = [changes.pop("shape", (3,)) for changes in (left, right)]
    rules = (factor("a", shapes[0], **left), factor("b", shapes[1], **right))  # type: ignore[arg-type]
    with pytest.raises(ProfileRefused) as refused:
        check_admission(PRODUIT, rules, PUBLIC)
    assert refused.value.remedy


def test_the_room_ends_one_step_under_what_would_wrap() -> None:
    largest = ((1 << PRODUIT.sum_bits) - 1 + 1 / 64) * PRODUIT.opened_scale
    assert largest < PRODUIT.opened_modulus // 2
    assert 2 * largest > PRODUIT.opened_modulus // 4  # and is not many times too small
    edge = (
        factor("a", (1,), bound="524287", maximum_contributors=1),
        factor("b", (1,), bound="524288", maximum_contributors=1),
    )
    check_admission(PRODUIT, edge, PUBLIC)
    values = {"a": np.array([524_287], np.int64), "b": np.array([-524_288], np.int64)}
    raw = decryptor(PRODUIT).open(encryptor(PRODUIT).encrypt(pack(PRODUIT, edge, values)), edge)
    steps = unpack(PRODUIT, edge, raw, ciphertexts=1, contributors=1)
    assert steps["footprint"].tolist() == [-524_287 * 524_288]


def test_the_largest_shape_leaves_zeros_for_what_comes_round() -> None:
    cells = PRODUIT.capacity // 3
    rules = tuple(factor(name, (cells,), bound="10") for name in ("a", "b"))
    check_admission(PRODUIT, rules, PUBLIC)
    random = np.random.default_rng(3)
    values = {name: random.integers(-900, 901, cells) for name in ("a", "b")}
    raw = decryptor(PRODUIT).open(encryptor(PRODUIT).encrypt(pack(PRODUIT, rules, values)), rules)
    steps = unpack(PRODUIT, rules, raw, ciphertexts=1, contributors=CONTRIBUTORS)
    np.testing.assert_array_equal(steps["footprint"], values["a"] * values["b"])


NO_PRODUCTS: dict[str, tuple[ReleaseRules, ...]] = {
    "one factor": (factor("a"),),
    "three factors": (factor("a"), factor("b"), factor("c")),
    "another output": (factor("a"), factor("b"), rule("c", (3,))),
    "two products": (factor("a", product="x"), factor("b", product="y")),
    "a factor and a sum": (factor("a"), factor("b", product=None)),
    "shapes": (factor("a", (3,)), factor("b", (4,))),
    "shapes of as many cells": (factor("a", (3, 4)), factor("b", (4, 3))),
    "clear": tuple(factor(n, protection=Protection.CLEAR) for n in "ab"),
    "shared": (factor("a"), factor("b", protection=Protection.SHARED)),
    "noise": (factor("a"), factor("b", mechanism=Mechanism.DISCRETE_GAUSSIAN, rho="0.1")),
    "suppressed": (factor("a", suppress_below=5), factor("b")),
    "its own name": (factor("a", product="b"), factor("b", product="b")),
    "too fine": (factor("a", step="0.00000000000001"), factor("b", step="0.000000001")),
}


@pytest.mark.parametrize("rules", NO_PRODUCTS.values(), ids=NO_PRODUCTS)
def test_rules_of_no_product_are_refused_wherever_they_are_read(
    rules: tuple[ReleaseRules, ...],
) -> None:
    for reader in (factors_of, released, profile_of):
        with pytest.raises(RuleRefused) as refused:
            reader(rules)
        assert refused.value.remedy
    with pytest.raises(RuleRefused):
        check_admission(PRODUIT, rules, PUBLIC)
    with pytest.raises(RuleRefused):
        decryptor(PRODUIT).open(uniform(PRODUIT, ENTROPY), rules)


def test_what_is_released_has_the_layout_of_the_product() -> None:
    rules = (factor("a", step="0.25", dtype="float64"), factor("b", step="4"))
    (found,) = released(rules)
    assert (found.output, found.shape, found.dtype) == ("footprint", (3, 4), "float64")
    assert decimal(found.step, "step") == Fraction(1)
    assert found.product is None
    assert found.mechanism is Mechanism.NONE
    sums = (rule("flows", (3,)),)
    assert released(sums) is sums
