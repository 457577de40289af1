"""One vocabulary of refusals: docs/errors.md is written from the code, and a test compares.

Rewrite it with `PYTHONPATH=. .venv/bin/python tests/house/test_error_codes.py > docs/errors.md`.
"""

from __future__ import annotations

import configparser
import functools
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from governance.witness.errors import WitnessError
from scheduler.domain.reasons import _SENTENCES, Reason
from terminal import exits
from trust.problem import Kind, Problem
from web import problems
from web.errors import WebError
from wire.status import _STATUS

HOUSE = Path(__file__).resolve().parents[2]
DOCUMENT = HOUSE / "docs" / "errors.md"
KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# Programs, not modules; and what is imported in the sandbox only.
NOT_IMPORTED = re.compile(r"\.__main__$|\.migrations\.|^jobs\.bundles\.|^jobs\.flower\.adapter\.")

# Refusals that carry another program's code: their own class has none to give.
CARRIERS = {
    "jobs.client.errors.GridRefused",
    "wire.status.RemoteProblem",
    "worker.broker_life.RunFailed",
}

# Codes that several rooms give, each in its own class because rooms don't import each other.
# The sentence must be true of every one of them; it is what a reader is told.
SHARED = {
    "above-registry": "A partial claims more than the registry knows live consents on its worker.",
    "not-authorised": "The college did not authorise this, not in this way, or no longer.",
    "not-logged": "A document is not proven to be in the log, cosigned by its witnesses.",
    "plan-mismatch": "An order or a plan is for another campaign, round, bundle, vote or key.",
    "report-repeated": "A report, worker, share or seed for the second time in one batch.",
    "status-stale": "No governance status of the last 24 hours is at hand.",
    "consent-refused": "A consent that is malformed, not the owner's, or against what is known.",
    "disk-full": "No space is left; what was there before is intact.",
    "input-refused": "What was typed or sent is malformed, too large or out of its bounds.",
    "parameters-refused": "Parameter values that are unknown, missing or out of bounds.",
    "token-refused": "An enrolment token that is damaged, unknown, used, expired or not for this.",
}
# Where one room calls a shared code a failed proof or a bad form, and another a broken rule.
KINDS_DIFFER = {
    "not-logged": "an opener refuses what it is shown without a proof, the scheduler still waits",
    "status-stale": "a worker turns the order down, helper and keyholder are asked again",
    "consent-refused": "the owner's machine checks a signature, a registry applies its rules",
    "parameters-refused": "an author mends a file, a worker turns an order down",
    "token-refused": "a worker checks the token's text, the scheduler looks it up",
}
# Reasons of the scheduler whose code is also a refusal's: the same thing, told from both sides.
TOLD_TWICE = {
    "above-consents",
    "above-registry",
    "authorisation-expired",
    "authorisation-suspended",
    "batch-unfit",
    "below-minimum",
    "helper-refused",
    "image-not-permitted",
    "keyholder-refused",
    "keyholder-unreachable",
    "lease-expired",
    "lease-lost",
    "library-missing",
    "report-refused",
    "statement-refused",
    "values-missing",
    "values-refused",
    "waiting-for-ceremony",
    "waiting-for-trustees",
    "worker-draining",
}

HEAD = """\
# Every refusal and its code

Written by `python tests/house/test_error_codes.py` from the classes themselves; a test compares.
A refusal is one sentence with the cause, one code and a remedy: what the reader can do about it.
They are the same on worker, scheduler and command line, and in logs. Codes are stable: scripts may
rest on them, never on sentences. [operations.md](operations.md) explains the everyday ones.

- *kind* decides the exit code of a command and the gRPC status of a call; *HTTP* is given where a
  witness answers with a status of its own (c2sp.org/tlog-witness). The status server answers
  400 for a body that it does not take, 503 for its own troubles.
- Web pages and their API answer with the status of the kind, and with the one of the *HTTP* column
  where there is one: {pages}.
- *again*: the same request may be repeated as it is, by a program.
- *what helps* is what a refusal of the row says where the place that refuses knows nothing more
  exact; where it is empty, every such place says its own.
- A row whose meaning is "Root of ..." names a family; a refusal that carries it is unusual.
- A refusal that came from another program (over gRPC, or from the broker) keeps that program's
  code, kind and words; without a readable one it is `remote-problem`, or `grpc-` and the status.

## Refusals

| code | room | kind | exit | gRPC | HTTP | again | what it means | what helps |
|---|---|---|---|---|---|---|---|---|
"""
REASONS = """
## Why something waits or ended

What `cadastre campaign show` and `watch` print beside a campaign, a round, a unit or an attempt.
Holes in braces are filled with counts, never with a person.

| code | sentence |
|---|---|
"""


@functools.cache
def rooms() -> tuple[str, ...]:
    """The packages of the product, from setup.cfg."""
    configuration = configparser.ConfigParser()
    configuration.read(HOUSE / "setup.cfg", encoding="utf-8")
    names = configuration["options.packages.find"]["include"].split()
    return tuple(name.rstrip("*") for name in names if (HOUSE / name.rstrip("*")).is_dir())


@functools.cache
def import_everything() -> None:
    """Every module of every room, so that every refusal is known."""
    for room in rooms():
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not NOT_IMPORTED.search(module.name):
                importlib.import_module(module.name)


def below(parent: type[Problem]) -> Iterator[type[Problem]]:
    for child in parent.__subclasses__():
        yield child
        yield from below(child)


def refusals() -> list[type[Problem]]:
    """Every class of the product, by code and then by where it stands."""
    import_everything()
    ours = rooms()
    found = {each for each in below(Problem) if each.__module__.split(".")[0] in ours}
    return sorted(found, key=lambda each: (each.code, name_of(each)))


def name_of(refusal: type[Problem]) -> str:
    return f"{refusal.__module__}.{refusal.__qualname__}"


def meaning(refusal: type[Problem]) -> str:
    """The first line of the class's own docstring; "" when it has none."""
    return (vars(refusal).get("__doc__") or "").strip().split("\n")[0]


def complaints(found: Iterable[type[Problem]]) -> list[str]:
    """What is wrong with the codes of `found`, one line each."""
    said: list[str] = []
    by_code: dict[str, list[type[Problem]]] = {}
    for refusal in found:
        name = name_of(refusal)
        if not meaning(refusal):
            said.append(f"{name} has no docstring of its own")
        if name in CARRIERS:
            continue
        if "code" not in vars(refusal):
            said.append(f"{name} has no code of its own")
        if not KEBAB.fullmatch(refusal.code):
            said.append(f"{name}: {refusal.code!r} is not kebab-case")
        by_code.setdefault(refusal.code, []).append(refusal)
    for code, several in by_code.items():
        names = ", ".join(map(name_of, several))
        if len({meaning(each) for each in several}) > 1 and code not in SHARED:
            said.append(f"{code} has several meanings: {names}")
        if len({(each.kind, each.retryable) for each in several}) > 1 and code not in KINDS_DIFFER:
            said.append(f"{code} has several kinds: {names}")
    return said


def document() -> str:
    """The text of docs/errors.md, from the classes and the scheduler's reasons."""
    rows = []
    for refusal in refusals():
        if name_of(refusal) in CARRIERS:
            continue
        own = refusal.status if issubclass(refusal, WitnessError | WebError) else None
        http = str(own.value) if own is not None else ""
        cells = (
            f"`{refusal.code}`",
            refusal.__module__.split(".")[0],
            refusal.kind.value,
            str(exits._CODES[refusal.kind]),
            _STATUS[refusal.kind].name,
            http,
            "yes" if refusal.retryable else "",
            SHARED.get(refusal.code) or meaning(refusal),
            refusal.advice,
        )
        rows.append(f"| {' | '.join(cells)} |\n")
    reasons = [f"| `{each.value}` | {_SENTENCES[each]} |\n" for each in Reason if each.value]
    pages = ", ".join(f"{kind.value} {problems.STATUS[kind].value}" for kind in Kind)
    return "".join([HEAD.replace("{pages}", pages), *rows, REASONS, *sorted(reasons)])


def test_the_document_is_the_code() -> None:
    written = DOCUMENT.read_text(encoding="utf-8")
    assert written == document(), f"rewrite docs/errors.md as {Path(__file__).name} says"


def test_operators_are_told_of_codes_that_exist() -> None:
    text = (HOUSE / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.split("## Reason codes")[1].split("\n## ")[0]
    told = {
        code
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for code in row.split(", ")
    }
    known = {f"`{each.code}`" for each in refusals()} | {f"`{each.value}`" for each in Reason}
    assert len(told) > 20
    assert told - known == set()


def test_every_refusal_has_one_code_one_meaning_and_a_docstring() -> None:
    found = refusals()
    assert len(found) > 150  # the walk found the rooms
    assert complaints(found) == []


def test_every_exemption_is_still_needed() -> None:
    found = [each for each in refusals() if name_of(each) not in CARRIERS]
    assert {name_of(each) for each in refusals()} >= CARRIERS
    codes = [each.code for each in found]
    assert all(codes.count(code) > 1 for code in SHARED)
    kinds = {code: {(e.kind, e.retryable) for e in found if e.code == code} for code in codes}
    assert {code for code, of in kinds.items() if len(of) > 1} == set(KINDS_DIFFER)
    assert {reason.value for reason in Reason} & set(codes) == TOLD_TWICE


def test_every_reason_is_kebab_case_and_has_a_sentence() -> None:
    assert all(KEBAB.fullmatch(reason.value) for reason in Reason if reason.value)
    assert set(_SENTENCES) == set(Reason)


def test_every_kind_has_an_exit_code_and_a_status() -> None:
    assert set(exits._CODES) == set(_STATUS) == set(Kind)


class Twin(Problem):
    """Another thing altogether."""

    code = "above-consents"
    kind = Kind.REFUSED


class Shouting(Problem):
    """A code that no script wants to type."""

    code = "Not_Kebab"


class Wordless(Problem):
    code = "wordless"


class Codeless(Twin):
    """A child that forgot its code."""


class Hasty(Problem):
    """A worker claims more contributors than consents are known for it."""

    code = "above-consents"
    kind = Kind.REFUSED
    retryable = True


@pytest.mark.parametrize(
    ("refusal", "complaint"),
    [
        (Twin, "several meanings"),
        (Shouting, "not kebab-case"),
        (Wordless, "no docstring"),
        (Codeless, "no code of its own"),
        (Hasty, "several kinds"),
    ],
)
def test_a_bad_refusal_is_complained_about(refusal: type[Problem], complaint: str) -> None:
    said = complaints([*refusals(), refusal])
    assert any(complaint in line and refusal.__name__ in line for line in said), said


if __name__ == "__main__":
    print(document(), end="")
