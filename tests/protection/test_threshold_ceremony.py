"""The ceremony: reference, committed shares, Shamir's scheme and the pairs' seeds."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protection.threshold import ceremony
from protection.threshold.errors import DealingRefused, ShareRefused, ThresholdError
from protection.threshold.opening import lagrange_at_zero
from protection.threshold.profile import SEUIL
from protection.threshold.transform import to_coefficients
from tests.protection.threshold_world import World, centred, hold, schoolbook, small
from trust.entropy import seeded

RING = small(32)
PRIMES = RING.primes
Q_KEY = PRIMES[0] * PRIMES[1] * PRIMES[2]


@pytest.fixture(scope="module")
def world() -> World:
    return hold(RING)


def test_the_reference_is_the_epochs_own() -> None:
    epoch = ceremony.Epoch("one", RING, 3, 5)
    again = ceremony.Epoch("one", RING, 3, 5)
    others = [ceremony.Epoch("two", RING, 3, 5), ceremony.Epoch("one", RING, 2, 5)]
    assert (ceremony.common_reference(epoch) == ceremony.common_reference(again)).all()
    for other in others:
        assert (ceremony.common_reference(epoch) != ceremony.common_reference(other)).any()
    rows = ceremony.common_reference(ceremony.Epoch("one", SEUIL, 3, 5))
    assert all(row.max() < q for row, q in zip(rows, SEUIL.primes, strict=True))


def test_the_joint_key_is_an_rlwe_sample_of_the_sum_of_secrets(world: World) -> None:
    b, a = (to_coefficients(part, PRIMES) for part in world.key)
    product = schoolbook(a, world.whole_secret(), Q_KEY)
    error = centred([-x - y for x, y in zip(b, product, strict=True)], Q_KEY)
    assert any(error)
    assert max(map(abs, error)) <= 5 * 21
    assert max(map(abs, world.whole_secret())) <= 5


def test_a_share_that_differs_from_its_commitment_is_refused(world: World) -> None:
    entropy = seeded(b"rogue")
    shares = [
        ceremony.public_share(world.epoch, i, world.secrets[i], entropy)
        for i in world.epoch.trustees
    ]
    commitments = {s.trustee: s.commitment(world.epoch) for s in shares}
    # The rogue key: trustee 5 waits for the others and would answer "my key less all of yours".
    rogue = ceremony.public_share(
        world.epoch, 5, ceremony.draw_secret(world.epoch, entropy), entropy
    )
    with pytest.raises(ShareRefused, match="another share than it committed to"):
        ceremony.joint_key(world.epoch, commitments, [*shares[:4], rogue])
    # Replaying somebody else's share under one's own number is no commitment either.
    copied = dataclasses.replace(shares[0], trustee=5)
    with pytest.raises(ShareRefused):
        ceremony.joint_key(world.epoch, {**commitments, 5: commitments[1]}, [*shares[:4], copied])


def test_missing_repeated_unknown_and_unreduced_shares_are_refused(world: World) -> None:
    entropy = seeded(b"bad shares")
    shares = [
        ceremony.public_share(world.epoch, i, world.secrets[i], entropy)
        for i in world.epoch.trustees
    ]
    commitments = {s.trustee: s.commitment(world.epoch) for s in shares}
    high = ceremony.PublicShare(5, shares[4].values.copy())
    high.values[1, 3] = PRIMES[1]
    short = ceremony.PublicShare(5, shares[4].values[:, :-1])
    for wrong in (
        shares[:4],
        [*shares, shares[0]],
        [*shares[:4], dataclasses.replace(shares[4], trustee=6)],
        [*shares[:4], high],
        [*shares[:4], short],
    ):
        named = {**commitments, **{s.trustee: s.commitment(world.epoch) for s in wrong[4:]}}
        with pytest.raises(ShareRefused) as refused:
            ceremony.joint_key(world.epoch, named, wrong)
        assert refused.value.remedy


@settings(max_examples=25, deadline=None)
@given(
    seed=st.binary(max_size=8),
    sizes=st.integers(2, 6).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n))),
)
def test_any_threshold_of_holdings_interpolates_the_sum(
    seed: bytes, sizes: tuple[int, int]
) -> None:
    world = hold(small(8), *sizes, seed)
    for subset in itertools.combinations(world.epoch.trustees, world.epoch.threshold):
        rows = []
        for place, q in enumerate(RING.data_primes):
            total = np.zeros(8, dtype=object)
            for j in subset:
                point = world.holdings[j].share[place].astype(object)
                total = total + point * lagrange_at_zero(q, subset, j)
            rows.append((total % q).astype(np.uint64))
        assert to_coefficients(np.stack(rows), RING.data_primes) == world.whole_secret()


@pytest.mark.parametrize("threshold", [2, 3, 4])
def test_one_share_less_than_the_threshold_interpolates_to_noise(threshold: int) -> None:
    # Uniform in +-Q/2, with a mean magnitude of Q/4: a polynomial of too low a degree, or with a
    # term that is not uniform, would show here.
    world = hold(small(1024), threshold, 5)
    for subset in itertools.combinations(world.epoch.trustees, threshold - 1):
        rows = []
        for place, q in enumerate(RING.data_primes):
            points = (
                world.holdings[j].share[place].astype(object) * lagrange_at_zero(q, subset, j)
                for j in subset
            )
            rows.append(np.array([sum(c) % q for c in zip(*points, strict=True)], np.uint64))
        found = to_coefficients(np.stack(rows), RING.data_primes)
        assert 0.22 < sum(map(abs, found)) / 1024 / world.product < 0.28


def test_both_ends_of_a_pair_hold_the_same_seed_and_nobody_else(world: World) -> None:
    seen = set()
    for low, high in itertools.combinations(world.epoch.trustees, 2):
        seed = world.holdings[low].seeds[high]
        assert seed == world.holdings[high].seeds[low]
        seen.add(seed)
    assert len(seen) == 10
    assert all(j not in world.holdings[j].seeds for j in world.epoch.trustees)


def test_incomplete_foreign_and_malformed_dealings_are_refused(world: World) -> None:
    sent = world.dealings[1]
    received = [world.dealings[i][0] for i in world.epoch.trustees]
    high = dataclasses.replace(received[2], values=received[2].values.copy())
    high.values[0, 0] = RING.data_primes[0]
    for wrong in (
        received[:-1],
        [*received, received[0]],
        [*received[:-1], received[0]],
        [*received[:-1], world.dealings[5][1]],  # meant for trustee 2
        [*received[:2], high, *received[3:]],
        [*received[:-1], dataclasses.replace(received[4], seed=b"short")],
    ):
        with pytest.raises(DealingRefused):
            ceremony.receive(world.epoch, 1, sent, wrong)
    with pytest.raises(DealingRefused):
        ceremony.receive(world.epoch, 1, world.dealings[2], received)


def test_thresholds_and_indices_outside_the_protocol_are_refused(world: World) -> None:
    for threshold, holders in ((1, 5), (0, 0), (6, 5), (3, 17)):
        with pytest.raises(ThresholdError):
            ceremony.Epoch("x", RING, threshold, holders)
    for trustee in (0, 6, -1):  # a share at 0 would be the secret
        with pytest.raises(ThresholdError):
            ceremony.deal(world.epoch, trustee, world.secrets[1], seeded(b""))


def test_secrets_are_not_in_texts(world: World) -> None:
    for secret in (world.secrets[1], world.holdings[1], world.dealings[1][0]):
        assert "values" not in repr(secret)
        assert "seed" not in repr(secret)
        assert "array" not in repr(secret)
