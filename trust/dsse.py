"""DSSE envelopes: signatures over a type tag and the payload's verbatim bytes.

Source: the DSSE v1 protocol (pre-authentication encoding). Two rules go beyond it: the
payload type is part of what a verifier asks for, and a threshold counts distinct key bytes,
never key ids, so that one key registered twice counts once.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from trust.errors import Malformed, SignatureInvalid, TooLarge, WrongType
from trust.ids import Digest
from trust.keys import SIGNATURE_BYTES, PrivateKey, PublicKey
from trust.schema import from_base64, read_json

# A batch of orders for one worker stays far below this; blobs travel outside envelopes.
MAXIMUM_ENVELOPE_BYTES = 4 * 1024 * 1024
# No role of a territory has more keys; each signature costs a verification.
MAXIMUM_SIGNATURES = 64


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: unambiguous in type and payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True)
class Envelope:
    """A parsed, unverified envelope; `raw` are the bytes as they came."""

    raw: bytes
    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]  # (key id, signature)

    @cached_property
    def digest(self) -> Digest:
        """The digest of the verbatim envelope: what the log holds."""
        return Digest.of(self.raw)

    @classmethod
    def parse(cls, raw: bytes, *, limit: int = MAXIMUM_ENVELOPE_BYTES) -> Envelope:
        """Read an envelope without believing it. Raises Malformed or TooLarge."""
        if len(raw) > limit:
            raise TooLarge(f"an envelope of {len(raw)} bytes is over the limit of {limit}")
        fields = read_json(raw, "the envelope")
        if not isinstance(fields, dict) or set(fields) != {"payload", "payloadType", "signatures"}:
            raise Malformed("an envelope has exactly payload, payloadType and signatures")
        payload_type, signatures = fields["payloadType"], fields["signatures"]
        if not isinstance(payload_type, str) or not payload_type:
            raise Malformed("the envelope's payloadType is not a text")
        if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAXIMUM_SIGNATURES:
            raise Malformed(f"an envelope has 1 to {MAXIMUM_SIGNATURES} signatures")
        return cls(
            raw=raw,
            payload_type=payload_type,
            payload=_from_base64(fields["payload"], "payload"),
            signatures=tuple(_signature(entry) for entry in signatures),
        )


@dataclass(frozen=True)
class Verified:
    """A payload whose signatures held; only `verify` makes one."""

    payload_type: str
    payload: bytes
    signers: frozenset[PublicKey]
    envelope: Envelope


def sign(payload_type: str, payload: bytes, keys: Iterable[PrivateKey]) -> Envelope:
    """An envelope over `payload` signed by every key in turn."""
    message = pre_authentication_encoding(payload_type, payload)
    return _assemble(
        payload_type, payload, tuple((key.public.keyid, key.sign(message)) for key in keys)
    )


def add_signature(envelope: Envelope, key: PrivateKey) -> Envelope:
    """The same payload with one more signature: how a threshold is collected offline."""
    message = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    added = (key.public.keyid, key.sign(message))
    return _assemble(envelope.payload_type, envelope.payload, (*envelope.signatures, added))


def verify(
    envelope: Envelope, payload_type: str, keys: Collection[PublicKey], *, threshold: int = 1
) -> Verified:
    """The payload, once `threshold` distinct keys of `keys` signed it under `payload_type`.

    Raises WrongType or SignatureInvalid. Signatures by other keys are ignored.
    """
    if envelope.payload_type != payload_type:
        raise WrongType(
            f"expected {payload_type}, the envelope says {envelope.payload_type[:80]!a}"
        )
    if threshold < 1 or threshold > len(set(keys)):
        raise SignatureInvalid(
            f"{threshold} signatures are required but the role has {len(set(keys))} distinct keys",
            remedy="the territory root must list at least as many keys as its threshold",
        )
    message = pre_authentication_encoding(payload_type, envelope.payload)
    signers: set[PublicKey] = set()
    for key in set(keys):
        for keyid, signature in envelope.signatures:
            if keyid != key.keyid:
                continue
            try:
                key.verify(message, signature)
            except SignatureInvalid:
                continue
            signers.add(key)
            break
    if len(signers) < threshold:
        raise SignatureInvalid(
            f"{len(signers)} of the {threshold} required signatures hold for {payload_type}",
            remedy="collect the missing signatures from distinct keys of the role",
        )
    return Verified(payload_type, envelope.payload, frozenset(signers), envelope)


def _assemble(
    payload_type: str, payload: bytes, signatures: tuple[tuple[str, bytes], ...]
) -> Envelope:
    fields = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": payload_type,
        "signatures": [
            {"keyid": keyid, "sig": base64.b64encode(value).decode()} for keyid, value in signatures
        ],
    }
    raw = json.dumps(fields, separators=(",", ":")).encode()
    return Envelope(raw, payload_type, payload, signatures)


def _signature(entry: object) -> tuple[str, bytes]:
    if not isinstance(entry, dict) or set(entry) != {"keyid", "sig"}:
        raise Malformed("a signature has exactly keyid and sig")
    fields = cast("dict[str, object]", entry)
    keyid = fields["keyid"]
    if not isinstance(keyid, str):
        raise Malformed("a signature's keyid is not a text")
    value = _from_base64(fields["sig"], "sig")
    if len(value) != SIGNATURE_BYTES:
        raise Malformed(f"a signature has {SIGNATURE_BYTES} bytes, not {len(value)}")
    return keyid, value


def _from_base64(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        raise Malformed(f"the envelope's {name} is not a text")
    try:
        return from_base64(value)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"the envelope's {name} is not canonical base64") from error
