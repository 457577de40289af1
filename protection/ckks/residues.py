r"""Ciphertexts as arrays of residues, read from and written to what SEAL inside TenSEAL accepts.

Bytes (TenSEAL 0.3.18 with SEAL 4.3), all little-endian:

    0a n <slots as a varint>          CKKSVectorProto.sizes
    12 n <ciphertext>                 CKKSVectorProto.ciphertexts
    19 <f64 scale>                    CKKSVectorProto.scale

    ciphertext = header(total size), body
    header     = u16 A15E, u8 16, u8 4, u8 3, u8 compression, u16 0, u64 size
    body       = parameters id[32], u8 is_ntt, u64 polynomials, u64 N, u64 primes, f64 scale,
                 u64 correction, header(24 + 8 n), u64 n, then n residues u64 (polynomial, prime,
                 coefficient)

On the wire ciphertexts are never compressed: fresh residues are almost incompressible, and a
masked one is uniform. Every byte before and after the residues is then fixed by the profile, so
one comparison checks all of it, and nobody who adds ciphertexts runs a decompressor on a
stranger's bytes. TenSEAL itself compresses; its own output is read with `expand=`.

A ciphertext says nothing of its key. Whoever adds must know, from signed metadata around these
bytes, that all of them were made in the same key epoch; sums across keys are garbage.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from protection.ckks.errors import CiphertextForeign, CiphertextMalformed, ResidueOutOfRange
from protection.ckks.profile import Profile

CIPHERTEXT_POLYNOMIALS = 2  # c0 and c1; more are the mark of an unrelinearised product
_HEADER = struct.Struct("<HBBBBHQ")
_MAGIC, _HEADER_SIZE, _MAJOR, _MINOR = 0xA15E, 16, 4, 3
_PLAIN, _ZSTD = 0, 2
_BODY = struct.Struct("<32sBQQQdQ")
_COUNT = struct.Struct("<Q")
_TAG_SIZES, _TAG_CIPHERTEXT, _TAG_SCALE = b"\x0a", b"\x12", b"\x19"
_VARINT_BYTES = 5  # lengths here stay under 2^35
# zstd may store what it cannot compress with a few bytes more; nothing honest is longer.
_COMPRESSED_SLACK = 1024

Expand = Callable[[bytes, int], bytes]
"""`expand(compressed, size)`: exactly `size` bytes, never more, or CiphertextMalformed."""


@dataclass(frozen=True, eq=False, repr=False)
class Residues:
    """Polynomials modulo the profile's data primes, every residue below its prime.

    `values`: uint64, read-only, shape (polynomials, primes, N). Made by `checked` or by functions
    of this package that reduce, so that sums may rely on it.
    """

    profile: Profile
    values: NDArray[np.uint64]

    @classmethod
    def checked(cls, profile: Profile, values: NDArray[np.uint64]) -> Residues:
        """`values` after the check of each residue. Raises ResidueOutOfRange."""
        shape = (len(profile.data_primes), profile.degree)
        if values.ndim != 3 or values.shape[1:] != shape or values.dtype != np.uint64:
            raise CiphertextForeign(
                f"residues of shape {values.shape} do not belong to the profile {profile.name}"
            )
        for place, prime in enumerate(profile.data_primes):
            if int(values[:, place].max(initial=0)) >= prime:
                raise ResidueOutOfRange(
                    f"a residue is not below prime {place + 1} of the profile {profile.name}",
                    remedy="have the worker encrypt again; an honest one never sends this",
                )
        values.flags.writeable = False
        return cls(profile, values)


@dataclass(frozen=True)
class Template:
    """Every byte of a profile's uncompressed ciphertext but its residues."""

    profile: Profile
    before: bytes
    after: bytes
    body: bytes  # what precedes the residues inside the SEAL body

    @property
    def residue_count(self) -> int:
        """Residues in one ciphertext."""
        profile = self.profile
        return CIPHERTEXT_POLYNOMIALS * len(profile.data_primes) * profile.degree

    @property
    def length(self) -> int:
        """The exact length of one ciphertext on the wire."""
        return len(self.before) + 8 * self.residue_count + len(self.after)


@cache
def template_of(profile: Profile) -> Template:
    """The template that every ciphertext of `profile` must match byte for byte."""
    primes = len(profile.data_primes)
    count = CIPHERTEXT_POLYNOMIALS * primes * profile.degree
    fixed = _BODY.pack(
        profile.parameters_id, 1, CIPHERTEXT_POLYNOMIALS, profile.degree, primes, profile.scale, 1
    )
    body = fixed + _header(_HEADER_SIZE + _COUNT.size + 8 * count) + _COUNT.pack(count)
    inner = _HEADER_SIZE + len(body) + 8 * count
    sizes = _varint(profile.slots)
    before = _TAG_SIZES + _varint(len(sizes)) + sizes
    before += _TAG_CIPHERTEXT + _varint(inner) + _header(inner) + body
    return Template(profile, before, _TAG_SCALE + struct.pack("<d", profile.scale), body)


def write(residues: Residues) -> bytes:
    """The wire bytes of a ciphertext. Raises CiphertextForeign where it is not (c0, c1)."""
    template = template_of(residues.profile)
    if residues.values.shape[0] != CIPHERTEXT_POLYNOMIALS:
        raise CiphertextForeign("a ciphertext has two polynomials")
    body = np.ascontiguousarray(residues.values, "<u8").tobytes()
    return b"".join([template.before, body, template.after])


def parse(data: bytes, profile: Profile, expand: Expand | None = None) -> Residues:
    """The residues in `data`, all checked.

    Without `expand` only the uncompressed spelling is read. Raises CiphertextMalformed,
    CiphertextForeign, ResidueOutOfRange.
    """
    template = template_of(profile)
    start, stop = len(template.before), len(data) - len(template.after)
    canonical = (
        len(data) == template.length
        and data.startswith(template.before)
        and data.endswith(template.after)
    )
    if canonical:
        return Residues.checked(profile, _aligned(memoryview(data)[start:stop], template))
    body = _unusual_body(data, template, expand)
    return Residues.checked(profile, _aligned(memoryview(body)[len(template.body) :], template))


def _aligned(raw: memoryview, template: Template) -> NDArray[np.uint64]:
    # The residues start at an odd offset: one copy is cheaper than every unaligned operation.
    profile = template.profile
    values = np.empty(
        (CIPHERTEXT_POLYNOMIALS, len(profile.data_primes), profile.degree), np.dtype("<u8")
    )
    values.reshape(-1).view(np.uint8)[:] = np.frombuffer(raw, np.uint8)
    return values.astype(np.uint64, copy=False)


def _unusual_body(data: bytes, template: Template, expand: Expand | None) -> bytes:
    """The body of what is not the canonical spelling, or the reason why it has none."""
    if len(data) > template.length + _COMPRESSED_SLACK:
        raise CiphertextMalformed(
            f"{len(data)} bytes are over the {template.length} of one ciphertext"
        )
    profile = template.profile
    sizes, rest = _field(data, 0, _TAG_SIZES, "sizes")
    ciphertext, rest = _field(data, rest, _TAG_CIPHERTEXT, "ciphertext")
    if sizes != _varint(profile.slots):
        raise CiphertextForeign(
            f"the vector does not fill the {profile.slots} slots of the profile {profile.name}",
            remedy="encrypt whole slots with their zero padding",
        )
    if data[rest:] != template.after:
        raise CiphertextForeign(
            "after one ciphertext comes something else than this profile's scale",
            remedy="send one ciphertext, encrypted under the campaign's profile",
        )
    compression = _check_header(ciphertext)
    if compression == _PLAIN:
        body = ciphertext[_HEADER_SIZE:]
    elif compression == _ZSTD and expand is not None:
        body = expand(ciphertext[_HEADER_SIZE:], len(template.body) + 8 * template.residue_count)
    else:
        raise CiphertextMalformed(
            "the ciphertext is compressed", remedy="send it as `residues.write` writes it"
        )
    if len(body) != len(template.body) + 8 * template.residue_count:
        raise CiphertextMalformed(
            "the ciphertext does not have the length of this profile's",
            remedy="send whole bytes, encrypted under the campaign's profile",
        )
    if body[: len(template.body)] != template.body:
        raise CiphertextForeign(
            f"the ciphertext's parameters are not those of the profile {profile.name}",
            remedy="fetch the campaign's public key again and encrypt under it",
        )
    return body


def _check_header(ciphertext: bytes) -> int:
    if len(ciphertext) < _HEADER_SIZE:
        raise CiphertextMalformed("the ciphertext ends inside its header")
    magic, header, major, minor, compression, spare, size = _HEADER.unpack_from(ciphertext)
    if (magic, header, major, minor, spare) != (_MAGIC, _HEADER_SIZE, _MAJOR, _MINOR, 0):
        raise CiphertextMalformed("the ciphertext does not start like one of SEAL 4.3")
    if size != len(ciphertext):
        raise CiphertextMalformed(f"a ciphertext of {len(ciphertext)} bytes says {size}")
    return int(compression)


def _field(data: bytes, start: int, tag: bytes, what: str) -> tuple[bytes, int]:
    """One length-delimited field that must come next, and where it ends."""
    if data[start : start + 1] != tag:
        raise CiphertextMalformed(f"the vector's {what} are not where they belong")
    length, start = _read_varint(data, start + 1)
    if length > len(data) - start:
        raise CiphertextMalformed(f"the vector ends inside its {what}")
    return data[start : start + length], start + length


def _read_varint(data: bytes, start: int) -> tuple[int, int]:
    value = 0
    for place in range(_VARINT_BYTES):
        if start + place >= len(data):
            raise CiphertextMalformed("the vector ends inside a length")
        byte = data[start + place]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            end = start + place + 1
            if data[start:end] != _varint(value):
                raise CiphertextMalformed("a length is not in its shortest spelling")
            return value, end
    raise CiphertextMalformed("a length has too many bytes")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _header(size: int) -> bytes:
    return _HEADER.pack(_MAGIC, _HEADER_SIZE, _MAJOR, _MINOR, _PLAIN, 0, size)
