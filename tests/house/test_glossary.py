"""The glossary has a word for everything that people meet: documents, and values in them."""

from __future__ import annotations

import enum
import re
from pathlib import Path

import pytest

from trust.documents import actions, campaign, consent, governance, membership, reporting, root
from trust.documents.actions import Act, ActingRole, Means
from trust.documents.campaign import UnitKind
from trust.documents.consent import Decision
from trust.documents.reporting import Outcome
from trust.documents.root import Duty
from trust.documents.rules import DataClass, Mechanism, Norm, PrivacyUnit, Protection

GLOSSARY = Path(__file__).resolve().parents[2] / "docs" / "glossary.md"
MODULES = (actions, campaign, consent, governance, membership, reporting, root)
# Log entries, which people name by what happened.
SAID_OTHERWISE = {"Enrolled": "who was enrolled", "Banned": "| ban "}


def words() -> str:
    return GLOSSARY.read_text(encoding="utf-8").lower()


def documents() -> list[type]:
    """What is signed: every class of these modules with a type tag."""
    return [
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and "TYPE" in vars(value)
    ]


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.__name__)
def test_every_signed_document_has_a_word(document: type) -> None:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", document.__name__).lower()
    assert SAID_OTHERWISE.get(document.__name__, f"{spaced} ") in words()


@pytest.mark.parametrize(
    "vocabulary",
    [
        Act,
        ActingRole,
        Means,
        DataClass,
        Decision,
        Duty,
        Mechanism,
        Norm,
        Outcome,
        PrivacyUnit,
        Protection,
        UnitKind,
    ],
    ids=lambda vocabulary: vocabulary.__name__,
)
def test_every_value_of_a_document_stands_in_it(vocabulary: type[enum.StrEnum]) -> None:
    assert [value for value in vocabulary if f"`{value.value}`" not in words()] == []


def test_every_row_has_three_cells_and_every_french_word_stands_once() -> None:
    tables = words().split("## states")[0]
    rows = re.findall(r"^\| (?!french)(.+) \|$", tables, re.MULTILINE)
    assert len(rows) > 60
    assert all(row.count(" | ") == 2 for row in rows)
    french = [row.split(" | ")[0] for row in rows]
    assert len(set(french)) == len(french)
