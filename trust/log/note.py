"""C2SP signed-note: a text, a blank line, signature lines; and the Ed25519 keys (type 0x01).

Nothing of a note's text may be believed before `verify_note` has returned for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trust.errors import KeyRefused, LogRefused, Malformed, SignatureInvalid, TooLarge
from trust.keys import PrivateKey, PublicKey
from trust.log.lines import emit_base64, parse_base64

NOTE_LIMIT = 128 * 1024  # 16 post-quantum signatures of nearly 5 kB must fit (signed-note)
SIGNATURES_LIMIT = 64  # signed-note asks for 16 at least
KEY_NAME_LIMIT = 255  # bytes; tlog-cosignature puts names behind a one-byte length
KEY_ID_BYTES = 4

ED25519 = 0x01
COSIGNATURE_ED25519 = 0x04

_MARK = "\u2014 "


def check_key_name(name: str) -> str:
    """`name` when it may name a key: no space, no "+", no control character. Raises Malformed."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise Malformed("a key name is not valid UTF-8") from error
    if not 0 < size <= KEY_NAME_LIMIT:
        raise Malformed(f"a key name has 1 to {KEY_NAME_LIMIT} bytes, not {size}")
    if any(letter.isspace() or letter == "+" or ord(letter) < 0x20 for letter in name):
        raise Malformed(f"the key name {name!r} has a space, a plus or a control character")
    return name


def key_id(name: str, algorithm: int, public: PublicKey) -> bytes:
    """The 4 bytes that, with the name, say which key made a signature."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public.raw).digest()[:4]


@dataclass(frozen=True)
class NoteSignature:
    """One signature line; `payload` is what follows the key id, in the key type's own form."""

    name: str
    key_id: bytes
    payload: bytes

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """The signature in a line without its newline. Raises Malformed."""
        if not line.startswith(_MARK):
            raise Malformed("a signature line must start with an em dash and a space")
        name, separator, body = line.removeprefix(_MARK).partition(" ")
        if not separator:
            raise Malformed("a signature line has a key name, a space and base64")
        raw = parse_base64(body)
        if len(raw) <= KEY_ID_BYTES:
            raise Malformed("a signature line has a key id of 4 bytes and a signature")
        return cls(check_key_name(name), raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])

    def emit(self) -> str:
        """The line, newline included."""
        return f"{_MARK}{self.name} {emit_base64(self.key_id + self.payload)}\n"


@dataclass(frozen=True)
class Note:
    """A parsed, not yet verified note: `text` verbatim with its last newline."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """The note in `data`. Raises Malformed, TooLarge."""
        if len(data) > NOTE_LIMIT:
            raise TooLarge(f"a signed note has at most {NOTE_LIMIT} bytes, not {len(data)}")
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise Malformed("a signed note is not valid UTF-8") from error
        if any(byte < 0x20 and byte != 0x0A for byte in data):
            raise Malformed("a signed note has a control character other than the newline")
        cut = data.rfind(b"\n\n")
        if cut < 0:
            raise Malformed("a signed note has no blank line before its signatures")
        return cls(data[: cut + 1], parse_signatures(data[cut + 2 :]))

    def emit(self) -> bytes:
        """The note as bytes; the inverse of `parse`."""
        lines = "".join(signature.emit() for signature in self.signatures)
        return self.text + b"\n" + lines.encode()

    def with_signatures(self, added: Sequence[NoteSignature]) -> Note:
        """The same note with these signatures after its own; exact repetitions are dropped."""
        merged = dict.fromkeys((*self.signatures, *added))
        return Note(self.text, tuple(merged))


def parse_signatures(data: bytes) -> tuple[NoteSignature, ...]:
    """One or more signature lines. Raises Malformed."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Malformed("the signature lines are not valid UTF-8") from error
    if not text.endswith("\n"):
        raise Malformed("the signature lines do not end with a newline")
    lines = text[:-1].split("\n")
    if len(lines) > SIGNATURES_LIMIT:
        raise TooLarge(f"a note has at most {SIGNATURES_LIMIT} signatures, not {len(lines)}")
    return tuple(NoteSignature.parse(line) for line in lines)


class NoteKey(Protocol):
    """A key that can check one type of note signature."""

    @property
    def name(self) -> str:
        """The key's name in signature lines."""
        ...

    @property
    def key_id(self) -> bytes:
        """The key's 4-byte id in signature lines."""
        ...

    def check(self, text: bytes, payload: bytes) -> None:
        """Return when `payload` is this key's signature of `text`. Raises SignatureInvalid."""
        ...


@dataclass(frozen=True)
class LogKey:
    """A log's verification key: plain Ed25519 over the note text (type 0x01)."""

    name: str
    public: PublicKey

    def __post_init__(self) -> None:
        check_key_name(self.name)

    @classmethod
    def parse(cls, text: str) -> LogKey:
        """The key written as a vkey, `name+hex id+base64`. Raises Malformed."""
        return cls(*parse_vkey(text, ED25519))

    def __str__(self) -> str:
        return emit_vkey(self.name, ED25519, self.public)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that name this key in signature lines."""
        return key_id(self.name, ED25519, self.public)

    def check(self, text: bytes, payload: bytes) -> None:
        """Return when `payload` is this key's signature of `text`. Raises SignatureInvalid."""
        self.public.verify(text, payload)


def parse_vkey(text: str, algorithm: int) -> tuple[str, PublicKey]:
    """Name and key of a vkey whose type is `algorithm`. Raises Malformed."""
    name, first, rest = text.partition("+")
    digits, second, body = rest.partition("+")
    if not first or not second:
        raise Malformed(f"{text[:80]!r} is not a verifier key: expected name+id+base64")
    check_key_name(name)
    raw = parse_base64(body)
    if len(raw) != 33 or raw[0] != algorithm:
        raise Malformed(
            f"the verifier key of {name!r} is not an Ed25519 key of type 0x{algorithm:02x}",
            remedy="logs have keys of type 0x01, witnesses of type 0x04",
        )
    try:
        public = PublicKey(raw[1:])
    except KeyRefused as error:
        raise Malformed(f"the verifier key of {name!r} is no key: {error.sentence}") from error
    if key_id(name, algorithm, public).hex() != digits:
        raise Malformed(f"the verifier key of {name!r} does not match its own id")
    return name, public


def emit_vkey(name: str, algorithm: int, public: PublicKey) -> str:
    """The vkey text of a key."""
    body = emit_base64(bytes([algorithm]) + public.raw)
    return f"{name}+{key_id(name, algorithm, public).hex()}+{body}"


def sign_note(text: bytes, name: str, key: PrivateKey) -> NoteSignature:
    """The type 0x01 signature of a note text, which must end with a newline."""
    if not text.endswith(b"\n"):
        raise Malformed("the text of a note ends with a newline")
    check_key_name(name)
    return NoteSignature(name, key_id(name, ED25519, key.public), key.sign(text))


def verify_note(note: Note, keys: Sequence[NoteKey]) -> tuple[tuple[NoteKey, NoteSignature], ...]:
    """The pairs (known key, its valid signature). Raises LogRefused.

    Signatures of unknown keys are ignored; one signature of a known key that fails rejects
    the whole note, and so does a note without any signature of a known key (signed-note).
    """
    found = []
    for signature in note.signatures:
        for key in keys:
            if (key.name, key.key_id) != (signature.name, signature.key_id):
                continue
            try:
                key.check(note.text, signature.payload)
            except SignatureInvalid as error:
                raise LogRefused(
                    f"the signature of {signature.name} on the note does not verify",
                    remedy="the note was altered, or another key signs under this name",
                ) from error
            found.append((key, signature))
    if not found:
        raise LogRefused(
            "the note has no signature of a known key",
            remedy="check that the policy names the keys of this log",
        )
    return tuple(found)
