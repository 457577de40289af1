"""Both languages say everything; a stored reason is read back whatever it quotes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scheduler.domain.reasons import Reason, sentence, template
from scheduler.domain.retelling import Retold, retell
from scheduler.domain.states import AttemptState, CampaignState, RoundState, UnitState
from scheduler.web import words
from scheduler.web.auditors import telling
from scheduler.web.reasons import SENTENCES, told
from tests.scheduler.conftest import START
from trust.clock import ManualClock
from trust.documents.campaign import UnitKind
from trust.documents.root import Duty
from trust.log.entry import Kind
from web import catalogues
from web.extraction import complaints
from web.languages import Language
from web.speech import Speech


def french(why: str, code: str = "") -> str:
    found = catalogues.load(["web", "scheduler.web"])
    return Speech(Language.FR, found, ManualClock(START).now()).text(told(why, code))


def test_both_catalogues_are_complete() -> None:
    assert complaints("scheduler.web") == []
    assert complaints("scheduler.web.auditors") == []


def test_every_state_kind_and_duty_has_its_word() -> None:
    assert set(words.CAMPAIGNS) == set(CampaignState)
    assert set(words.ROUNDS) == set(RoundState)
    assert set(words.UNITS) == set(UnitState)
    assert set(words.ATTEMPTS) == set(AttemptState)
    assert set(words.UNIT_KINDS) == set(UnitKind)
    assert set(words.ENTRIES) == set(Kind) == set(telling._TOLD)
    assert set(words.DUTIES) == set(Duty)


def test_reasons_are_the_schedulers_own() -> None:
    assert {reason: template(reason) for reason in Reason if reason} == SENTENCES


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_every_reason_is_read_back(reason: Reason) -> None:
    holes = {"missing": 3, "have": 1, "need": 2, "why": "x", "what": "y", "seconds": 9, "quota": 4,
             "level": "L1", "library": "numpy", "claimed": 5, "known": 4, "used": 5, "output": "o",
             "who": "helper", "code": "c", "since": "2026-11-30T14:02:00Z"}  # fmt: skip
    said = sentence(reason, **holes)
    found = retell(said, reason.value)
    assert found is not None
    assert found.reason is reason
    assert sentence(found.reason, **found.details) == said
    assert french(said, reason.value) != said


def test_a_reason_within_a_reason_is_told_in_french_too() -> None:
    inner = sentence(Reason.BELOW_MINIMUM, have=17, need=20)
    why = sentence(Reason.WAITING_FOR_WORKERS, have=1, need=2, why=inner)
    assert french(why, "waiting-for-workers") == (
        "attend des nœuds\u00a0: 1 sur 2 peuvent contribuer "
        "(17 consentements en vigueur sur le nœud, les règles en demandent 20)"
    )


def test_a_wait_says_since_when_and_what_was_answered_last() -> None:
    """In the reader's own clock; what was answered may hold the same words once more."""
    answer = "the helper said; last answer: none since 2026-11-29T08:00:00Z"
    for reason in (Reason.WAITING_FOR_HELPER, Reason.WAITING_FOR_KEYHOLDER,
                   Reason.WAITING_FOR_CEREMONY, Reason.WAITING_FOR_TRUSTEES):  # fmt: skip
        why = sentence(reason, since="2026-11-30T14:02:00Z", what=answer)
        found = retell(why, reason.value)
        assert found == Retold(reason, {"since": "2026-11-30T14:02:00Z", "what": answer})
        said = told(why, reason.value)
        assert said is not None
        assert said.values["since"] == datetime(2026, 11, 30, 14, 2, tzinfo=UTC)
        assert "dernière réponse" in french(why, reason.value)
    odd = told(sentence(Reason.WAITING_FOR_WITNESSES), Reason.WAITING_FOR_WITNESSES.value)
    assert odd is not None
    assert odd.values["since"] == "?"  # without a moment, as nobody writes it


def test_foreign_words_stay_as_they_are() -> None:
    assert french("out of <b>disk</b>", "below-minimum") == "out of <b>disk</b>"
    assert retell("") is None
    assert retell("x" * 10_000) is None
    hostile = sentence(Reason.ATTEMPT_REFUSED, what="{what} {0.__class__}")
    assert retell(hostile) == Retold(Reason.ATTEMPT_REFUSED, {"what": "{what} {0.__class__}"})
    assert "{what} {0.__class__}" in french(hostile)
