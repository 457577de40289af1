"""Signed notes, checkpoints and cosignatures: published examples, tampering, hostile bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.errors import LogRefused, Malformed, TooLarge
from trust.keys import PrivateKey
from trust.log.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    VerifiedCheckpoint,
    open_checkpoint,
)
from trust.log.cosignature import CosignerKey, cosign
from trust.log.note import (
    NOTE_LIMIT,
    SIGNATURES_LIMIT,
    LogKey,
    Note,
    NoteSignature,
    sign_note,
    verify_note,
)
from trust.log.tree import EMPTY_ROOT

pytestmark = pytest.mark.base

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "tlog_vec.json").read_text())
CHECKPOINT = VECTORS["cp"].encode()
LOG = LogKey.parse(VECTORS["vkey"])
WITNESS = CosignerKey.parse(VECTORS["wkey"])

# The example of golang.org/x/mod/sumdb/note.
GO_KEY = LogKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFY"
    "C2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
# The example of c2sp.org/signed-note (its key is not in the page): it must parse, nothing more.
C2SP_NOTE = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed è subito sera.\n"
    "\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC"
    "+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()

KEY = PrivateKey(bytes(32))
OTHER = PrivateKey(bytes([1]) * 32)


def test_the_go_example_verifies() -> None:
    ((key, _),) = verify_note(Note.parse(GO_NOTE), [GO_KEY])
    assert key == GO_KEY
    assert str(GO_KEY).startswith("PeterNeumann+c74f20a3+")


def test_the_text_of_a_note_may_hold_empty_lines() -> None:
    note = Note.parse(C2SP_NOTE)
    assert note.text.decode().endswith("\n\ned è subito sera.\n")
    assert note.signatures[0].key_id.hex() == "367ba04b"
    assert note.emit() == C2SP_NOTE


def test_the_vector_checkpoint_opens_with_its_cosignature() -> None:
    signed = open_checkpoint(CHECKPOINT, [LOG], [WITNESS])
    assert signed.checkpoint.emit() == VECTORS["text"].encode()
    assert (signed.checkpoint.size, signed.log) == (5000, LOG)
    assert signed.cosigned == {WITNESS: 0x68E77800}
    assert open_checkpoint(CHECKPOINT, [LOG]).cosigned == {}
    assert str(LOG) == VECTORS["vkey"]
    assert str(WITNESS) == VECTORS["wkey"]


def test_every_flipped_bit_of_a_checkpoint_is_refused() -> None:
    """All keys known: a flip breaks the form, a signature, or turns a name into an unknown one."""
    for at in range(len(CHECKPOINT)):
        for bit in range(8):
            data = bytearray(CHECKPOINT)
            data[at] ^= 1 << bit
            try:
                signed = open_checkpoint(bytes(data), [LOG], [WITNESS])
            except (LogRefused, Malformed):
                continue
            # Only the name or id of the cosignature line may change: it is then ignored.
            assert at > CHECKPOINT.rindex("\u2014".encode())
            assert signed.cosigned == {}
            assert signed.checkpoint.emit() == VECTORS["text"].encode()


def test_every_truncation_of_a_checkpoint_is_refused_or_loses_the_cosignature() -> None:
    whole_first_signature = CHECKPOINT.rindex("\u2014".encode())
    for end in range(len(CHECKPOINT)):
        if end == whole_first_signature:
            assert open_checkpoint(CHECKPOINT[:end], [LOG], [WITNESS]).cosigned == {}
            continue
        with pytest.raises((LogRefused, Malformed)):
            open_checkpoint(CHECKPOINT[:end], [LOG], [WITNESS])


@given(st.binary(max_size=300))
def test_hostile_bytes_are_only_ever_malformed(data: bytes) -> None:
    for parse in (Note.parse, Checkpoint.parse):
        with pytest.raises(Malformed):
            parse(data)


@given(st.integers(0, len(CHECKPOINT)), st.binary(max_size=8), st.integers(0, 8))
def test_spliced_checkpoints_are_refused(at: int, inserted: bytes, removed: int) -> None:
    data = CHECKPOINT[:at] + inserted + CHECKPOINT[at + removed :]
    try:
        signed = open_checkpoint(data, [LOG])
    except (LogRefused, Malformed):
        return
    assert signed.checkpoint.emit() == VECTORS["text"].encode()


@given(st.text(max_size=80))
def test_hostile_key_texts_are_only_ever_malformed(text: str) -> None:
    for parse in (LogKey.parse, CosignerKey.parse):
        with pytest.raises(Malformed):
            parse(text)


def test_sixteen_foreign_signatures_are_ignored_and_too_many_refused() -> None:
    text = Checkpoint("log.example", 0, EMPTY_ROOT).emit()
    foreign = [sign_note(text, f"someone.example/{n}", OTHER) for n in range(SIGNATURES_LIMIT)]
    ours = sign_note(text, "log.example", KEY)
    note = Note(text, (*foreign[:16], ours)).emit()
    assert open_checkpoint(note, [LogKey("log.example", KEY.public)]).checkpoint.size == 0
    with pytest.raises(TooLarge):
        Note.parse(Note(text, (*foreign, ours)).emit())
    with pytest.raises(TooLarge):
        Note.parse(b"a" * NOTE_LIMIT + b"\n\n")


def test_an_unknown_key_of_the_same_name_is_ignored_and_alone_refused() -> None:
    text = b"log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    known = LogKey("log.example", KEY.public)
    stranger = sign_note(text, "log.example", OTHER)
    with pytest.raises(LogRefused, match="no signature of a known key"):
        open_checkpoint(Note(text, (stranger,)).emit(), [known])
    both = Note(text, (stranger, sign_note(text, "log.example", KEY)))
    assert open_checkpoint(both.emit(), [known]).log == known


def test_one_bad_signature_of_a_known_key_rejects_the_whole_note() -> None:
    text = Checkpoint("log.example", 0, EMPTY_ROOT).emit()
    good = sign_note(text, "log.example", KEY)
    witness = CosignerKey("w.example", OTHER.public)
    forged = NoteSignature("w.example", witness.key_id, bytes(72))
    note = Note(text, (good, forged)).emit()
    log = LogKey("log.example", KEY.public)
    assert open_checkpoint(note, [log]).cosigned == {}
    with pytest.raises(LogRefused, match=r"w\.example on the note does not verify"):
        open_checkpoint(note, [log], [witness])
    short = Note(text, (good, NoteSignature("w.example", witness.key_id, bytes(5)))).emit()
    with pytest.raises(LogRefused):
        open_checkpoint(short, [log], [witness])


def test_one_log_cannot_speak_for_another() -> None:
    text = Checkpoint("victim.example", 0, EMPTY_ROOT).emit()
    note = Note(text, (sign_note(text, "attacker.example", KEY),)).emit()
    keys = [LogKey("attacker.example", KEY.public), LogKey("victim.example", OTHER.public)]
    with pytest.raises(LogRefused, match=r"victim\.example"):
        open_checkpoint(note, keys)


def test_a_cosignature_is_never_a_log_signature_nor_the_reverse() -> None:
    text = Checkpoint("log.example", 0, EMPTY_ROOT).emit()
    cosigned = Note(text, (cosign(text, "log.example", KEY, 5),)).emit()
    with pytest.raises(LogRefused):
        open_checkpoint(cosigned, [LogKey("log.example", KEY.public)])
    with pytest.raises(LogRefused, match="no known key of the log"):
        open_checkpoint(cosigned, [], [CosignerKey("log.example", KEY.public)])


def test_the_time_of_a_cosignature_is_signed() -> None:
    text = Checkpoint("log.example", 0, EMPTY_ROOT).emit()
    line = cosign(text, "w.example", OTHER, 1_700_000_000)
    moved = NoteSignature(line.name, line.key_id, bytes(7) + b"\1" + line.payload[8:])
    witness = CosignerKey("w.example", OTHER.public)
    with pytest.raises(LogRefused):
        verify_note(Note(text, (moved,)), [witness])
    beyond = NoteSignature(line.name, line.key_id, b"\xff" * 8 + line.payload[8:])
    with pytest.raises(LogRefused):
        verify_note(Note(text, (beyond,)), [witness])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"o\n0\n",
        b"o\n00\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",  # stray bits in base64
        b"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n",
        b"o\n1\nAAAA\n",
        b"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        b"o\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"o\n9223372036854775808\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"o\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n",
        "o\n\u0661\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".encode(),  # an Arabic 1
        b"o\n0\n" + b"A" * 43 + b"=\n",  # an empty log with another root
        b"o" * 5000 + b"\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
    ],
)
def test_malformed_checkpoints_are_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        Checkpoint.parse(text)


def test_extension_lines_are_kept_and_signed() -> None:
    checkpoint = Checkpoint("log.example", 0, EMPTY_ROOT, ("note: hello",))
    assert Checkpoint.parse(checkpoint.emit()) == checkpoint
    signed = open_checkpoint(checkpoint.signed(KEY).emit(), [LogKey("log.example", KEY.public)])
    assert signed.checkpoint.extensions == ("note: hello",)


def test_verified_types_cannot_be_made_by_hand() -> None:
    checkpoint = Checkpoint("log.example", 0, EMPTY_ROOT)
    for made in (SignedCheckpoint, VerifiedCheckpoint):
        with pytest.raises(TypeError):
            made(checkpoint, b"", LOG, {}, seal=object())


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "x" * 256, "\ud800"])
def test_names_that_could_confuse_a_note_are_refused(name: str) -> None:
    with pytest.raises(Malformed):
        LogKey(name, KEY.public)
