from __future__ import annotations

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protection import columns, shares
from protection.errors import (
    RingMismatch,
    RingOverflow,
    RuleRefused,
    SeedRepeated,
    ShareMalformed,
    SumSpent,
)
from protection.layout import Layout, Role, Slot, Vector
from protection.ring import Ring
from protection.seeds import Seed
from protection.shares import MaskSum, ShareSum, combine, split
from trust.documents.rules import (
    Mechanism,
    Norm,
    PrivacyUnit,
    Protection,
    ReleaseRules,
)

Steps = dict[str, NDArray[np.int64]]

COUNTS = ReleaseRules(
    output="counts",
    shape=(3, 5),  # 15 elements of 4 bytes: four bytes of zeros follow
    dtype="int64",
    step="1",
    norm=Norm.L2,
    bound="50",
    unit=PrivacyUnit.OWNER,
    protection=Protection.SHARED,
    mechanism=Mechanism.DISCRETE_GAUSSIAN,
    rho="0.1",
    minimum_contributors=20,
    maximum_contributors=100_000,
    minimum_capsules=3,
    minimum_workers=3,
    minimum_operators=2,
    suppress_below=20,
)
SUMS = dataclasses.replace(
    COUNTS, output="sums", shape=(7,), dtype="float64", step="0.000001", bound="10000"
)
LAST = dataclasses.replace(COUNTS, output="last", shape=())
RULES = (COUNTS, SUMS, LAST)
LAYOUT = Layout.of(RULES)
SEED = Seed(bytes(range(32)))
SILENCE: Steps = {rule.output: np.zeros(rule.shape, np.int64) for rule in RULES}


def stream(key: bytes, size: int) -> bytes:
    """The cipher in one shot: what the chunked stream is compared with."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return encryptor.update(bytes(size)) + encryptor.finalize()


def body(vector: Vector) -> bytes:
    return vector.encode()[len(vector.layout.head(vector.role)) :]


def single(cells: int, ring: Ring) -> Layout:
    return Layout((Slot("model", (cells,), ring, 0),))


def test_rings_and_places_follow_from_the_rules() -> None:
    assert [(slot.ring, slot.start, slot.size, slot.room) for slot in LAYOUT.slots] == [
        (Ring.NARROW, 0, 60, 64),
        (Ring.WIDE, 64, 56, 56),
        (Ring.NARROW, 120, 4, 8),
    ]
    assert LAYOUT.size == 128
    head = LAYOUT.head(Role.SHARE)
    text = b"cadastre ring vector v1 share\ncounts 32 3x5\nsums 64 7\nlast 32 \n\n"
    assert head == text + b" " * (len(head) - len(text))
    assert len(head) % 64 == 0


def test_the_cipher_is_the_one_that_nist_describes() -> None:
    # SP 800-38A, F.5.5 CTR-AES256.Encrypt: its first block, through the same library calls.
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counter = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    plain = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    expected = bytes.fromhex(
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
    )
    encryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    out = bytearray(len(plain) + 15)
    for start in (0, 16, 32, 48):
        encryptor.update_into(plain[start : start + 16], memoryview(out)[start:])
    assert bytes(out[: len(plain)]) == expected


def test_a_mask_is_the_block_cipher_on_a_counter_from_zero() -> None:
    # Counter mode by hand: AES of 0, 1, 2, ... as 128-bit big-endian numbers.
    blocks = Cipher(algorithms.AES(SEED.reveal()), modes.ECB()).encryptor()
    counters = b"".join(number.to_bytes(16, "big") for number in range(LAYOUT.size // 16))
    expected = blocks.update(counters)
    masks = MaskSum(LAYOUT)
    masks.add(SEED)
    for slot, bytes_ in zip(
        LAYOUT.slots, (expected[0:60], expected[64:120], expected[120:124]), strict=True
    ):
        answer = masks._open().elements(slot)
        assert answer.tobytes() == bytes_


@pytest.mark.parametrize("ring", list(Ring))
@pytest.mark.parametrize("spare", [-8, -1, 0, 1, 2, 9])
def test_chunks_are_one_stream(ring: Ring, spare: int) -> None:
    cells = 2 * shares.CHUNK_BYTES // ring.width + spare
    layout = single(cells, ring)
    masks = MaskSum(layout)
    masks.add(SEED)
    expected = np.frombuffer(stream(SEED.reveal(), layout.size), ring.dtype)[:cells]
    np.testing.assert_array_equal(masks._open().elements(layout.slots[0]), expected)


def test_the_share_of_zeros_is_the_masks_with_the_other_sign() -> None:
    share, raw = split(SILENCE, LAYOUT, SEED), stream(SEED.reveal(), LAYOUT.size)
    for slot in LAYOUT.slots:
        masks = np.frombuffer(raw, slot.ring.dtype, slot.cells, slot.start)
        zero = np.zeros(1, slot.ring.dtype)
        np.testing.assert_array_equal(share.elements(slot), zero - masks)


def steps_of(ring: Ring, cells: int, bound: int) -> st.SearchStrategy[list[int]]:
    bound = min(bound, ring.half - 1)
    edges = st.sampled_from([-bound, bound, 0, -1, 1])
    return st.lists(edges | st.integers(-bound, bound), min_size=cells, max_size=cells)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 7))
def test_any_number_of_reports_adds_up_exactly(data: st.DataObject, reports: int) -> None:
    leader, helper = ShareSum(LAYOUT), MaskSum(LAYOUT)
    expected = {rule.output: [0] * math.prod(rule.shape) for rule in RULES}
    for number in range(reports):
        steps: Steps = {}
        for slot in LAYOUT.slots:
            values = data.draw(steps_of(slot.ring, slot.cells, slot.ring.half // reports - 1))
            steps[slot.output] = np.array(values, np.int64).reshape(slot.shape)
            total = expected[slot.output]
            expected[slot.output] = [a + b for a, b in zip(total, values, strict=True)]
        seed = Seed(data.draw(st.binary(min_size=31, max_size=31)) + bytes([number]))
        blob = split(steps, LAYOUT, seed).encode()
        leader.add(Vector.decode(LAYOUT, Role.SHARE, blob))
        helper.add(seed)
    assert leader.reports == helper.reports == reports
    opened = combine(leader.answer(SILENCE), helper.answer(SILENCE))
    assert list(opened) == [rule.output for rule in RULES]
    for rule in RULES:
        assert opened[rule.output].shape == rule.shape
        assert opened[rule.output].dtype == np.int64
        assert opened[rule.output].reshape(-1).tolist() == expected[rule.output]


@pytest.mark.parametrize("ring", list(Ring))
def test_the_extremes_of_the_ring_come_back(ring: Ring) -> None:
    layout = single(3, ring)
    ends = {"model": np.array([-ring.half, ring.half - 1, -1])}
    leader, helper = ShareSum(layout), MaskSum(layout)
    leader.add(split(ends, layout, SEED))
    helper.add(SEED)
    silence = {"model": np.zeros(3, np.int64)}
    opened = combine(leader.answer(silence), helper.answer(silence))
    assert opened["model"].tolist() == ends["model"].tolist()


def test_both_noises_are_in_the_sum() -> None:
    leader, helper = ShareSum(LAYOUT), MaskSum(LAYOUT)
    leader.add(split({**SILENCE, "last": np.array(40)}, LAYOUT, SEED))
    helper.add(SEED)
    shares_ = leader.answer({**SILENCE, "last": np.array(-7), "sums": np.arange(7) - 3})
    masks = helper.answer({**SILENCE, "last": np.array(5), "sums": np.arange(7)})
    opened = combine(shares_, masks)
    assert opened["last"].tolist() == 38
    assert opened["sums"].tolist() == [2 * n - 3 for n in range(7)]


def test_an_answer_is_given_once() -> None:
    for total in (ShareSum(LAYOUT), MaskSum(LAYOUT)):
        total.answer(SILENCE)
        with pytest.raises(SumSpent):
            total.answer(SILENCE)
    leader, helper = ShareSum(LAYOUT), MaskSum(LAYOUT)
    leader.answer(SILENCE)
    helper.answer(SILENCE)
    with pytest.raises(SumSpent):
        leader.add(split(SILENCE, LAYOUT, SEED))
    with pytest.raises(SumSpent):
        helper.add(SEED)


def test_noise_that_does_not_fit_answers_nothing_and_changes_nothing() -> None:
    leader = ShareSum(LAYOUT)
    for wrong in (
        {**SILENCE, "last": np.array(2**31)},
        {**SILENCE, "last": np.zeros((), np.float64)},
        {**SILENCE, "counts": np.zeros(15, np.int64)},
        {key: value for key, value in SILENCE.items() if key != "sums"},
        {**SILENCE, "more": np.array(1)},
    ):
        full = {**wrong, "sums": np.ones(7, np.int64)} if "sums" in wrong else wrong
        with pytest.raises((RingMismatch, RingOverflow)):
            leader.answer(full)
    assert not any(body(leader.answer(SILENCE)))


def test_one_seed_twice_in_a_batch_is_refused_and_not_counted() -> None:
    helper = MaskSum(LAYOUT)
    helper.add(SEED)
    with pytest.raises(SeedRepeated):
        helper.add(Seed(SEED.reveal()))
    assert helper.reports == 1
    assert body(helper.answer(SILENCE))[:60] == stream(SEED.reveal(), 60)


def test_a_value_beyond_the_narrow_ring_is_refused_before_it_is_masked() -> None:
    for value in (2**31, -(2**31) - 1):
        with pytest.raises(RingOverflow):
            split({**SILENCE, "last": np.array(value)}, LAYOUT, SEED)


@pytest.mark.parametrize(
    "steps",
    [
        {"counts": SILENCE["counts"]},
        {**SILENCE, "more": np.array(0)},
        {**SILENCE, "sums": np.zeros(8, np.int64)},
        {**SILENCE, "sums": np.zeros(7, np.float64)},
        {**SILENCE, "sums": np.zeros(7, np.uint64)},
    ],
)
def test_values_of_another_layout_are_not_split(steps: Steps) -> None:
    with pytest.raises(RingMismatch):
        split(steps, LAYOUT, SEED)


def test_strided_values_are_split_as_they_read() -> None:
    values = np.arange(15).reshape(5, 3).T
    leader, helper = ShareSum(LAYOUT), MaskSum(LAYOUT)
    leader.add(split({**SILENCE, "counts": values}, LAYOUT, SEED))
    helper.add(SEED)
    opened = combine(leader.answer(SILENCE), helper.answer(SILENCE))
    np.testing.assert_array_equal(opened["counts"], values)


def test_a_share_survives_the_wire_and_is_read_in_place() -> None:
    share = split({**SILENCE, "last": np.array(-9)}, LAYOUT, SEED)
    blob = share.encode()
    back = Vector.decode(LAYOUT, Role.SHARE, blob)
    assert back.encode() == blob
    assert not back.elements(LAYOUT.slots[0]).flags.writeable


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_without_another_error(junk: bytes) -> None:
    head = LAYOUT.head(Role.SHARE)
    for raw in (junk, head[: len(head) // 2] + junk, head + junk):
        try:
            back = Vector.decode(LAYOUT, Role.SHARE, raw)
        except ShareMalformed:
            continue
        assert back.encode() == raw


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_is_another_element(position: int, flip: int) -> None:
    blob = bytearray(split(SILENCE, LAYOUT, SEED).encode())
    place = position % len(blob)
    blob[place] ^= flip
    inside = place - len(LAYOUT.head(Role.SHARE))
    if inside >= 0 and not (60 <= inside < 64 or inside >= 124):
        assert Vector.decode(LAYOUT, Role.SHARE, bytes(blob)).encode() == bytes(blob)
    else:
        with pytest.raises(ShareMalformed):
            Vector.decode(LAYOUT, Role.SHARE, bytes(blob))


@pytest.mark.parametrize(
    "other",
    [
        (SUMS, COUNTS, LAST),  # another order, the same length
        (COUNTS, dataclasses.replace(SUMS, bound="0.01"), LAST),  # another ring
        (COUNTS, dataclasses.replace(SUMS, shape=(7, 1)), LAST),  # the same bytes, another shape
        (dataclasses.replace(COUNTS, shape=(5, 3)), SUMS, LAST),
        (COUNTS, SUMS, dataclasses.replace(LAST, output="least")),
        (COUNTS, SUMS),
    ],
)
def test_a_share_made_for_other_rules_is_refused(other: tuple[ReleaseRules, ...]) -> None:
    layout = Layout.of(other)
    zeros = {rule.output: np.zeros(rule.shape, np.int64) for rule in other}
    share = split(zeros, layout, SEED)
    with pytest.raises(ShareMalformed):
        Vector.decode(LAYOUT, Role.SHARE, share.encode())
    with pytest.raises(RingMismatch):
        ShareSum(LAYOUT).add(share)


def test_two_narrow_cells_are_not_one_wide_cell() -> None:
    # Length confusion: 14 elements of 4 bytes are as long as 7 of 8.
    narrow = dataclasses.replace(SUMS, shape=(14,), bound="0.01")
    layout = Layout.of((COUNTS, narrow, LAST))
    assert layout.size == LAYOUT.size
    share = split({**SILENCE, "sums": np.zeros(14, np.int64)}, layout, SEED)
    with pytest.raises(ShareMalformed):
        Vector.decode(LAYOUT, Role.SHARE, share.encode())


def test_the_two_halves_never_stand_in_for_one_another() -> None:
    share = split(SILENCE, LAYOUT, SEED)
    helper = MaskSum(LAYOUT)
    helper.add(SEED)
    masks = helper.answer(SILENCE)
    with pytest.raises(ShareMalformed):
        Vector.decode(LAYOUT, Role.MASKS, share.encode())
    with pytest.raises(ShareMalformed):
        Vector.decode(LAYOUT, Role.SHARE, masks.encode())
    with pytest.raises(RingMismatch):
        ShareSum(LAYOUT).add(masks)
    for one, other in ((share, share), (masks, masks), (masks, share)):
        with pytest.raises(RingMismatch):
            combine(one, other)
    foreign = Layout.of((SUMS,))
    with pytest.raises(RingMismatch):
        combine(share, Vector.zeros(foreign, Role.MASKS))


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        (COUNTS, COUNTS),
        (dataclasses.replace(COUNTS, output="Counts"),),
        (dataclasses.replace(COUNTS, output="a 32 1\nb"),),
        (dataclasses.replace(COUNTS, shape=(3, 0)),),
        (dataclasses.replace(COUNTS, shape=(-3, -5)),),
        (dataclasses.replace(COUNTS, protection=Protection.CLEAR),),
        (COUNTS, dataclasses.replace(SUMS, protection=Protection.ENCRYPTED)),
        (dataclasses.replace(COUNTS, shape=(columns.MAXIMUM_BYTES // 4 + 2,), bound="1"),),
    ],
)
def test_rules_that_cannot_be_shared_have_no_layout(wrong: tuple[ReleaseRules, ...]) -> None:
    with pytest.raises(RuleRefused):
        Layout.of(wrong)


def test_adding_holds_one_vector_whatever_the_number_of_reports() -> None:
    layout = single(1 << 18, Ring.WIDE)
    leader, helper = ShareSum(layout), MaskSum(layout)
    values = {"model": np.ones(1 << 18, np.int64)}
    tracemalloc.start()
    try:
        for number in range(12):
            seed = Seed(bytes([number] * 32))
            leader.add(split(values, layout, seed))
            helper.add(seed)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One share at a time and its chunk; the two sums were there before.
    assert peak < 2.5 * layout.size
