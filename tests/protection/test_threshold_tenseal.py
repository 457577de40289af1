"""The real thing: workers encrypt with stock TenSEAL, trustees open, TenSEAL reads the result."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protection.ckks import residues
from protection.threshold import agreement, ceremony, context, opening
from protection.threshold.errors import ContextMalformed, ThresholdError
from protection.threshold.profile import SEUIL
from protection.threshold.transform import ResidueArray, to_coefficients, to_values, transform
from tests.protection.threshold_world import World, hold, small
from trust.entropy import seeded

ts: Any = pytest.importorskip("tenseal")
sealapi: Any = pytest.importorskip("tenseal.sealapi")
pytest.importorskip("backports.zstd")
scheme: Any = pytest.importorskip("protection.ckks.scheme")
compression: Any = pytest.importorskip("protection.ckks.compression")

PRIMES = SEUIL.data_primes
RING = SEUIL.ring
BITS = list(RING.coefficient_bits)
WORKERS = 20


def fresh_context(*, scale: float = float(SEUIL.scale), bits: list[int] = BITS) -> Any:
    made = ts.context(ts.SCHEME_TYPE.CKKS, SEUIL.degree, coeff_mod_bit_sizes=bits, n_threads=1)
    made.global_scale = scale
    return made


def exported(made: Any, *, secret: bool = False) -> bytes:
    written: bytes = made.serialize(
        save_public_key=True, save_secret_key=secret, save_galois_keys=False, save_relin_keys=False
    )
    return written


def values_of_workers() -> NDArray[np.float64]:
    return np.random.default_rng(7).uniform(-1000, 1000, (WORKERS, SEUIL.slots)).round(2)


def encrypted_sum(public: bytes) -> ResidueArray:
    """The workers' ciphertexts, added as residues by somebody who has no key."""
    encryptor = scheme.Encryptor(RING, public)
    total = np.zeros((2, len(PRIMES), SEUIL.degree), np.uint64)
    limits = np.array(PRIMES, np.uint64)[None, :, None]
    for values in values_of_workers():
        written = residues.write(encryptor.encrypt(values))
        total = (total + residues.parse(written, RING).values) % limits
    return total


def times_secret(c1: ResidueArray, secret: ResidueArray) -> ResidueArray:
    rows = zip(PRIMES, c1, secret, strict=False)
    return np.stack([transform(q, SEUIL.degree).modulus.multiply(x, s) for q, x, s in rows])


def plus(a: ResidueArray, b: ResidueArray) -> ResidueArray:
    rows = zip(PRIMES, a, b, strict=True)
    return np.stack([transform(q, SEUIL.degree).modulus.add(x, y) for q, x, y in rows])


def unflooded(world: World, aggregate: ResidueArray) -> list[int]:
    """c0 + c1 s by the whole secret, which only a test assembles."""
    secret = to_values(world.whole_secret(), PRIMES)
    return to_coefficients(plus(aggregate[0], times_secret(aggregate[1], secret)), PRIMES)


def read_by_tenseal(message: ResidueArray) -> NDArray[np.float64]:
    """TenSEAL's decryption of (message, 0), which is the message under any key whatever."""
    pair = np.stack([message, np.zeros_like(message)])
    written = residues.write(residues.Residues.checked(RING, pair))
    return np.array(ts.ckks_vector_from(fresh_context(), written).decrypt())


@pytest.fixture(scope="module")
def world() -> World:
    return hold(SEUIL)


@pytest.fixture(scope="module")
def template() -> bytes:
    return exported(fresh_context())


@pytest.fixture(scope="module")
def public(world: World, template: bytes) -> bytes:
    return context.public_context(template, SEUIL, world.key)


@pytest.fixture(scope="module")
def aggregate(public: bytes) -> ResidueArray:
    return encrypted_sum(public)


def test_the_profile_is_what_seal_chooses() -> None:
    chosen = [m.value() for m in sealapi.CoeffModulus.Create(SEUIL.degree, BITS)]
    assert tuple(chosen) == SEUIL.primes
    assert BITS == [58, 58, 60]
    assert context.parameters_id(SEUIL.degree, PRIMES) == RING.parameters_id


def test_every_subset_opens_the_sum_and_tenseal_reads_the_same(
    world: World, aggregate: ResidueArray
) -> None:
    exact = values_of_workers().sum(axis=0)
    opened = {}
    for subset in world.subsets():
        message = world.open(aggregate, subset)
        opened[subset] = opening.decode(SEUIL, message)
        if subset == (1, 3, 5):
            assert np.abs(opened[subset] - read_by_tenseal(message)).max() < 1e-10
    deviations = {s: (slots - exact).std() for s, slots in opened.items()}
    for deviation in deviations.values():  # the error is the flooding, as large as stated
        assert 0.95 < deviation / SEUIL.slot_deviation(3) < 1.05
    assert max(np.abs(slots - exact).max() for slots in opened.values()) < 4e-4
    verdict = agreement.check_subsets(world.epoch, opened)
    assert verdict.suspects == frozenset()
    assert np.abs(verdict.values - exact).max() < 2e-4


def test_an_opening_differs_from_the_raw_decryption_by_the_stated_flooding(
    world: World, aggregate: ResidueArray
) -> None:
    raw = unflooded(world, aggregate)
    opened = to_coefficients(world.open(aggregate, (2, 3, 4)), PRIMES)
    floods = np.array([(x - y) / SEUIL.flooding for x, y in zip(opened, raw, strict=True)])
    assert abs(floods.mean()) < 4.5 * (3 / SEUIL.degree) ** 0.5
    assert abs(floods.var() / 3 - 1) < 4.5 * (2 / SEUIL.degree) ** 0.5


def test_two_of_three_partials_are_garbage_to_tenseal(
    world: World, aggregate: ResidueArray
) -> None:
    total = aggregate[0]
    for part in world.partials(aggregate, (1, 2, 3))[:2]:
        total = plus(total, part.values)
    assert np.abs(read_by_tenseal(total)).mean() > 1e10


def test_trustees_agree_with_tenseals_own_decryption_under_its_own_key() -> None:
    # TenSEAL's own key takes the place of one trustee's secret; the others hold zero. What the
    # key's owner decrypts alone must be what any two of three trustees open.
    own = fresh_context()
    aggregate = encrypted_sum(exported(own))
    private = dict(_fields(exported(own, secret=True)))[3]
    serialised = dict(_fields(private))[1]
    size = 72 + 8 * len(SEUIL.primes) * SEUIL.degree
    plain = compression.expand_zstd(serialised[16:], size)
    key = np.frombuffer(plain, "<u8", offset=72).reshape(len(SEUIL.primes), SEUIL.degree)
    assert set(to_coefficients(key, SEUIL.primes)) == {-1, 0, 1}

    entropy = seeded(b"own key")
    epoch = ceremony.Epoch("TenSEAL's own key", SEUIL, 2, 3)
    secrets = {1: key, 2: np.zeros_like(key), 3: np.zeros_like(key)}
    dealings = {i: ceremony.deal(epoch, i, ceremony.Secret(s), entropy) for i, s in secrets.items()}
    holdings = {
        j: ceremony.receive(epoch, j, dealings[j], [dealings[i][j - 1] for i in epoch.trustees])
        for j in epoch.trustees
    }
    world = World(epoch, np.empty(0, np.uint64), {}, holdings, dealings, entropy)

    pair = residues.Residues.checked(RING, aggregate.copy())
    theirs = np.array(ts.ckks_vector_from(own, residues.write(pair)).decrypt())
    for subset in world.subsets():
        ours = opening.decode(SEUIL, world.open(aggregate, subset))
        assert np.abs(ours - theirs).max() < 6 * SEUIL.slot_deviation(2)


def test_the_noise_of_a_fresh_ciphertext_is_what_the_flooding_assumes(
    world: World, public: bytes
) -> None:
    # Two encryptions of the same numbers differ by their noises alone.
    encryptor = scheme.Encryptor(RING, public)
    values = values_of_workers()[0]
    one, two = (unflooded(world, encryptor.encrypt(values).values) for _ in range(2))
    noise = np.array([(x - y) / 2**0.5 for x, y in zip(one, two, strict=True)], np.float64)
    expected = SEUIL.ciphertext_noise(holders=5, ciphertexts=1)
    assert 45 < expected < 50
    assert 0.9 < noise.std() / expected < 1.1


def test_the_joint_context_holds_the_joint_key_and_no_secret(
    world: World, public: bytes, template: bytes
) -> None:
    loaded = ts.context_from(public, n_threads=1)
    assert loaded.is_public()
    assert not loaded.has_secret_key()
    assert not loaded.has_relin_keys()
    assert loaded.global_scale == float(SEUIL.scale)
    assert world.key.astype("<u8").tobytes() in public
    # Splicing is its own check: the same key into its own output changes nothing.
    assert context.public_context(public, SEUIL, world.key) == public
    assert public != template


def test_the_key_format_is_what_tenseal_writes(template: bytes) -> None:
    serialised = dict(_fields(dict(_fields(template))[2]))[1]
    size = 97 + 8 * 2 * len(SEUIL.primes) * SEUIL.degree
    body = compression.expand_zstd(serialised[16:], size)
    key = np.frombuffer(body, "<u8", offset=97).reshape(2, len(SEUIL.primes), SEUIL.degree)
    assert context.serialised_key(SEUIL, key)[16:] == body


def test_contexts_with_secrets_other_scales_or_other_rings_are_refused(
    world: World, template: bytes
) -> None:
    with pytest.raises(ContextMalformed, match="private part"):
        context.public_context(exported(fresh_context(), secret=True), SEUIL, world.key)
    with pytest.raises(ContextMalformed, match="scale"):
        context.public_context(exported(fresh_context(scale=2.0**40)), SEUIL, world.key)
    foreign = exported(fresh_context(bits=[58, 50, 60]))
    spliced = context.public_context(foreign, SEUIL, world.key)
    with pytest.raises((ValueError, RuntimeError)):  # SEAL compares the parameters' id
        ts.context_from(spliced, n_threads=1)
    for wrong in (world.key[0], world.key[:, :2], np.full_like(world.key, 1 << 60)):
        with pytest.raises(ThresholdError):
            context.public_context(template, SEUIL, wrong)


@settings(deadline=None)
@given(data=st.data())
def test_no_bytes_break_the_splice(data: st.DataObject) -> None:
    ring = small(8)
    key = np.zeros((2, 3, 8), np.uint64)
    scale = b"\x19" + struct.pack("<d", float(ring.scale))
    public = b"\x0a\x03key\x10\x01" + scale + b"\x22\x02rk"
    whole = b"\x0a\x02pp\x12" + bytes([len(public)]) + public
    spliced = context.public_context(whole, ring, key)
    assert b"rk" not in spliced
    assert scale in spliced
    cut = data.draw(st.integers(0, len(whole)))
    torn = bytearray(whole[:cut])
    if torn:
        torn[data.draw(st.integers(0, len(torn) - 1))] = data.draw(st.integers(0, 255))
    for bad in (bytes(torn), data.draw(st.binary(max_size=40))):
        with contextlib.suppress(ContextMalformed):
            context.public_context(bad, ring, key)


def test_an_oversized_context_is_not_read() -> None:
    with pytest.raises(ContextMalformed, match="more than"):
        context.public_context(
            bytes(context.MAXIMUM_CONTEXT + 1), small(8), np.zeros((2, 3, 8), np.uint64)
        )


def test_partials_of_the_real_profile_are_refused_when_a_residue_is_not_reduced(
    world: World, aggregate: ResidueArray
) -> None:
    announced = world.announce(aggregate, (1, 2, 3))
    *rest, last = world.partials(aggregate, (1, 2, 3))
    moved = last.values.copy()
    moved[0, 0] = PRIMES[0]
    with pytest.raises(ThresholdError):
        opening.combine(announced, aggregate, [*rest, dataclasses.replace(last, values=moved)])


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    return [(field, value) for field, _, value in context._fields(message)]
