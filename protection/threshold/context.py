"""The joint public key inside an ordinary TenSEAL context: workers encrypt as always.

A TenSEAL context is a protobuf message: 1 parameters, 2 public part (1 public key, 2 flags,
3 scale, 4 and 5 other keys), 3 private part, 4 kind. The key is replaced, other keys are left
out, everything else is kept byte for byte. SEAL's serialisation of a public key is a ciphertext
at the key level: 16-byte header, parameters id, flags and sizes, residues.

Nothing here decides whether the template's ring is this profile's: the public key carries the
BLAKE2b id of our parameters, and SEAL refuses to load it under any others.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

import numpy as np

from protection.threshold.ceremony import canonical
from protection.threshold.errors import ContextMalformed, ThresholdError
from protection.threshold.profile import Profile
from protection.threshold.transform import ResidueArray

_HEADER = struct.Struct("<HBBBBHQ")  # magic, its size, version, compression, reserved, total size
_SHAPE = struct.Struct("<BQQQdQ")  # transformed, polynomials, N, primes, scale, correction factor
_MAGIC = 0xA15E
_VERSION = (4, 3)  # SEAL 4.3, which TenSEAL 0.3.18 bundles
_CKKS = 2
# A context of SEUIL has 389,367 bytes, and with relinearisation keys about 1.2 MB.
MAXIMUM_CONTEXT = 2 << 20
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_PUBLIC_PART, _PRIVATE_PART = 2, 3
_KEY, _SCALE, _RELIN, _GALOIS = 1, 3, 4, 5


def public_context(template: bytes, profile: Profile, key: ResidueArray) -> bytes:
    """`template` with `key`, shape (2, primes, N), as its public key.

    `template` is a serialised TenSEAL context of the same parameters and scale, with any public
    key and no secret key. Raises ContextMalformed, ThresholdError.
    """
    if len(template) > MAXIMUM_CONTEXT:
        raise _malformed(f"{len(template)} bytes are more than a context of this profile has")
    kept = bytearray()
    found = False
    for field, wire, value in _fields(template):
        if field == _PRIVATE_PART:
            raise _malformed("it has a private part")
        if field == _PUBLIC_PART and wire == _BYTES and not found:
            found = True
            value = _public_part(value, profile, key)  # noqa: PLW2901
        kept += _field(field, wire, value)
    if not found:
        raise _malformed("it has no public key")
    return bytes(kept)


def serialised_key(profile: Profile, key: ResidueArray) -> bytes:
    """A public key, shape (2, primes, N) transformed, as uncompressed SEAL 4.3 bytes."""
    if key.ndim != 3 or len(key) != 2:
        raise ThresholdError(
            f"a public key of shape {key.shape} has not two polynomials",
            remedy="give what `joint_key` returned",
        )
    for polynomial in key:
        canonical(polynomial, profile.primes, profile.degree, ThresholdError)
    residues = key.astype("<u8").tobytes()
    inner = struct.pack("<Q", key.size) + residues
    body = (
        parameters_id(profile.degree, profile.primes)
        + _SHAPE.pack(1, 2, profile.degree, len(profile.primes), 1.0, 1)
        + _header(len(inner))
        + inner
    )
    return _header(len(body)) + body


def parameters_id(degree: int, primes: tuple[int, ...]) -> bytes:
    """SEAL's id of CKKS parameters: BLAKE2b-256 of scheme, N, primes and plain modulus 0."""
    words = np.array([_CKKS, degree, *primes, 0], "<u8")
    return hashlib.blake2b(words.tobytes(), digest_size=32).digest()


def _public_part(part: bytes, profile: Profile, key: ResidueArray) -> bytes:
    kept = bytearray(_field(_KEY, _BYTES, serialised_key(profile, key)))
    scale = None
    for field, wire, value in _fields(part):
        if field in {_KEY, _RELIN, _GALOIS}:
            continue
        if field == _SCALE and wire == _FIXED64:
            (scale,) = struct.unpack("<d", value)
        kept += _field(field, wire, value)
    if scale != profile.scale:
        raise _malformed(f"its scale is {scale}, not {profile.name}'s {float(profile.scale)}")
    return bytes(kept)


def _header(body: int) -> bytes:
    return _HEADER.pack(_MAGIC, _HEADER.size, *_VERSION, 0, 0, _HEADER.size + body)


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    # Values keep their encoding, so that `_field` writes them back unchanged.
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        field, wire = tag >> 3, tag & 7
        start = place
        if wire == _VARINT:
            _, place = _varint(message, place)
        elif wire == _FIXED64:
            place += 8
        elif wire == _BYTES:
            size, start = _varint(message, place)
            place = start + size
        else:
            raise _malformed(f"field {field} has wire type {wire}")
        if place > len(message):
            raise _malformed(f"field {field} is cut short")
        yield field, wire, message[start:place]


def _field(field: int, wire: int, value: bytes) -> bytes:
    size = _encoded(len(value)) if wire == _BYTES else b""
    return _encoded(field << 3 | wire) + size + value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 63, 7):
        if place >= len(message):
            raise _malformed("it ends inside a number")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise _malformed("a number in it has more than 63 bits")


def _encoded(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _malformed(cause: str) -> ContextMalformed:
    return ContextMalformed(
        f"these bytes are not the public TenSEAL context that is wanted: {cause}",
        remedy="serialise a fresh context of the profile without its secret key",
    )
