import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.entropy import seeded
from trust.errors import Malformed
from trust.ids import CampaignId, Digest, UnitId, WorkerId

pytestmark = pytest.mark.base


@given(st.binary(min_size=16, max_size=16))
def test_the_text_form_names_exactly_one_identifier(raw: bytes) -> None:
    identifier = CampaignId.from_bytes(raw)
    assert CampaignId.parse(str(identifier)) == identifier
    assert len(identifier) == len("camp_") + 26


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_different_bytes_have_different_text(left: bytes, right: bytes) -> None:
    assert (UnitId.from_bytes(left) == UnitId.from_bytes(right)) == (left == right)


@given(st.text(max_size=40))
def test_parsing_arbitrary_text_only_ever_refuses(text: str) -> None:
    try:
        parsed = WorkerId.parse(text)
    except Malformed:
        return
    assert parsed == text


def test_an_identifier_of_another_type_is_refused() -> None:
    campaign = CampaignId.draw(seeded(b"x"))
    with pytest.raises(Malformed, match="UnitId"):
        UnitId.parse(campaign)


def test_letters_that_look_alike_are_refused() -> None:
    with pytest.raises(Malformed):
        CampaignId.parse("camp_" + "o" * 26)


def test_a_digest_knows_its_content_and_its_spelling() -> None:
    digest = Digest.of(b"abc")
    assert digest == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert Digest.from_bytes(digest.raw) == digest
    with pytest.raises(Malformed):
        Digest.parse(digest.upper())
