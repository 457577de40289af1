"""C2SP chunked encryption, AES-256-GCM variant: commits to its key, bound to a context.

Layout: salt (24) | commitment (32) | chunks, each 16 KiB of plaintext and a 16-byte tag; the
last chunk is always shorter than 16 KiB and may be empty, so that a cut at a chunk border is
seen. Key, base nonce and commitment come from HKDF-Expand-SHA-512 over the capsule key; the
nonce of chunk i is the base nonce XOR i. A fresh salt per message makes one capsule key safe
for many messages. Source: c2sp.org/chunked-encryption, version 1.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from capsule_runtime.capsules.errors import CiphertextRefused
from trust.entropy import Entropy

KEY_BYTES = 32
CHUNK_BYTES = 16 * 1024
TAG_BYTES = 16
SALT_BYTES = 24
COMMITMENT_BYTES = 32
NONCE_BYTES = 12
OVERHEAD_BYTES = SALT_BYTES + COMMITMENT_BYTES + TAG_BYTES

_LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"


def encrypt(key: bytes, plaintext: bytes, context: bytes, entropy: Entropy) -> bytes:
    """`plaintext` under the 32-byte `key`, readable only with the same `context`."""
    salt = entropy(SALT_BYTES)
    cipher, base, commitment = _derive(key, salt, context)
    view = memoryview(plaintext)
    parts = [salt, commitment]
    for index in range(len(view) // CHUNK_BYTES + 1):
        chunk = view[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
        parts.append(cipher.encrypt(_nonce(base, index), chunk, None))
    return b"".join(parts)


def decrypt(key: bytes, ciphertext: bytes | memoryview, context: bytes) -> bytes:
    """The plaintext. Raises CiphertextRefused; nothing unauthenticated is ever returned."""
    view = memoryview(ciphertext)
    body = view[SALT_BYTES + COMMITMENT_BYTES :]
    stride = CHUNK_BYTES + TAG_BYTES
    whole, rest = divmod(len(body), stride)
    if rest < TAG_BYTES:
        raise CiphertextRefused(
            "the encrypted data are cut", remedy="fetch the capsule again from its owner"
        )
    salt = bytes(view[:SALT_BYTES])
    cipher, base, commitment = _derive(key, salt, context)
    if not hmac.compare_digest(commitment, view[SALT_BYTES : SALT_BYTES + COMMITMENT_BYTES]):
        raise CiphertextRefused(
            "the encrypted data were made with another key or for another capsule",
            remedy="renew the grant for exactly this capsule",
        )
    try:
        return b"".join(
            cipher.decrypt(_nonce(base, index), body[index * stride : (index + 1) * stride], None)
            for index in range(whole + 1)
        )
    except InvalidTag as error:
        raise CiphertextRefused(
            "the encrypted data were altered", remedy="fetch the capsule again from its owner"
        ) from error


def _derive(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, int, bytes]:
    if len(key) != KEY_BYTES:
        raise CiphertextRefused(f"a capsule key has {KEY_BYTES} bytes, not {len(key)}")
    size = KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES
    derived = HKDFExpand(hashes.SHA512(), size, _LABEL + salt + context).derive(key)
    base = int.from_bytes(derived[KEY_BYTES : KEY_BYTES + NONCE_BYTES], "big")
    return AESGCM(derived[:KEY_BYTES]), base, derived[KEY_BYTES + NONCE_BYTES :]


def _nonce(base: int, index: int) -> bytes:
    return (base ^ index).to_bytes(NONCE_BYTES, "big")
