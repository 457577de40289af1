"""Nomenclatures whose codes the graph holds, as `scheme:code`: who publishes them, which exist.

Codes are facts; their texts stay where they are published. The codes of NAF and of the list of
wastes lie beside the ontology as data, one line of `graph/ontology/*.txt` naming several; every
other scheme is short enough to be told by its form or by `graph.concepts`. What a scheme is and
where it is published stands in `graph/ontology/cadastre.ttl`; a test compares the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from graph import concepts, ontology
from graph.model import Action, Actor, Objective, Resource

# INSEE's IRIs of NAF rev. 2 tell the level of a code.
_NAF = "http://id.insee.fr/codes/nafr2/"
_NAF_LEVELS = {2: "division", 4: "groupe", 5: "classe", 6: "sousClasse"}


@dataclass(frozen=True)
class Scheme:
    """One nomenclature: how its codes are written, and where their list lies."""

    name: str
    form: re.Pattern[str]
    listed: str = ""  # the file of the ontology that lists its finest codes
    lengths: tuple[int, ...] = ()  # of codes above the finest: their first letters

    @property
    def iri(self) -> str:
        """Of the skos:ConceptScheme in our vocabulary."""
        return f"{ontology.NAMESPACE}scheme-{self.name}"

    def holds(self, code: str) -> bool:
        """Whether the nomenclature has `code`, at whatever level."""
        return bool(self.form.fullmatch(code)) and (not self.listed or code in _codes(self))

    def concept(self, code: str) -> str:
        """The IRI of what `code` stands for: the publisher's where there is one, else ours."""
        if self.name == "naf":
            return f"{_NAF}{_NAF_LEVELS[len(code)]}/{code}"
        return f"{ontology.NAMESPACE}{self.name}-{code}"


def _among(codes: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, codes)), re.ASCII)


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("mode", _among(tuple(mode.code for mode in concepts.MODES))),
        Scheme("naf", re.compile(r"\d{2}(\.\d{1,2}[A-Z]?)?", re.ASCII), ontology.NAF, (2, 4, 5)),
        Scheme("ewc", re.compile(r"\d{2}(\d{2}(\d{2})?)?", re.ASCII), ontology.EWC, (2, 4)),
        Scheme("rd", re.compile(r"R(1[0-3]|[1-9])|D(1[0-5]|[1-9])", re.ASCII)),
        Scheme("dimension", _among(tuple(one.code for one in concepts.DIMENSIONS))),
    )
}


@dataclass(frozen=True)
class Concept:
    """What a code stands for."""

    iri: str
    notation: str
    scheme: str  # the IRI of our skos:ConceptScheme


def is_concept(text: str, *schemes: str) -> bool:
    """Whether `text` is `scheme:code` of one of `schemes` (of any, without one)."""
    name, colon, code = text.partition(":")
    scheme = SCHEMES.get(name)
    return bool(colon and scheme and (not schemes or name in schemes) and scheme.holds(code))


def concept_of(text: str) -> Concept | None:
    """The concept that `scheme:code` names; None for what no nomenclature has."""
    if not is_concept(text):
        return None
    name, _, code = text.partition(":")
    scheme = SCHEMES[name]
    return Concept(scheme.concept(code), code, scheme.iri)


def code_of(item: object) -> str:
    """The code that a node names, as `scheme:code`; empty where it names none."""
    match item:
        case Actor():
            return item.activity or ""
        case Resource():
            return item.concept or ""
        case Action():
            return item.operation or ""
        case Objective():
            return f"dimension:{item.id.partition(':')[2]}"
        case _:
            return ""


@cache
def _codes(scheme: Scheme) -> frozenset[str]:
    """The listed codes and those above them."""
    lines = ontology.read(scheme.listed).decode("ascii").splitlines()
    finest = [code for line in lines if not line.startswith("#") for code in line.split()]
    return frozenset(finest) | {code[:length] for code in finest for length in scheme.lengths}
