"""Refusals of the pages: whole in both languages, what is somebody else's words marked as such."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

import scheduler
from jobs import parameters
from jobs.errors import JobsError, ParametersRefused
from protection.errors import ProtectionError
from scheduler import errors, views
from scheduler.errors import SchedulerError
from scheduler.web import refusals
from tests.scheduler.conftest import START
from tests.web_scheduler.test_pages_words import literals
from trust.clock import ManualClock
from trust.documents.rules import Bound
from trust.errors import TrustError
from trust.policy.errors import RunRefused
from trust.problem import Problem
from web import catalogues
from web.languages import Language
from web.speech import Speech

# Codes that stay English, and why no page says them.
TO_WORKERS = "said to a worker or another member over gRPC, never to a reader of pages"
AT_START = "ends the program before there are pages, or a command on its machine"
IN_TURN = "happens in a campaign's turn: pages show it as the campaign's reason"
NOT_HERE = "of a command or another institution: nothing behind a page raises it"
FOREIGN: Mapping[str, str] = {
    **dict.fromkeys(
        ["token-refused", "enrolment-proof-refused", "not-enrolled", "wrong-territory", "not-yours",
         "message-expired", "message-early", "identity-shared", "exchange-superseded",
         "consent-refused", "statement-refused", "values-missing", "values-not-due",
         "values-refused", "above-consents", "above-registry", "blob-refused", "quota-exceeded"],
        TO_WORKERS,
    ),
    **dict.fromkeys(
        ["state-refused", "database-restored", "backup-refused", "backup-outlived",
         "pages-refused", "key-file-refused", "root-refused", "certificate-refused"],
        AT_START,
    ),
    **dict.fromkeys(
        ["helper-unavailable", "helper-refused", "keyholder-unavailable", "keyholder-refused",
         "batch-unfit", "aggregate-refused"],
        IN_TURN,
    ),
    "bundle-missing": NOT_HERE,
}  # fmt: skip
# Sentences with a word in them that is another one in French for each: every one of them.
OPEN: Mapping[str, Sequence[str]] = {
    "no 7 7 is known here": [
        f"no {kind} 7 is known here" for kind in ("campaign", "bundle", "work unit", "worker")
    ],
    "no 7 of yours is called 7": [
        f"no {kind} of yours is called 7" for kind in ("campaign", "bundle")
    ],
    "no checkpoint of 7 entries was published7": [
        f"no checkpoint of 7 entries was published{more}"
        for more in ("", ": the nearest have 7", ": the nearest have 7 and 7")
    ],
}
# Of those who use the pages, of the command line, and of a program about itself.
ELSEWHERE = ("jobs.client", "jobs.flower", "durable.hygiene")
ROOTS = {"scheduler", "jobs", "durable", "trust", "protection", "problem", "refused"}


def speech(language: Language = Language.FR) -> Speech:
    return Speech(language, _words(), ManualClock(START).now())


@cache
def _words() -> catalogues.Catalogues:
    return catalogues.load(["web", "scheduler.web"])


def classes(root: type[Problem]) -> Iterator[type[Problem]]:
    for one in root.__subclasses__():
        yield one
        yield from classes(one)


def reachable() -> set[type[Problem]]:
    """The refusals of every package that a view, a page or an action uses."""
    for module in pkgutil.walk_packages(views.__path__, "scheduler.views."):
        importlib.import_module(module.name)
    durable = importlib.import_module("durable.errors").DurableError
    found = {one for root in (SchedulerError, JobsError, durable, TrustError)
             for one in classes(root)}  # fmt: skip
    # Orders are judged by workers; of protection a page reads a release's columns and voted rules.
    # Whatever other tests of this process imported: it is behind no page.
    found = {one for one in found if not one.__module__.startswith(ELSEWHERE)}
    return {one for one in found if not issubclass(one, RunRefused)} | {
        one for one in classes(ProtectionError)
        if one.code in {"columns-malformed", "release-rule-refused"}
    }  # fmt: skip


def test_every_code_that_a_page_can_answer_with_is_said_in_french() -> None:
    codes = {one.code for one in reachable()} - ROOTS
    assert codes >= {"unknown", "ambiguous-prefix", "parameters-refused", "blob-missing"}
    assert codes - set(refusals.CODES) == set(FOREIGN)
    assert not set(FOREIGN) & set(refusals.CODES)
    for both in refusals.CODES.values():
        for message in both:
            assert _words().find(Language.FR, message) is not None, message


def test_an_advice_is_not_told_in_two_ways() -> None:
    """Where a class has one for people at pages too, its French is of the same sentence."""
    for one in (errors.TooManyActions, errors.ArchiveTooLarge, errors.ArchiveBusy,
                errors.InputRefused, errors.NotAuthorised, errors.ActionRefused):  # fmt: skip
        assert refusals.CODES[one.code][1] == one.advice


def test_every_sentence_that_pages_refuse_with_is_known() -> None:
    """Read from the source of pages, views and actions."""
    folder = Path(str(scheduler.__file__)).parent
    places = [
        *folder.glob("views/*.py"),
        *folder.glob("web/**/*.py"),
        *(folder / "service" / f"{name}.py" for name in ("actions", "acting", "starting",
                                                         "finding")),
    ]  # fmt: skip
    said = {text for place in places if place.name not in {"judging.py", "surface.py"}
            for text in raised(place)}  # fmt: skip
    assert len(said) > 60
    assert said >= set(OPEN)
    said = said - set(OPEN) | {text for all_of_it in OPEN.values() for text in all_of_it}
    assert sorted(text for text in said if refusals.own(text) is None) == []


def raised(place: Path) -> Iterator[str]:
    known = {one.__name__ for one in classes(SchedulerError)}
    for node in ast.walk(ast.parse(place.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
            for value in (*node.args[:1], *(one.value for one in node.keywords)):
                yield from literals(value)


def told(problem: Problem, language: Language = Language.FR) -> tuple[str, str]:
    said = refusals.worded(problem)
    assert said is not None
    return speech(language).marked(said.cause), speech(language).marked(said.remedy)


def test_wrong_parameters_are_told_one_by_one() -> None:
    bounds = {
        "zones": Bound("integer", "1", "9", ()),
        "mode": Bound("choice", None, None, ("bus", "tram")),
    }
    with pytest.raises(ParametersRefused) as refused:
        parameters.check({"zones": 12, "mod": "bus"}, bounds)
    cause, remedy = told(refused.value)
    assert cause.split("\n") == [
        "des paramètres sont refusés\u00a0:",
        (
            "mod\u00a0: inconnu\u00a0; vouliez-vous dire mode\u202f?\u00a0; "
            "mode\u00a0: absent\u00a0; on attend l\u2019un de\u00a0: bus, tram\u00a0; "
            "zones\u00a0: on attend un nombre entier de 1 à 9, trouvé 12"
        ),
    ]
    assert remedy == "donnez à chaque paramètre une valeur dans les bornes votées"


def test_as_many_wrong_parameters_as_a_form_has_room_for_are_told() -> None:
    """Each told from within the one before, four hundred were too deep for the program."""
    bounds = {f"p{number}": Bound("integer", "1", "9", ()) for number in range(1500)}
    with pytest.raises(ParametersRefused) as refused:
        parameters.check({f"u{number}": 1 for number in range(1500)}, bounds)
    cause, _ = told(refused.value)
    assert cause.count("absent") == 1500
    assert "1480 autres noms sont inconnus" in cause


def test_of_words_that_nobody_translated_the_code_says_what_they_are() -> None:
    cause, remedy = told(errors.StoreFailed("disk I/O <error>", remedy="look at /var"))
    assert cause == (
        "la base de données n\u2019a pas répondu\u00a0; rien n\u2019en est enregistré\u00a0: "
        '<span lang="en">disk I/O &lt;error&gt;</span>'
    )
    assert remedy.endswith('(<span lang="en">look at /var</span>)')
    assert "lang=" not in "".join(told(errors.StoreFailed("disk I/O"), Language.EN))


def test_a_state_in_a_sentence_is_a_word_too() -> None:
    cause, _ = told(errors.NotReleased("the campaign is running: there is no release"))
    assert cause == (
        "la campagne est dans l\u2019état «\u00a0en cours\u00a0»\u00a0: "
        "il n\u2019y a pas de publication"
    )


@pytest.mark.parametrize("name", ["camp_x", "d'été", "", "a b"])
def test_what_is_quoted_is_quoted_as_the_language_does(name: str) -> None:
    found = refusals.own(f"no campaign {name!r} is known here")
    assert found is not None
    assert f"aucune campagne «\u00a0{name}\u00a0» " in speech().text(found)
    assert f"no campaign “{name}” is" in speech(Language.EN).text(found)


@pytest.mark.parametrize("name", ["camp_x", "'a', 'b'", "it's"])
def test_what_is_not_quoted_whole_stays_as_it_is(name: str) -> None:
    found = refusals.own(f"no campaign {name} is known here")
    assert found is not None
    assert f"aucune campagne {name} " in speech().text(found)
