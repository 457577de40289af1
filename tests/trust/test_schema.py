import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust import schema
from trust.documents.rules import Norm
from trust.entropy import seeded
from trust.errors import Malformed
from trust.ids import CampaignId, Digest, WorkerId
from trust.keys import PrivateKey, PublicKey

pytestmark = pytest.mark.base


@dataclass(frozen=True)
class Inner:
    count: int
    blob: bytes | None


@dataclass(frozen=True)
class Sample:
    name: str
    campaign: CampaignId
    digest: Digest
    key: PublicKey
    when: datetime
    norm: Norm
    inner: tuple[Inner, ...]
    live: dict[str, dict[WorkerId, int]]
    yes: bool


KEY = PrivateKey.generate(seeded(b"s")).public
PLAIN = {"count": 1, "blob": None}
SAMPLE = Sample(
    name="Île",
    campaign=CampaignId.draw(seeded(b"c")),
    digest=Digest.of(b""),
    key=KEY,
    when=datetime(2026, 11, 22, 16, 0, tzinfo=UTC),
    norm=Norm.L2,
    inner=(Inner(1, None), Inner(-5, b"\x00\xff")),
    live={"purpose:x": {KEY.worker_id: 3}},
    yes=True,
)


def test_a_document_survives_the_round_trip() -> None:
    assert schema.decode(Sample, schema.encode(SAMPLE)) == SAMPLE


def test_one_value_has_one_spelling() -> None:
    assert schema.encode(schema.decode(Sample, schema.encode(SAMPLE))) == schema.encode(SAMPLE)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", 3, "a text"),
        ("yes", 1, "true or false"),
        ("campaign", "camp_short", "CampaignId"),
        ("digest", "sha256:0", "digest"),
        ("when", "2026-11-22", "datetime"),
        ("when", "2026-11-22T16:00:00+00:00", "datetime"),
        ("norm", "l3", "Norm"),
        ("inner", {}, "a list"),
        ("inner", [{"count": True, "blob": None}], "whole number"),
        ("inner", [{"count": 1, "blob": "%%"}], "bytes"),
        ("inner", [{"count": 1}], "missing fields ['blob']"),
        ("live", {"purpose:x": {"nobody": 3}}, "WorkerId"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected(
    field: str, value: object, said: str
) -> None:
    plain = json.loads(schema.encode(SAMPLE))
    plain[field] = value
    with pytest.raises(Malformed) as caught:
        schema.decode(Sample, json.dumps(plain).encode())
    assert field in caught.value.sentence
    assert said in caught.value.sentence


@pytest.mark.parametrize(
    ("place", "plain"),
    [
        (
            "Sample.inner[1].count",
            {"inner": [PLAIN, {"count": "", "blob": ""}]},
        ),
        ("Sample.inner[1]", {"inner": [PLAIN, []]}),
        (f"Sample.live.purpose:x.{KEY.worker_id}", {"live": {"purpose:x": {KEY.worker_id: None}}}),
        ("Sample.live.caf\\xe9", {"live": {"café": 1}}),
        ("Sample.inner[0].count", {"inner": [{"count": 2**63, "blob": None}]}),
    ],
)
def test_a_wrong_value_is_named_by_its_whole_place(place: str, plain: dict[str, object]) -> None:
    whole = json.loads(schema.encode(SAMPLE)) | plain
    with pytest.raises(Malformed) as caught:
        schema.decode(Sample, json.dumps(whole).encode())
    assert caught.value.sentence.startswith(f"{place}: expected ")


@dataclass(frozen=True)
class Nested:
    within: tuple["Nested", ...]


def test_a_document_may_hold_its_own_kind() -> None:
    nested = Nested((Nested(()), Nested((Nested(()),))))
    assert schema.decode(Nested, schema.encode(nested)) == nested


@pytest.mark.parametrize(
    "raw",
    [
        b'{"count":1,"count":2,"blob":null}',
        b'{"count":1.0,"blob":null}',
        b'{"count":NaN,"blob":null}',
        b'{"count":1,"blob":null,"more":1}',
        b"[]",
        b"",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_ambiguous_or_loose_json_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        schema.decode(Inner, raw)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_arbitrary_json_never_escapes_as_another_error(plain: object) -> None:
    with contextlib.suppress(Malformed):
        schema.decode(Sample, json.dumps(plain).encode())
