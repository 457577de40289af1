"""Strict text fields shared by the log's formats: one spelling per value, nothing else read."""

from __future__ import annotations

import base64
import binascii
import re

from trust.errors import Malformed

HASH_BYTES = 32
SIZE_LIMIT = 2**63 - 1  # c2sp.org/tlog-cosignature bounds its integers so; signed 64 bit fits SQL

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def parse_base64(text: str) -> bytes:
    """The bytes of canonical, padded RFC 4648 section 4 base64. Raises Malformed."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed(f"{text[:60]!r} is not base64") from error
    if base64.b64encode(raw).decode() != text:
        # Stray bits in the last group would give one value several spellings.
        raise Malformed(f"{text[:60]!r} is not the canonical base64 of its value")
    return raw


def emit_base64(raw: bytes) -> str:
    """Canonical base64 of `raw`."""
    return base64.b64encode(raw).decode()


def parse_hash(text: str) -> bytes:
    """The 32 bytes written as base64. Raises Malformed."""
    raw = parse_base64(text)
    if len(raw) != HASH_BYTES:
        raise Malformed(f"a SHA-256 hash has 32 bytes, {text[:60]!r} has {len(raw)}")
    return raw


def parse_decimal(text: str) -> int:
    """The number 0 to 2^63 - 1 written without leading zeros. Raises Malformed."""
    if not _DECIMAL.fullmatch(text):
        raise Malformed(f"{text[:60]!r} is not a decimal number without leading zeros")
    number = int(text)
    if number > SIZE_LIMIT:
        raise Malformed(f"{text} is above 2^63 - 1")
    return number
