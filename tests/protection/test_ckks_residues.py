from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protection.ckks import residues
from protection.ckks.compression import expand_zstd
from protection.ckks.errors import CiphertextForeign, CiphertextMalformed, ResidueOutOfRange
from protection.ckks.profile import PRODUIT, PROFILES, SOMME, Profile
from protection.ckks.residues import Residues, parse, template_of, write
from tests.protection.ckks_world import ENTROPY, encryptor, uniform
from trust.problem import Problem

WHOLE = write(uniform(SOMME, ENTROPY))
TEMPLATE = template_of(SOMME)
START = len(TEMPLATE.before)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_what_is_written_is_read_back(profile: Profile) -> None:
    one = uniform(profile, ENTROPY)
    raw = write(one)
    assert len(raw) == template_of(profile).length
    np.testing.assert_array_equal(parse(raw, profile).values, one.values)
    assert not parse(raw, profile).values.flags.writeable


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_our_bytes_are_tenseals_and_tenseals_are_ours(profile: Profile) -> None:
    ours = encryptor(profile).encrypt(np.arange(profile.slots, dtype=np.float64))
    tenseal = pytest.importorskip("tenseal")
    context = encryptor(profile)._context
    again = tenseal.ckks_vector_from(context, write(ours)).serialize()
    np.testing.assert_array_equal(parse(again, profile, expand_zstd).values, ours.values)


def test_a_strangers_compressed_bytes_are_never_expanded() -> None:
    tenseal = pytest.importorskip("tenseal")
    vector = tenseal.ckks_vector(encryptor()._context, [1.0] * SOMME.slots)
    with pytest.raises(CiphertextMalformed, match="compressed"):
        parse(vector.serialize(), SOMME)


def test_a_decompression_bomb_stops_at_one_byte_too_many() -> None:
    zstd = pytest.importorskip("backports.zstd")
    bomb = zstd.compress(bytes(1 << 30 >> 4))
    assert len(bomb) < 10_000
    with pytest.raises(CiphertextMalformed):
        expand_zstd(bomb, 1000)
    for altered in (b"", bomb[:-1], zstd.compress(b"12"), zstd.compress(b"123") + b"x", b"123"):
        with pytest.raises(CiphertextMalformed):
            expand_zstd(altered, 3)
    assert expand_zstd(zstd.compress(b"123"), 3) == b"123"


def test_a_residue_at_its_prime_is_refused_and_one_below_is_not() -> None:
    for profile in PROFILES.values():
        first = len(template_of(profile).before)
        for place, prime in enumerate(profile.data_primes):
            at = first + 8 * profile.degree * place
            for value, good in ((prime - 1, True), (prime, False), ((1 << 64) - 1, False)):
                raw = bytearray(write(uniform(profile, ENTROPY)))
                raw[at : at + 8] = struct.pack("<Q", value)
                if good:
                    parse(bytes(raw), profile)
                else:
                    with pytest.raises(ResidueOutOfRange):
                        parse(bytes(raw), profile)


def test_other_parameters_scale_slots_and_profiles_are_foreign() -> None:
    body = WHOLE.index(TEMPLATE.body)
    changed = {
        "parameters id": (body, b"\0"),
        "not in number-theoretic form": (body + 32, b"\0"),
        "three polynomials": (body + 33, b"\3"),
        "another ring": (body + 42, b"\x20"),
        "two primes": (body + 49, b"\2"),
        "inner scale": (body + 63, b"\x30"),
        "correction factor": (body + 65, b"\2"),
        "outer scale": (len(WHOLE) - 2, b"\x30"),
        "slots": (2, b"\x81"),
    }
    for what, (at, byte) in changed.items():
        raw = WHOLE[:at] + byte + WHOLE[at + 1 :]
        assert raw != WHOLE, what
        with pytest.raises(CiphertextForeign):
            parse(raw, SOMME)
    other = write(uniform(PRODUIT, ENTROPY))
    for raw, profile in ((other, SOMME), (WHOLE, PRODUIT)):
        with pytest.raises((CiphertextForeign, CiphertextMalformed)):
            parse(raw, profile)


def test_empty_truncated_doubled_and_padded_bytes_are_refused() -> None:
    header = TEMPLATE.before
    for raw in (
        b"",
        WHOLE[:-1],
        WHOLE[1:],
        WHOLE + b"\0",
        WHOLE + WHOLE,
        WHOLE[: len(header)],
        WHOLE[:START] + WHOLE[START + 8 :],
        WHOLE[: -len(TEMPLATE.after)],
        WHOLE[: -len(TEMPLATE.after)] + header[4:] + WHOLE[START:],  # a second ciphertext
        b"\x0a\x02\x80\x10\x12\x00" + TEMPLATE.after,
        b"\x0a\xff\xff\xff\xff\xff\x7f",
        b"\x0a\x82\x00\x80\x10" + WHOLE[4:],  # a length in two bytes that needs one
    ):
        with pytest.raises((CiphertextMalformed, CiphertextForeign)):
            parse(raw, SOMME)


def test_residues_of_another_shape_or_type_are_foreign() -> None:
    for values in (
        np.zeros((2, 1, 4095), np.uint64),
        np.zeros((2, 2, 4096), np.uint64),
        np.zeros((4096,), np.uint64),
        np.zeros((2, 1, 4096), np.int64),
    ):
        with pytest.raises(CiphertextForeign):
            Residues.checked(SOMME, values)  # type: ignore[arg-type]
    with pytest.raises(CiphertextForeign):
        write(Residues.checked(SOMME, np.zeros((3, 1, 4096), np.uint64)))


mutations = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "insert", "drop"]),
        st.integers(0, 160) | st.integers(0, len(WHOLE)) | st.integers(len(WHOLE) - 20, len(WHOLE)),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=5,
)


def mutated(whole: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    raw = bytearray(whole)
    for kind, at, byte in changes:
        place = min(at, len(raw))
        if kind == "set" and place < len(raw):
            raw[place] = byte
        elif kind == "cut":
            del raw[place:]
        elif kind == "insert":
            raw.insert(place, byte)
        elif kind == "drop":
            del raw[place : place + byte]
    return bytes(raw)


@settings(max_examples=400)
@given(mutations)
def test_altered_bytes_are_refused_by_a_problem_or_still_the_one_spelling(
    changes: list[tuple[str, int, int]],
) -> None:
    raw = mutated(WHOLE, changes)
    try:
        read = parse(raw, SOMME)
    except Problem:
        return
    assert write(read) == raw


@settings(max_examples=300)
@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: WHOLE[:90] + tail))
def test_any_bytes_at_all_are_refused_by_a_problem(raw: bytes) -> None:
    with pytest.raises(Problem):
        parse(raw, SOMME)


@settings(max_examples=150, deadline=None)
@given(mutations)
def test_altered_compressed_bytes_are_refused_by_a_problem_or_read(
    changes: list[tuple[str, int, int]],
) -> None:
    zstd = pytest.importorskip("backports.zstd", reason="no zstd here")
    body = zstd.compress(WHOLE[WHOLE.index(TEMPLATE.body) : -len(TEMPLATE.after)])
    inner = residues._HEADER.pack(0xA15E, 16, 4, 3, 2, 0, 16 + len(body)) + body
    whole = b"\x0a\x02\x80\x10\x12" + residues._varint(len(inner)) + inner + TEMPLATE.after
    np.testing.assert_array_equal(
        parse(whole, SOMME, expand_zstd).values, parse(WHOLE, SOMME).values
    )
    try:
        parse(mutated(whole, changes), SOMME, expand_zstd)
    except Problem:
        return
