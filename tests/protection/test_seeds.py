from __future__ import annotations

import copy
import dataclasses
import itertools
import pickle
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protection.errors import SeedRefused, SeedUnopenable
from protection.scope import Binding, Scope
from protection.seeds import SEALED_BYTES, Seed, open_seed, seal
from trust.entropy import seeded
from trust.ids import CampaignId, Digest, ReportId, WorkerId

ENTROPY = seeded(b"seeds")
HELPER = X25519PrivateKey.from_private_bytes(ENTROPY(32))
SEED = Seed.draw(ENTROPY)
SCOPE = Scope(
    territory="demo",
    campaign=CampaignId.from_bytes(bytes(16)),
    round=1,
    bundle=Digest.of(b"bundle"),
    plan=Digest.of(b"plan"),
    parameters=Digest.of(b"parameters"),
)
BINDING = Binding(SCOPE, WorkerId.from_bytes(bytes(16)), ReportId.from_bytes(bytes(16)))
SEALED = seal(SEED, HELPER.public_key(), BINDING)


def others() -> Iterator[tuple[str, Binding]]:
    """Bindings that differ from BINDING in one field each."""
    for name, value in (
        ("territory", "demo2"),
        ("campaign", CampaignId.from_bytes(b"\1" * 16)),
        ("round", 2),
        ("bundle", Digest.of(b"another")),
        ("plan", Digest.of(b"another")),
        ("parameters", Digest.of(b"another")),
    ):
        yield name, dataclasses.replace(BINDING, scope=dataclasses.replace(SCOPE, **{name: value}))
    yield "worker", dataclasses.replace(BINDING, worker=WorkerId.from_bytes(b"\1" * 16))
    yield "report", dataclasses.replace(BINDING, report=ReportId.from_bytes(b"\1" * 16))


def test_a_seed_comes_back_under_its_own_binding() -> None:
    assert len(SEALED) == SEALED_BYTES == 80
    assert open_seed(SEALED, HELPER, BINDING) == SEED
    assert seal(SEED, HELPER.public_key(), BINDING) != SEALED


def test_the_seal_is_plain_hpke() -> None:
    # Another reader of RFC 9180 opens it with the documented info, and nothing else.
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    assert suite.decrypt(SEALED, HELPER, info=BINDING.info()) == SEED.reveal()


def test_every_field_of_a_report_is_tried() -> None:
    fields = {field.name for field in dataclasses.fields(Scope)} | {"worker", "report"}
    assert {name for name, _ in others()} == fields


@pytest.mark.parametrize(("name", "other"), list(others()))
def test_a_seed_of_another_report_does_not_open(name: str, other: Binding) -> None:
    with pytest.raises(SeedUnopenable) as refusal:
        open_seed(SEALED, HELPER, other)
    assert refusal.value.code == "seed-unopenable"
    assert refusal.value.ids == {"report": other.report}


def test_the_key_of_another_campaign_does_not_open() -> None:
    with pytest.raises(SeedUnopenable):
        open_seed(SEALED, X25519PrivateKey.from_private_bytes(ENTROPY(32)), BINDING)


@given(st.integers(0, SEALED_BYTES - 1), st.integers(1, 255))
def test_a_changed_byte_does_not_open(position: int, flip: int) -> None:
    changed = bytearray(SEALED)
    changed[position] ^= flip
    with pytest.raises(SeedUnopenable):
        open_seed(bytes(changed), HELPER, BINDING)


def test_the_ignored_bit_of_the_point_is_bound_too() -> None:
    # RFC 7748 ignores it when it multiplies; RFC 9180 hashes the bytes as they came.
    changed = SEALED[:31] + bytes([SEALED[31] ^ 0x80]) + SEALED[32:]
    with pytest.raises(SeedUnopenable):
        open_seed(changed, HELPER, BINDING)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_without_another_error(junk: bytes) -> None:
    for raw in (junk, SEALED[:40] + junk, SEALED + junk + b"x", bytes(SEALED_BYTES)):
        if raw != SEALED:
            with pytest.raises(SeedUnopenable):
                open_seed(raw, HELPER, BINDING)


def test_a_sealed_text_of_another_length_is_no_seed() -> None:
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    for size in (0, 31, 33):
        sealed = suite.encrypt(bytes(size), HELPER.public_key(), info=BINDING.info())
        with pytest.raises(SeedUnopenable):
            open_seed(sealed, HELPER, BINDING)


def test_nothing_is_sealed_to_a_point_of_small_order() -> None:
    for point in (bytes(32), b"\1" + bytes(31)):
        with pytest.raises(SeedRefused):
            seal(SEED, X25519PublicKey.from_public_bytes(point), BINDING)


def test_all_refusals_to_open_read_the_same() -> None:
    sentences = set()
    for sealed in (b"", bytes(80), SEALED[:-1] + bytes([SEALED[-1] ^ 1])):
        with pytest.raises(SeedUnopenable) as refusal:
            open_seed(sealed, HELPER, BINDING)
        sentences.add(str(refusal.value))
    assert len(sentences) == 1


@given(st.lists(st.text(max_size=20), min_size=2, max_size=2), st.integers(0, 10**6))
def test_no_two_bindings_have_the_same_info(texts: list[str], number: int) -> None:
    def info(territory: str, campaign: str) -> bytes:
        scope = dataclasses.replace(
            SCOPE, territory=territory, campaign=CampaignId(campaign), round=number
        )
        return dataclasses.replace(BINDING, scope=scope).info()

    first, second = texts
    # The same letters cut elsewhere are another binding.
    joined = first + second
    cuts = {info(joined[:cut], joined[cut:]) for cut in range(len(joined) + 1)}
    assert len(cuts) == len(joined) + 1


def test_the_info_is_written_like_this() -> None:
    fields = [
        b"cadastre/seed/v1",
        b"demo",
        b"camp_" + b"0" * 26,
        b"1",
        SCOPE.bundle.encode(),
        SCOPE.plan.encode(),
        SCOPE.parameters.encode(),
        b"wrk_" + b"0" * 26,
        b"rep_" + b"0" * 26,
    ]
    info = BINDING.info()
    assert info[:20] == b"\0\0\0\x10cadastre/seed/v1"
    lengths = (len(field).to_bytes(4, "big") for field in fields)
    assert info == b"".join(itertools.chain.from_iterable(zip(lengths, fields, strict=True)))


def test_a_seed_shows_and_gives_nothing_by_accident() -> None:
    raw = SEED.reveal()
    shown = (repr(SEED), str(SEED), f"{SEED}", repr([SEED]), "%s" % SEED)  # noqa: UP031
    assert all(raw.hex() not in text and repr(raw) not in text for text in shown)
    assert {repr(SEED)} == {"Seed(hidden)"}
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SeedRefused):
            take(SEED)
    assert not hasattr(SEED, "__dict__")


def test_a_seed_is_its_32_bytes() -> None:
    assert Seed(SEED.reveal()) == SEED
    assert len({SEED, Seed(SEED.reveal()), Seed(bytes(32))}) == 2
    assert SEED.reveal() != SEED
    for size in (0, 16, 31, 33, 64):
        with pytest.raises(SeedRefused):
            Seed(bytes(size))
