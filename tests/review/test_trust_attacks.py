"""Attacks on what is signed: second spellings, values that break a reader, keys in two roles."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from trust import certificates, clock, dsse, root, schema
from trust.documents import signed
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import seeded
from trust.errors import CertificateRefused, Malformed, RootRefused, WrongType
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey

pytestmark = pytest.mark.base

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = PrivateKey(bytes(32))
ENVELOPE = dsse.sign("application/vnd.cadastre.test.v1+json", b'{"n":1}', [KEY])


@dataclass(frozen=True)
class Record:
    TYPE: ClassVar[str] = "application/vnd.cadastre.test.v1+json"

    n: int


@dataclass(frozen=True)
class Words:
    word: str
    counts: dict[str, int]


# --- envelopes ---


def test_an_envelope_that_names_its_payload_twice_is_refused() -> None:
    # A reader that keeps the first name sees another payload than one that keeps the last.
    other = b'{"payload":"AAAA","payload"'
    with pytest.raises(Malformed):
        dsse.Envelope.parse(ENVELOPE.raw.replace(b'{"payload"', other, 1))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_an_envelope_in_another_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(Malformed):
        dsse.Envelope.parse(ENVELOPE.raw.decode().encode(encoding))


def test_a_payload_type_of_half_a_letter_is_refused_in_words_that_can_be_written() -> None:
    fields = json.loads(ENVELOPE.raw)
    fields["payloadType"] = "\ud800"
    with pytest.raises((Malformed, WrongType)) as caught:
        signed.verify(Record, json.dumps(fields).encode(), {KEY.public})
    caught.value.sentence.encode()


def test_an_envelope_that_a_tampered_database_gives_as_text_is_refused() -> None:
    with pytest.raises(Malformed):
        dsse.Envelope.parse(ENVELOPE.raw.decode())  # type: ignore[arg-type]


# --- documents ---


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_a_document_in_another_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(Malformed):
        schema.decode(Record, '{"n":1}'.encode(encoding))


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**4000])
def test_a_number_that_no_store_can_hold_is_refused(number: int) -> None:
    with pytest.raises(Malformed):
        schema.decode(Record, b'{"n":%d}' % number)
    with pytest.raises(Malformed):
        schema.encode(Record(number))


def test_the_extreme_numbers_are_read() -> None:
    for number in (2**63 - 1, -(2**63)):
        assert schema.decode(Record, schema.encode(Record(number))) == Record(number)


def test_a_text_with_half_a_letter_is_refused() -> None:
    # It can be neither stored, sent nor hashed: the first who tries falls over.
    with pytest.raises(Malformed) as caught:
        schema.decode(Words, b'{"word":"\\ud800","counts":{}}')
    caught.value.sentence.encode()
    with pytest.raises(Malformed):
        schema.decode(Words, b'{"word":"","counts":{"\\udfff":1}}')


def test_a_refusal_does_not_repeat_what_the_attacker_wrote_at_length() -> None:
    crowd = {f"{n:05d}" + "x" * 500: 1 for n in range(1000)}
    long_name = {"word": "", "counts": {"y" * 100_000: "no number"}}
    for document in (crowd, long_name):
        with pytest.raises(Malformed) as caught:
            schema.decode(Words, json.dumps(document).encode())
        assert len(caught.value.sentence) < 1000


# --- time ---


@pytest.mark.parametrize(
    "text",
    [
        "2026-1-2T3:4:5Z",
        "2026-11-22t12:00:00z",
        "\uff12\uff10\uff12\uff16-11-22T12:00:00Z",
        "2026-11-22T1\uff12:00:00Z",
        "2026-11-22T12:00:00Z\n",
        "2026-11-22T12:00:60Z",
        " 2026-11-22T12:00:00Z",
        "2026-02-30T12:00:00Z",
    ],
)
def test_a_moment_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what the function documents
        clock.from_text(text)


def test_the_first_years_are_written_as_they_are_read() -> None:
    moment = datetime(1, 2, 3, tzinfo=UTC)
    assert clock.from_text(clock.to_text(moment)) == moment


# --- the territory root ---


def _root(log: PrivateKey, witness: PrivateKey) -> Root:
    keys = [PrivateKey.generate(seeded(bytes([n]))) for n in range(2)]
    policy = (
        f"log {LogKey('log.example', log.public)}\n"
        f"witness w {CosignerKey('w.example', witness.public)}\nquorum w\n"
    )
    return Root(
        territory="plaine-commune.example",
        version=1,
        issued_at=NOW,
        expires_at=NOW + timedelta(days=365),
        duties={
            Duty.ROOT: DutyKeys((keys[0].public,), 1),
            Duty.ORDERS: DutyKeys((keys[1].public,), 1),
        },
        authority=b"",
        log_policy=policy,
        status_url="",
    )


@pytest.mark.parametrize("part", ["log", "witness"])
def test_a_root_whose_order_key_is_also_a_key_of_the_log_is_refused(part: str) -> None:
    owner, orders = (PrivateKey.generate(seeded(bytes([n]))) for n in range(2))
    others = {"log": PrivateKey(bytes([8]) * 32), "witness": PrivateKey(bytes([9]) * 32)}
    document = _root(**{**others, part: orders})
    raw = signed.sign(document, [owner]).envelope.raw
    with pytest.raises(RootRefused, match="log policy"):
        root.trust_pinned(raw, Digest.of(raw))
    sound = signed.sign(replace(document, log_policy=_root(**others).log_policy), [owner])
    assert root.trust_pinned(sound.envelope.raw, sound.digest).document.version == 1


# --- certificate requests ---

_P256 = bytes.fromhex("06082A8648CE3D030107")
_EC_KEY = bytes.fromhex("06072A8648CE3D0201")


@pytest.mark.parametrize(
    ("known", "unknown"), [(_P256, _P256[:-1] + b"\x63"), (_EC_KEY, _EC_KEY[:-1] + b"\x77")]
)
def test_a_certificate_request_for_an_unknown_kind_of_key_is_refused(
    known: bytes, unknown: bytes
) -> None:
    key = certificates.new_key()
    authority = certificates.make_authority(key, "plaine-commune.example", NOW)
    request = certificates.make_request(key, "w").replace(known, unknown)
    with pytest.raises(CertificateRefused):
        _issue(key, authority, request)


def test_an_oversized_certificate_request_is_refused_unread() -> None:
    key = certificates.new_key()
    authority = certificates.make_authority(key, "plaine-commune.example", NOW)
    with pytest.raises(CertificateRefused, match="bytes"):
        _issue(key, authority, bytes(1024 * 1024))


def _issue(key: object, authority: object, request: bytes) -> None:
    certificates.issue(
        key,  # type: ignore[arg-type]
        authority,  # type: ignore[arg-type]
        request,
        territory="plaine-commune.example",
        role=certificates.Role.WORKER,
        name="w",
        now=NOW,
    )
