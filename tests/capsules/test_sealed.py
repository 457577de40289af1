from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_runtime import columns
from capsule_runtime.capsules import sealed
from capsule_runtime.capsules.errors import (
    CapsuleCorrupted,
    CapsuleMalformed,
    CiphertextRefused,
)
from trust.documents.rules import DataClass, PrivacyUnit


def test_a_capsule_opens_with_its_key_only(world: Any) -> None:
    key, other = world.owner(), world.owner()
    capsule = world.seal(key)
    read = sealed.parse(capsule.raw)
    assert read.header == capsule.header
    assert read.header.owner == key.signing.public
    opened = sealed.unseal(key.capsule, read.ciphertext, key.capsule_key)
    assert columns.decode(opened.columns)["commute"]["mode"].tolist() == [1, 2, 3]
    assert opened.units == 1
    with pytest.raises(CiphertextRefused):
        sealed.unseal(key.capsule, read.ciphertext, other.capsule_key)
    with pytest.raises(CiphertextRefused):
        sealed.unseal(other.capsule, read.ciphertext, key.capsule_key)


def test_row_counts_do_not_show(world: Any) -> None:
    few, many = world.seal(world.owner(), values=(1,)), world.seal(world.owner(), values=(1,) * 90)
    assert len(few.ciphertext) == len(many.ciphertext)
    assert b"rows" not in few.envelope


def test_persons_inside_a_company_are_counted_inside(world: Any) -> None:
    key = world.owner()
    capsule = world.seal(key, data_class=DataClass.COMPANY, unit=PrivacyUnit.PERSON, units=321)
    assert sealed.unseal(key.capsule, capsule.ciphertext, key.capsule_key).units == 321
    with pytest.raises(CapsuleMalformed):
        world.seal(key, units=2)


def test_every_changed_byte_of_the_file_is_refused(world: Any) -> None:
    raw = world.seal(world.owner()).raw
    for position in range(0, len(raw), 3):
        data = bytearray(raw)
        data[position] ^= 0x41
        with pytest.raises((CapsuleMalformed, CapsuleCorrupted)):
            sealed.parse(bytes(data))


@pytest.mark.parametrize("cut", [0, 7, 8, 11, 12, 100, -1])
def test_a_cut_file_is_refused(world: Any, cut: int) -> None:
    with pytest.raises((CapsuleMalformed, CapsuleCorrupted)):
        sealed.parse(world.seal(world.owner()).raw[:cut])


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    for data in (noise, sealed.MAGIC + noise):
        with pytest.raises(CapsuleMalformed):
            sealed.parse(data)


@given(st.integers(0, 2**32))
def test_padding_costs_little_and_only_grows(size: int) -> None:
    padded = sealed.padded_length(size)
    assert padded >= max(size, sealed.MINIMUM_PLAINTEXT_BYTES)
    assert padded <= max(size * 1.12 + 1, sealed.MINIMUM_PLAINTEXT_BYTES)
    assert sealed.padded_length(padded) == padded
