import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust import dsse
from trust.entropy import seeded
from trust.errors import Malformed, SignatureInvalid, TooLarge, TrustError, WrongType
from trust.keys import PrivateKey

pytestmark = pytest.mark.base

TYPE = "application/vnd.example+json"
KEYS = [PrivateKey.generate(seeded(bytes([i]))) for i in range(4)]
PUBLIC = [key.public for key in KEYS]


def test_the_encoding_of_the_specification() -> None:
    # The example in the DSSE protocol document.
    encoded = dsse.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.binary(max_size=200))
def test_what_was_signed_comes_back_verbatim(payload: bytes) -> None:
    envelope = dsse.Envelope.parse(dsse.sign(TYPE, payload, KEYS[:1]).raw)
    assert dsse.verify(envelope, TYPE, PUBLIC).payload == payload


def test_another_type_is_refused_even_when_signed() -> None:
    envelope = dsse.sign(TYPE, b"x", KEYS[:1])
    with pytest.raises(WrongType):
        dsse.verify(envelope, "application/other", PUBLIC)


def test_a_threshold_counts_distinct_keys() -> None:
    envelope = dsse.sign(TYPE, b"x", KEYS[:2])
    assert len(dsse.verify(envelope, TYPE, PUBLIC, threshold=2).signers) == 2
    with pytest.raises(SignatureInvalid, match="2 of the 3"):
        dsse.verify(envelope, TYPE, PUBLIC, threshold=3)


def test_one_key_listed_or_signing_twice_counts_once() -> None:
    envelope = dsse.sign(TYPE, b"x", [KEYS[0], KEYS[0]])
    with pytest.raises(SignatureInvalid):
        dsse.verify(envelope, TYPE, PUBLIC, threshold=2)
    with pytest.raises(SignatureInvalid, match="distinct"):
        dsse.verify(envelope, TYPE, [PUBLIC[0], PUBLIC[0]], threshold=2)


def test_a_signature_by_a_stranger_is_ignored_not_counted() -> None:
    envelope = dsse.sign(TYPE, b"x", KEYS)
    assert dsse.verify(envelope, TYPE, PUBLIC[:1]).signers == {PUBLIC[0]}


def test_a_foreign_signature_under_a_known_key_id_is_not_counted() -> None:
    fields = json.loads(dsse.sign(TYPE, b"x", [KEYS[1]]).raw)
    fields["signatures"][0]["keyid"] = PUBLIC[0].keyid
    envelope = dsse.Envelope.parse(json.dumps(fields).encode())
    with pytest.raises(SignatureInvalid):
        dsse.verify(envelope, TYPE, PUBLIC[:1])


def test_signatures_can_be_collected_one_by_one() -> None:
    envelope = dsse.sign(TYPE, b"x", KEYS[:1])
    for key in KEYS[1:3]:
        envelope = dsse.add_signature(dsse.Envelope.parse(envelope.raw), key)
    assert len(dsse.verify(envelope, TYPE, PUBLIC, threshold=3).signers) == 3


def test_every_flipped_bit_is_refused() -> None:
    raw = dsse.sign(TYPE, b"a payload", KEYS[:1]).raw
    for bit in range(len(raw) * 8):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            verified = dsse.verify(dsse.Envelope.parse(bytes(damaged)), TYPE, PUBLIC)
        except TrustError:
            continue
        pytest.fail(f"bit {bit} flipped and still verified as {verified.payload!r}")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_as_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        dsse.Envelope.parse(raw)


def test_an_oversized_envelope_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        dsse.Envelope.parse(b"x" * 101, limit=100)
