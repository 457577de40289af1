"""From a document to its envelope and back; reading back always verifies."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from trust import dsse, schema
from trust.ids import Digest
from trust.keys import PrivateKey, PublicKey


class Document(Protocol):
    """A frozen dataclass with the DSSE payload type that its bytes travel under."""

    TYPE: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class Signed(Generic[D]):
    """A document whose signatures held; made by `sign` and `verify` only."""

    document: D
    signers: frozenset[PublicKey]
    envelope: dsse.Envelope

    @property
    def digest(self) -> Digest:
        """The digest of the verbatim envelope."""
        return self.envelope.digest


def sign(document: D, keys: Iterable[PrivateKey]) -> Signed[D]:
    """`document`, signed by every key."""
    signing = tuple(keys)
    envelope = dsse.sign(document.TYPE, schema.encode(document), signing)
    return Signed(document, frozenset(key.public for key in signing), envelope)


def verify(
    cls: type[D], raw: bytes, keys: Collection[PublicKey], *, threshold: int = 1
) -> Signed[D]:
    """The document in the envelope `raw`. Raises Malformed, WrongType or SignatureInvalid.

    The payload is decoded only after the signatures hold.
    """
    envelope = dsse.Envelope.parse(raw)
    verified = dsse.verify(envelope, cls.TYPE, keys, threshold=threshold)
    return Signed(schema.decode(cls, verified.payload), verified.signers, envelope)


def verify_self_named(cls: type[D], raw: bytes, key_field: str) -> Signed[D]:
    """A document signed by the key that it names itself in `key_field`.

    For statements whose authority comes from elsewhere: an author's, an owner's. The caller
    must still compare that key with the one it has reason to trust.
    """
    envelope = dsse.Envelope.parse(raw)
    claimed = schema.decode(cls, envelope.payload)
    key: PublicKey = getattr(claimed, key_field)
    verified = dsse.verify(envelope, cls.TYPE, {key})
    return Signed(claimed, verified.signers, envelope)
