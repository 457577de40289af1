"""Sharing against Lagrange in a second, table-free field; wrong shares are named."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protection import shamir
from protection.shamir import Dealing, Share, ShareInvalid, SharesMissing, SharingRefused
from trust.entropy import seeded

SECRET = bytes(range(7, 39))
CONTEXT = b"epoch of a test"


def slow_multiply(left: int, right: int) -> int:
    """Polynomials over GF(2) in plain integers, reduced by long division: a second opinion."""
    product = 0
    while right:
        product ^= left * (right & 1)
        left, right = left << 1, right >> 1
    while product.bit_length() > 8:
        product ^= 0x11B << (product.bit_length() - 9)
    return product


def slow_inverse(element: int) -> int:
    return next(other for other in range(1, 256) if slow_multiply(element, other) == 1)


def interpolated(points: list[tuple[int, int]], at: int) -> int:
    """The value at `at` of the polynomial through `points`, by Lagrange's formula."""
    value = 0
    for x, y in points:
        term = y
        for other, _ in points:
            if other != x:
                term = slow_multiply(term, slow_multiply(at ^ other, slow_inverse(x ^ other)))
        value ^= term
    return value


def dealt(threshold: int = 3, total: int = 5) -> tuple[Dealing, tuple[Share, ...]]:
    return shamir.deal(SECRET, CONTEXT, seeded(b"dealer"), threshold=threshold, total=total)


def test_the_field_is_that_of_aes() -> None:
    assert shamir.multiply(0x57, 0x83) == 0xC1  # FIPS 197, section 4.2
    assert shamir.multiply(0x57, 0x13) == 0xFE
    assert shamir.inverse(0x53) == 0xCA
    for left in range(256):
        assert [shamir.multiply(left, right) for right in (0, 1, 2, 91, 255)] == [
            slow_multiply(left, right) for right in (0, 1, 2, 91, 255)
        ]
        if left:
            assert shamir.inverse(left) == slow_inverse(left)


def test_every_threshold_of_shares_gives_the_secret_by_two_ways() -> None:
    dealing, shares = dealt()
    for chosen in itertools.combinations(shares, 3):
        assert shamir.combine(dealing, chosen) == SECRET
        by_hand = bytes(
            interpolated([(share.place, share.body[at]) for share in chosen], 0) for at in range(32)
        )
        assert by_hand == SECRET
    assert shamir.combine(dealing, shares) == SECRET
    assert shamir.combine(dealing, shares[::-1]) == SECRET


def test_dealt_shares_do_not_change_with_this_code() -> None:
    # Written down from `interpolated` over (0, secret), (c1, c2) drawn from the seeded entropy.
    dealing, shares = dealt()
    random = seeded(b"dealer")(64)
    for share in shares:
        square = slow_multiply(share.place, share.place)
        expected = bytes(
            SECRET[at]
            ^ slow_multiply(random[at], share.place)
            ^ slow_multiply(random[32 + at], square)
            for at in range(32)
        )
        assert share.body == expected
    assert dealing.total == 5


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(2, 16), st.data())
def test_any_rule_and_subset_gives_the_secret(
    secret: bytes, threshold: int, data: st.DataObject
) -> None:
    total = data.draw(st.integers(threshold, 16))
    dealing, shares = shamir.deal(secret, CONTEXT, seeded(secret), threshold=threshold, total=total)
    chosen = data.draw(st.permutations(shares))[: data.draw(st.integers(threshold, total))]
    assert shamir.combine(dealing, chosen) == secret


def test_fewer_shares_fit_every_secret_equally() -> None:
    # With two of three shares each byte of the secret may still be any: exactly one third
    # share completes each guess.
    _, shares = dealt()
    two = [(share.place, share.body[0]) for share in shares[:2]]
    thirds = {interpolated([*two, (0, guess)], 3) for guess in range(256)}
    assert len(thirds) == 256


def test_too_few_or_repeated_shares_are_missing() -> None:
    dealing, shares = dealt()
    for few in ((), shares[:2], (shares[0],) * 5):
        with pytest.raises(SharesMissing):
            shamir.combine(dealing, few)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4), st.integers(0, 31), st.integers(1, 255))
def test_a_wrong_share_is_named_whatever_is_wrong(which: int, at: int, flip: int) -> None:
    dealing, shares = dealt()
    body = bytearray(shares[which].body)
    body[at] ^= flip
    wrong = dataclasses.replace(shares[which], body=bytes(body))
    given_ = [*shares[:which], wrong, *shares[which + 1 :]]
    with pytest.raises(ShareInvalid) as invalid:
        shamir.combine(dealing, given_)
    assert invalid.value.ids == {"share": str(which + 1)}
    assert body.hex() not in str(invalid.value)


def test_shares_of_other_places_epochs_rules_and_lengths_are_invalid() -> None:
    dealing, shares = dealt()
    other_epoch = dataclasses.replace(dealing, context=b"another")
    other_rule = dataclasses.replace(dealing, threshold=2)
    for against, share in (
        (dealing, Share(2, shares[0].body)),
        (dealing, Share(0, shares[0].body)),
        (dealing, Share(6, shares[0].body)),
        (dealing, Share(-1, shares[4].body)),
        (dealing, Share(1, shares[0].body[:-1])),
        (dealing, Share(1, b"")),
        (other_epoch, shares[0]),
        (other_rule, shares[0]),
    ):
        with pytest.raises(ShareInvalid):
            shamir.combine(against, [share])


def test_a_dealer_who_dealt_another_secret_is_found() -> None:
    dealing, _ = dealt()
    other, shares = shamir.deal(bytes(32), CONTEXT, seeded(b"other"))
    lying = dataclasses.replace(other, secret=dealing.secret)
    with pytest.raises(SharingRefused, match="new ceremony"):
        shamir.combine(lying, shares)


@pytest.mark.parametrize(("threshold", "total"), [(1, 5), (0, 5), (6, 5), (3, 17), (2, 1), (-1, 3)])
def test_rules_that_are_no_sharing_are_refused(threshold: int, total: int) -> None:
    with pytest.raises(SharingRefused):
        dealt(threshold, total)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_only_32_bytes_are_shared(length: int) -> None:
    with pytest.raises(SharingRefused):
        shamir.deal(bytes(length), CONTEXT, seeded(b"x"))


def test_shares_do_not_show_in_text() -> None:
    _, shares = dealt()
    assert repr(shares[0]) == "Share(place=1)"


def test_zero_has_no_inverse() -> None:
    with pytest.raises(SharingRefused):
        shamir.inverse(0)
