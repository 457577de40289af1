r"""A sealed capsule: a header that the owner signed, and the encrypted tables.

File: `CADCAP1\n`, u32 little-endian length of the header's envelope, the envelope (DSSE), then
the ciphertext. The header says what an algorithm may ask for (tables, columns, types) and fixes
the data class; how many rows there are stays inside the ciphertext, whose length is padded
(Padmé rounding, at least 1 KiB) so that a record of one person looks like any other's.

Plaintext: u64 length of the columns, u64 number of privacy units (both little-endian), the
columns (see `capsule_runtime.columns`), zeros.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from capsule_runtime.capsules import encryption
from capsule_runtime.capsules.errors import CapsuleCorrupted, CapsuleMalformed
from trust import clock, dsse
from trust.documents import signed
from trust.documents.rules import DataClass, PrivacyUnit
from trust.entropy import Entropy
from trust.errors import TrustError
from trust.ids import CapsuleId, Digest
from trust.keys import PrivateKey, PublicKey

MAGIC = b"CADCAP1\n"
MINIMUM_PLAINTEXT_BYTES = 1024
# The column format's own limit is 64 MiB; padding and header add less than this.
MAXIMUM_BYTES = 72 * 1024 * 1024
MAXIMUM_HEADER_BYTES = 256 * 1024
# Ours: no employer here has more; a claim above it would use up a release's whole cohort.
MAXIMUM_UNITS = 10_000_000

_LENGTH = struct.Struct("<I")
_PREFACE = struct.Struct("<QQ")


@dataclass(frozen=True)
class Header:
    """What may be known of a capsule without its key."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.capsule.v1+json"

    capsule: CapsuleId
    data_class: DataClass
    unit: PrivacyUnit
    owner: PublicKey
    tables: dict[str, dict[str, str]]  # table -> column -> "int64" | "float64"
    created_at: datetime
    content: Digest  # of the ciphertext


@dataclass(frozen=True)
class SealedCapsule:
    """A capsule whose header signature and content digest held."""

    header: Header
    envelope: bytes
    ciphertext: bytes

    @property
    def raw(self) -> bytes:
        """The file's bytes."""
        return b"".join([MAGIC, _LENGTH.pack(len(self.envelope)), self.envelope, self.ciphertext])


@dataclass(frozen=True)
class OpenedCapsule:
    """What a capsule holds: column-format bytes and how many privacy units they speak of."""

    columns: bytes
    units: int


def seal(
    columns: bytes,
    tables: dict[str, dict[str, str]],
    *,
    capsule: CapsuleId,
    capsule_key: bytes,
    owner: PrivateKey,
    data_class: DataClass,
    unit: PrivacyUnit,
    units: int,
    now: datetime,
    entropy: Entropy,
) -> SealedCapsule:
    """Encrypt `columns` (column-format bytes) and sign the header that describes them."""
    if not 1 <= units <= MAXIMUM_UNITS or (unit is PrivacyUnit.OWNER and units != 1):
        raise CapsuleMalformed(
            f"a capsule cannot speak of {units} privacy units of kind {unit}",
            remedy=f"seal 1 to {MAXIMUM_UNITS} units a capsule, and one alone where it is an owner",
        )
    content = _PREFACE.pack(len(columns), units) + columns
    content += bytes(padded_length(len(content)) - len(content))
    ciphertext = encryption.encrypt(capsule_key, content, _context(capsule), entropy)
    header = Header(
        capsule=capsule,
        data_class=data_class,
        unit=unit,
        owner=owner.public,
        tables=tables,
        created_at=clock.from_text(clock.to_text(now)),
        content=Digest.of(ciphertext),
    )
    return SealedCapsule(header, signed.sign(header, [owner]).envelope.raw, ciphertext)


def parse(raw: bytes) -> SealedCapsule:
    """Read and verify a capsule file. Raises CapsuleMalformed or CapsuleCorrupted."""
    start = len(MAGIC) + _LENGTH.size
    if len(raw) > MAXIMUM_BYTES:
        raise CapsuleMalformed(f"a capsule of {len(raw)} bytes is over the limit {MAXIMUM_BYTES}")
    if raw[: len(MAGIC)] != MAGIC or len(raw) < start:
        raise CapsuleMalformed(
            "the file does not start like a capsule of version 1",
            remedy="give a .capsule file made by `cadastre capsule seal`",
        )
    (length,) = _LENGTH.unpack(raw[len(MAGIC) : start])
    if length > MAXIMUM_HEADER_BYTES or start + length > len(raw):
        raise CapsuleMalformed(
            "the capsule file is cut inside its header", remedy="copy the file again"
        )
    return assemble(raw[start : start + length], raw[start + length :])


def assemble(envelope: bytes, ciphertext: bytes) -> SealedCapsule:
    """A verified capsule from its stored parts. Raises CapsuleMalformed or CapsuleCorrupted."""
    header = verify_header(envelope)
    if Digest.of(ciphertext) != header.content:
        raise CapsuleCorrupted(
            "the capsule's encrypted tables are not the ones that its owner signed",
            remedy="copy the file again from its owner; check the disk",
            capsule=header.capsule,
        )
    return SealedCapsule(header, envelope, ciphertext)


def verify_header(envelope: bytes) -> Header:
    """The header, signed by the owner that it names. Raises CapsuleMalformed."""
    try:
        dsse.Envelope.parse(envelope, limit=MAXIMUM_HEADER_BYTES)
        return signed.verify_self_named(Header, envelope, "owner").document
    except TrustError as error:
        raise CapsuleMalformed(
            f"the capsule's header is not one that its owner signed: {error.sentence}",
            remedy="copy the file again from its owner",
        ) from error


def unseal(capsule: CapsuleId, ciphertext: bytes | memoryview, capsule_key: bytes) -> OpenedCapsule:
    """Decrypt. Raises CiphertextRefused or CapsuleMalformed. Needs no numpy."""
    content = encryption.decrypt(capsule_key, ciphertext, _context(capsule))
    length, units = _PREFACE.unpack_from(content) if len(content) >= _PREFACE.size else (-1, 0)
    end = _PREFACE.size + length
    framed = length >= 0 and end <= len(content) and content.count(0, end) == len(content) - end
    if not framed or not 1 <= units <= MAXIMUM_UNITS:
        raise CapsuleMalformed("the capsule's content does not have the form of tables")
    return OpenedCapsule(content[_PREFACE.size : end], units)


def padded_length(size: int) -> int:
    """Padmé: at most 12 % more, and only O(log log n) bits of the length remain visible.

    Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", PETS 2019.
    """
    size = max(size, MINIMUM_PLAINTEXT_BYTES)
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def _context(capsule: CapsuleId) -> bytes:
    # Capsule, object and version: one capsule's bytes cannot pass for another's.
    return f"cadastre/capsule/v1\n{capsule}\ntables\n1".encode()
