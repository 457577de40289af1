from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from capsule_runtime.capsules.encryption import (
    CHUNK_BYTES,
    COMMITMENT_BYTES,
    SALT_BYTES,
    TAG_BYTES,
    decrypt,
    encrypt,
)
from capsule_runtime.capsules.errors import CiphertextRefused
from trust.entropy import seeded

KEY = bytes(range(32))
HEAD = SALT_BYTES + COMMITMENT_BYTES
STRIDE = CHUNK_BYTES + TAG_BYTES
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 40_000]
THREE = encrypt(KEY, bytes(2 * CHUNK_BYTES + 100), b"context", seeded(b"three"))


@pytest.mark.parametrize("size", SIZES)
def test_round_trip_and_length(size: int) -> None:
    plain = seeded(b"p")(size)
    sealed = encrypt(KEY, plain, b"context", seeded(b"s"))
    assert decrypt(KEY, sealed, b"context") == plain
    assert len(sealed) == HEAD + size + TAG_BYTES * (size // CHUNK_BYTES + 1)


def test_layout_follows_the_specification_step_by_step() -> None:
    # HKDF-Expand (RFC 5869) written out with hmac, so that the derivation is checked by
    # something else than the library call that the code uses.
    plain = b"abc" * 6000
    sealed = encrypt(KEY, plain, b"ctx", seeded(b"salt"))
    salt = sealed[:24]
    info = b"c2sp.org/chunked-encryption@v1+" + b"AEAD_AES_256_GCM" + b"\0" + salt + b"ctx"
    first = hmac.digest(KEY, info + b"\x01", hashlib.sha512)
    okm = first + hmac.digest(KEY, first + info + b"\x02", hashlib.sha512)
    key, base, commitment = okm[:32], int.from_bytes(okm[32:44], "big"), okm[44:76]
    assert sealed[24:56] == commitment
    body = b"".join(
        AESGCM(key).encrypt(
            (base ^ index).to_bytes(12, "big"),
            plain[index * 16384 : (index + 1) * 16384],
            None,
        )
        for index in range(2)
    )
    assert sealed[56:] == body


@pytest.mark.parametrize("size", SIZES)
def test_another_context_or_key_is_refused(size: int) -> None:
    sealed = encrypt(KEY, bytes(size), b"capsule 1", seeded(b"s"))
    with pytest.raises(CiphertextRefused, match="another key"):
        decrypt(KEY, sealed, b"capsule 2")
    with pytest.raises(CiphertextRefused, match="another key"):
        decrypt(bytes(32), sealed, b"capsule 1")
    with pytest.raises(CiphertextRefused, match="32 bytes"):
        decrypt(KEY[:16], sealed, b"capsule 1")


@pytest.mark.parametrize(
    "end",
    [0, 1, SALT_BYTES, HEAD - 1, HEAD, HEAD + 1, HEAD + 15, HEAD + 16, HEAD + CHUNK_BYTES]
    + [HEAD + n * STRIDE + d for n in (1, 2) for d in (-1, 0, 1, 15, 16, 17)]
    + [len(THREE) - 1],
)
def test_a_cut_anywhere_is_refused(end: int) -> None:
    with pytest.raises(CiphertextRefused):
        decrypt(KEY, THREE[:end], b"context")


@given(st.integers(0, len(THREE) * 8 - 1))
def test_any_flipped_bit_is_refused(bit: int) -> None:
    data = bytearray(THREE)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CiphertextRefused):
        decrypt(KEY, bytes(data), b"context")


def test_reordered_repeated_and_dropped_chunks_are_refused() -> None:
    head, one, two = THREE[:HEAD], THREE[HEAD : HEAD + STRIDE], THREE[HEAD + STRIDE :][:STRIDE]
    last = THREE[HEAD + 2 * STRIDE :]
    for chunks in ([two, one, last], [one, one, last], [one, last], [one, two, one, last]):
        with pytest.raises(CiphertextRefused, match="altered"):
            decrypt(KEY, head + b"".join(chunks), b"context")
    assert decrypt(KEY, head + one + two + last, b"context") == bytes(2 * CHUNK_BYTES + 100)
