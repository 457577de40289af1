"""Both languages say everything; a stored reason is read back whatever it quotes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import scheduler
from scheduler.domain.reasons import Reason, sentence, template
from scheduler.domain.retelling import Retold, retell
from scheduler.domain.states import AttemptState, CampaignState, RoundState, UnitState
from scheduler.web import details, words
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
from web.sentences import Foreign, Sentence
from web.speech import Speech

# Names, figures and codes are the same in every language.
CODE = re.compile(r"[A-Za-z0-9._-]+")
# What a reason quotes: ours whole, ours about somebody else's, somebody else's.
WHATS = ("its refusal does not verify", "the helper could not be reached: timed out", "out of disk")


@cache
def speech(language: Language = Language.FR) -> Speech:
    return Speech(language, catalogues.load(["web", "scheduler.web"]), ManualClock(START).now())


def french(why: str, code: str = "") -> str:
    return speech().text(told(why, code))


def leaves(said: Sentence) -> Iterator[tuple[str, object]]:
    """Every value of a sentence and of those inside it that is none itself."""
    for name, value in said.values.items():
        if isinstance(value, Sentence):
            yield from leaves(value)
        else:
            yield name, value


def quoted(said: Sentence) -> set[str]:
    """The words in it that are somebody else's."""
    return {value.text for _, value in leaves(said) if isinstance(value, Foreign)}


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
    """In French no English word of ours is left, and what is not ours is marked as English."""
    counted = [("operators", set()), ("contributors", set())]
    foreign = [(what, {what.partition(": ")[2] or what} - {WHATS[0]}) for what in WHATS]
    for what, others in counted if reason is Reason.MINIMUM_MISSED else foreign:
        holes = {"missing": 3, "have": 1, "need": 2, "why": what, "what": what, "seconds": 9,
                 "quota": 4, "level": "L1", "library": "numpy", "claimed": 5, "known": 4,
                 "used": 5, "output": "o", "who": "helper", "code": "c"}  # fmt: skip
        said = sentence(reason, **holes)
        found = retell(said, reason.value)
        assert found is not None
        assert found.reason is reason
        assert sentence(found.reason, **found.details) == said
        shown = told(said, reason.value)
        assert shown is not None
        assert french(said, reason.value) != said
        peoples = reason in {Reason.CAMPAIGN_CANCELLED, Reason.AUTHORISATION_SUSPENDED}
        if {"what", "why"} & set(found.details) and not peoples:
            assert quoted(shown) == others
        left = [value for name, value in leaves(shown) if not isinstance(value, Foreign)]
        assert peoples or all(CODE.fullmatch(str(value)) for value in left), left


@pytest.mark.parametrize(
    ("why", "told_in_french"),
    [
        (
            sentence(Reason.MINIMUM_MISSED, have=17, what="contributors", need=20),
            "le lot a 17 contributeurs, les règles en demandent 20",
        ),
        (
            sentence(Reason.MINIMUM_MISSED, have=1, what="operators", need=2),
            "le lot a 1 exploitant, les règles en demandent 2",
        ),
        (
            sentence(Reason.LEFT_OUT, who="helper", code="report-dropped"),
            "l\u2019aide a laissé le rapport de ce nœud hors du lot (report-dropped)",
        ),
        (
            sentence(Reason.WAITING_FOR_HELPER, what="last answer: below-minimum (17 of 20)"),
            "attend l\u2019aide\u00a0: dernière réponse\u00a0: below-minimum (17 sur 20)",
        ),
        (
            sentence(Reason.STATEMENT_REFUSED, what="another partial has the same report id"),
            (
                "la déclaration ne correspond pas à son ordre\u00a0: une autre somme partielle "
                "porte le même identifiant de rapport"
            ),
        ),
        ("round 3 is being planned", "le tour 3 est en cours de planification"),
    ],
)
def test_words_of_ours_are_french(why: str, told_in_french: str) -> None:
    shown = told(why)
    assert shown is not None
    assert speech().marked(shown) == speech().text(shown) == told_in_french


def test_words_of_others_say_that_they_are_english() -> None:
    why = sentence(Reason.WORKER_NOT_READY, what="idle <b>")
    assert speech().marked(told(why)) == (
        'le nœud n\u2019était pas prêt\u00a0: <span lang="en">idle &lt;b&gt;</span>'
    )
    assert speech(Language.EN).marked(told(why)) == "the worker was not ready: idle &lt;b&gt;"
    # Whoever cancels writes in a language of their own.
    mine = sentence(Reason.CAMPAIGN_CANCELLED, what="budget épuisé")
    assert "lang=" not in speech().marked(told(mine))


RAISED = {"StatementRefused", "BatchUnfit", "HelperUnavailable", "KeyholderUnavailable",
          "NotLogged", "Unanswered"}  # fmt: skip
# Said with an institution's name in it, for both of them.
BOTH = ("the 7 ", "the 7's ")


def test_every_detail_that_the_scheduler_says_is_known() -> None:
    """Read from its source: a new one that is said to a reason has its French, or fails here."""
    folder = Path(str(scheduler.__file__)).parent
    found = {
        text
        for place in (*folder.glob("service/*.py"), *folder.glob("domain/*.py"),
                      folder / "helper.py", folder / "keyholder.py", folder / "post.py")
        for node in ast.walk(ast.parse(place.read_text(encoding="utf-8")))
        for text in said_in(node)
    }  # fmt: skip
    found = {text.replace("the 7", f"the {who}") if text.startswith(BOTH) else text
             for text in found for who in ("helper", "keyholder")}  # fmt: skip
    assert len(found) > 60
    assert [text for text in sorted(found) if details.own(text) is None] == []


def said_in(node: ast.AST) -> Iterator[str]:
    """What fills a reason's `what` or `why`: literals, with a 7 in each of their holes."""
    values: list[ast.expr] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if name in RAISED:
            values += node.args[:1]
        elif name == "wait" and len(node.args) == 4:
            values.append(node.args[3])
        elif name in {"sentence", "CampaignRow"}:
            values += [word.value for word in node.keywords if word.arg in {"what", "why"}]
    elif isinstance(node, ast.Assign):
        named = {one.id for one in node.targets if isinstance(one, ast.Name)}
        values += [node.value] * bool(named & {"what", "why"})
    for value in values:
        yield from literals(value)


def literals(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and " " in value.value:
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        parts = [str(one.value) if isinstance(one, ast.Constant) else "7" for one in value.values]
        text = "".join(parts)
        if CODE.search(text.replace("7", "")):
            yield text
    elif isinstance(value, ast.IfExp):
        yield from literals(value.body)
        yield from literals(value.orelse)
    elif isinstance(value, ast.BoolOp):
        for one in value.values:
            yield from literals(one)


def test_a_reason_within_a_reason_is_told_in_french_too() -> None:
    inner = sentence(Reason.BELOW_MINIMUM, have=17, need=20)
    why = sentence(Reason.WAITING_FOR_WORKERS, have=1, need=2, why=inner)
    assert french(why, "waiting-for-workers") == (
        "attend des nœuds\u00a0: 1 sur 2 peuvent contribuer "
        "(17 consentements en vigueur sur le nœud, les règles en demandent 20)"
    )


def test_foreign_words_stay_as_they_are() -> None:
    assert french("out of <b>disk</b>", "below-minimum") == "out of <b>disk</b>"
    assert retell("") is None
    assert retell("x" * 10_000) is None
    hostile = sentence(Reason.ATTEMPT_REFUSED, what="{what} {0.__class__}")
    assert retell(hostile) == Retold(Reason.ATTEMPT_REFUSED, {"what": "{what} {0.__class__}"})
    assert "{what} {0.__class__}" in french(hostile)
