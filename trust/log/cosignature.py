"""C2SP tlog-cosignature, the timestamped Ed25519 form (type 0x04)."""

from __future__ import annotations

from dataclasses import dataclass

from trust.errors import Malformed, SignatureInvalid
from trust.keys import SIGNATURE_BYTES, PrivateKey, PublicKey
from trust.log.lines import SIZE_LIMIT
from trust.log.note import (
    COSIGNATURE_ED25519,
    NoteSignature,
    check_key_name,
    emit_vkey,
    key_id,
    parse_vkey,
)

_TIME_BYTES = 8


def _message(text: bytes, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n".encode() + text


@dataclass(frozen=True)
class CosignerKey:
    """A witness's verification key.

    Its statement: at that time, the largest consistent tree it had seen of this origin had
    this root.
    """

    name: str
    public: PublicKey

    def __post_init__(self) -> None:
        check_key_name(self.name)

    @classmethod
    def parse(cls, text: str) -> CosignerKey:
        """The key written as a vkey of type 0x04. Raises Malformed."""
        return cls(*parse_vkey(text, COSIGNATURE_ED25519))

    def __str__(self) -> str:
        return emit_vkey(self.name, COSIGNATURE_ED25519, self.public)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that name this key in signature lines."""
        return key_id(self.name, COSIGNATURE_ED25519, self.public)

    def check(self, text: bytes, payload: bytes) -> None:
        """Return when `payload` cosigns the checkpoint `text`. Raises SignatureInvalid."""
        time = cosignature_time(payload)
        self.public.verify(_message(text, time), payload[_TIME_BYTES:])


def cosignature_time(payload: bytes) -> int:
    """The POSIX seconds that a cosignature states (not yet verified). Raises SignatureInvalid."""
    if len(payload) != _TIME_BYTES + SIGNATURE_BYTES:
        raise SignatureInvalid(f"a cosignature has 72 bytes, not {len(payload)}")
    time = int.from_bytes(payload[:_TIME_BYTES], "big")
    if time > SIZE_LIMIT:
        raise SignatureInvalid("the time of a cosignature is above 2^63 - 1")
    return time


def cosign(text: bytes, name: str, key: PrivateKey, time: int) -> NoteSignature:
    """The cosignature of a checkpoint's note text at POSIX second `time`."""
    if not 0 <= time <= SIZE_LIMIT:
        raise Malformed(f"{time} is not a POSIX time")
    check_key_name(name)
    payload = time.to_bytes(_TIME_BYTES, "big") + key.sign(_message(text, time))
    return NoteSignature(name, key_id(name, COSIGNATURE_ED25519, key.public), payload)
