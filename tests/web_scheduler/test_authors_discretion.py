"""What an author may read of a reason: every code, with counts of people in tens at most."""

from __future__ import annotations

import pytest

from scheduler.domain.discretion import HIDDEN, discreet, round_up
from scheduler.domain.reasons import Reason, sentence

SECRET = "wrk_secret said 17 of 23"
PEOPLE = {"have": 17, "missing": 13, "known": 17, "claimed": 23}


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason])
def test_foreign_words_stay_with_operators(reason: Reason) -> None:
    holes = {**PEOPLE, "need": 2, "why": SECRET, "what": SECRET, "seconds": 9, "quota": 4,
             "level": "L1", "library": "numpy", "used": 5, "output": "o", "who": "helper",
             "code": "c"}  # fmt: skip
    said = discreet(sentence(reason, **holes), reason.value)
    public = {Reason.CAMPAIGN_CANCELLED, Reason.AUTHORISATION_SUSPENDED, Reason.MINIMUM_MISSED}
    assert said
    assert (SECRET in said) <= (reason in public)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (sentence(Reason.BELOW_MINIMUM, have=17, need=20),
         "10 live consents on the worker, the rules ask for 20"),
        (sentence(Reason.WAITING_FOR_CONSENTS, missing=13), "waiting for consents: 20 missing"),
        (sentence(Reason.MINIMUM_MISSED, have=17, what="contributors", need=20),
         "the batch has 10 contributors, the rules ask for 20"),
        (sentence(Reason.MINIMUM_MISSED, have=1, what="operators", need=2),
         "the batch has 1 operators, the rules ask for 2"),
        (sentence(Reason.WAITING_FOR_WORKERS, have=1, need=2,
                  why=sentence(Reason.BELOW_MINIMUM, have=9, need=20)),
         sentence(Reason.WAITING_FOR_WORKERS, have=1, need=2,
                  why=sentence(Reason.BELOW_MINIMUM, have=0, need=20))),
        (sentence(Reason.NEVER_PLANNED, what=sentence(Reason.WAITING_FOR_CONSENTS, missing=1)),
         "no round could be planned in time; the last obstacle: waiting for consents: 10 missing"),
        (sentence(Reason.LIBRARY_MISSING, library="torch"), "no worker with torch"),
        ("the helper wrote this: 17", HIDDEN),
        ("", ""),
    ],
)  # fmt: skip
def test_counts_of_people_are_in_tens(said: str, expected: str) -> None:
    assert discreet(said) == expected


def test_what_is_missing_is_rounded_up() -> None:
    assert [round_up(count) for count in (0, 1, 10, 11)] == [0, 10, 10, 20]


def test_an_institutions_own_code_stands_for_its_words() -> None:
    what = "17 of 20 people stand behind the batch"
    why = sentence(Reason.WAITING_FOR_HELPER, since="2026-11-30T14:02:00Z", what=what)
    said = "waiting for the helper since 2026-11-30T14:02:00Z; last answer: "
    assert discreet(why, "below-minimum") == f"{said}…"  # one of ours
    assert discreet(why, "batch-too-small") == f"{said}batch-too-small"
    assert discreet(why, "17 of 20") == f"{said}…"
    assert discreet(why, "x" * 200) == f"{said}…"
