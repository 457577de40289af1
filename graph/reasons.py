"""Why a link is ranked: the terms of its product, the flows that carried its score, its sources.

A flow carries a score as far as the plausible share changes when the flow is taken away and the
same model tells again (ablation). Only edges of the signed graph are ever taken away or named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graph.commuting import Estimate
from graph.indicators import WAYS
from graph.model import TerritoryGraph
from graph.pairs import Pairs, Reals, Whole
from graph.pictures.words import WORDINGS
from graph.potential import Kind, Potential
from graph.scoring import CrossFit

# Ablated per link: those with most persons among the flows from its home, and to its work.
LOOKED_AT = 3
NAMED = 3


@dataclass(frozen=True)
class Carrier:
    """A pair of the signed graph that shares a place with the link."""

    home: str
    work: str
    persons: float | None  # by the link's way of travel; None where no edge is released
    persons_instead: float | None
    effect: float  # plausible share with it less that without it


def carriers(pairs: Pairs, fit: CrossFit, link: Potential) -> list[Carrier]:
    """The flows that moved the link's plausible share most, the largest effect first."""
    row = link.row
    columns = [pairs.modes.index(link.mode), pairs.modes.index(link.instead_of)]
    persons = np.where(pairs.released[:, columns], pairs.persons[:, columns], 0.0).sum(axis=1)
    found = []
    for other in [*_largest(pairs.home, row, persons), *_largest(pairs.work, row, persons)]:
        of_mode, instead = (
            float(pairs.persons[other, column]) if pairs.released[other, column] else None
            for column in columns
        )
        found.append(
            Carrier(
                home=pairs.places[pairs.home[other]],
                work=pairs.places[pairs.work[other]],
                persons=of_mode,
                persons_instead=instead,
                effect=_effect(pairs, fit, (row, columns[0]), other),
            )
        )
    return sorted(found, key=lambda item: (-abs(item.effect), item.home, item.work))[:NAMED]


def _effect(pairs: Pairs, fit: CrossFit, cell: tuple[int, int], other: int) -> float:
    """The share in `cell` less the one that the same models tell without the pair `other`.

    A repeat that held `other` out as well never knew it: its share stays as it is.
    """
    row, column = cell
    change = []
    for fold, learnt in zip(fit.fold, fit.learnt, strict=True):
        if fold[other] == fold[row]:
            change.append(0.0)
            continue
        known, model = fold != fold[row], learnt[int(fold[row])]
        without = known & (np.arange(len(pairs)) != other)
        asked = np.array([row], np.int64)
        shares = [model.scores(pairs, each, asked).share[0, column] for each in (known, without)]
        change.append(float(shares[0] - shares[1]))
    return float(np.mean(change))


def _largest(side: Whole, row: int, persons: Reals) -> list[int]:
    """Other pairs with the same place on `side`, most persons first."""
    rows = np.flatnonzero((side == side[row]) & (persons > 0))
    rows = rows[rows != row]
    return [int(other) for other in rows[np.argsort(-persons[rows], kind="stable")][:LOOKED_AT]]


@dataclass(frozen=True)
class Phrases:
    """The sentences of one language, with places for names and numbers."""

    strengthen: str
    create: str
    today: str
    nobody: str
    plausible: str
    product: str
    carried: str
    carrier: str
    uncarried: str
    sources: str
    between: str
    some: str
    decimal: str
    colon: str


PHRASES: Mapping[str, Phrases] = {
    "fr": Phrases(
        strengthen="à renforcer",
        create="à créer",
        today="Aujourd'hui, {car} : {instead} ; {mode} : {persons}.",
        nobody="aucun lien publié (moins de {minimum} personnes)",
        plausible="Part plausible ({mode}) d'après les autres flux : {plausible} %, contre "
        "{share} % aujourd'hui.",
        product="{shift} personnes x {ways} trajets x {km} km x {days} jours x {saved} kgCO2e/km "
        "= {avoided} kgCO2e évités par an.",
        carried="Score porté par {carriers}.",
        carrier="{home} vers {work} ({persons} ; {effect} points)",
        uncarried="Aucun flux voisin ne porte ce score : il vient de la distance et des totaux.",
        sources="Sources : {sources}.",
        between="{value} [{low} à {high}]",
        some="{persons} personnes",
        decimal=",",
        colon=" : ",
    ),
    "en": Phrases(
        strengthen="to strengthen",
        create="to create",
        today="Today, {car}: {instead}; {mode}: {persons}.",
        nobody="no released link (under {minimum} persons)",
        plausible="Plausible share ({mode}) by what other flows tell: {plausible} %, against "
        "{share} % today.",
        product="{shift} persons x {ways} trips x {km} km x {days} days x {saved} kgCO2e/km "
        "= {avoided} kgCO2e avoided per year.",
        carried="Score carried by {carriers}.",
        carrier="{home} to {work} ({persons}; {effect} points)",
        uncarried="No neighbouring flow carries this score: it comes from distance and totals.",
        sources="Sources: {sources}.",
        between="{value} [{low} to {high}]",
        some="{persons} persons",
        decimal=".",
        colon=": ",
    ),
}


class Speaker:
    """Sentences about the links of one graph in one language."""

    def __init__(self, graph: TerritoryGraph, minimum: int, language: str) -> None:
        self._minimum = minimum
        self._words = WORDINGS[language]
        self._phrases = PHRASES[language]
        self._names = {node.id: node.name for node in graph.places} | {
            item.id: item.name_fr if language == "fr" else item.name_en for item in graph.resources
        }
        self._sources = {item.id: f"{item.title} ({item.attribution})" for item in graph.sources}

    def name(self, node: str) -> str:
        """A place's or a way's name."""
        return self._names[node]

    def title(self, link: Potential) -> str:
        """What is proposed, in one line."""
        said = self._phrases.strengthen if link.kind is Kind.STRENGTHEN else self._phrases.create
        ends = f"{self.name(link.home)} {self._words.to} {self.name(link.work)}"
        return f"{ends}, {self.name(link.mode)}{self._phrases.colon}{said}"

    def reason(self, link: Potential, found: list[Carrier]) -> list[str]:
        """Sentences: today's flows, what is plausible, the product, the carriers, the sources."""
        phrases = self._phrases
        names = {"mode": self.name(link.mode), "car": self.name(link.instead_of)}
        today = phrases.today.format(
            instead=self._persons(link.persons_instead),
            persons=self._persons(link.persons),
            **names,
        )
        plausible = phrases.plausible.format(
            plausible=self._number(100 * link.plausible, 0),
            share=self._number(100 * link.share, 0),
            **names,
        )
        product = phrases.product.format(
            shift=self._range(link.shift, 0),
            ways=WAYS,
            km=self._number(link.km, 1),
            days=link.days,
            saved=self._range(link.saved, 3),
            avoided=self._range(link.avoided, 0),
        )
        told = [self._carrier(item) for item in found if abs(item.effect) >= 0.0005]
        carried = phrases.carried.format(carriers=", ".join(told)) if told else phrases.uncarried
        named = " ; ".join(self._sources[source] for source in link.sources)
        return [today, plausible, product, carried, phrases.sources.format(sources=named)]

    def tonnes(self, estimate: Estimate) -> str:
        """kgCO2e as tonnes with their range."""
        tonnes = [part / 1000 for part in (estimate.value, estimate.low, estimate.high)]
        return self._range(Estimate(*tonnes), 1)

    def _carrier(self, item: Carrier) -> str:
        return self._phrases.carrier.format(
            home=self.name(item.home),
            work=self.name(item.work),
            persons=self._persons(item.persons),
            effect=f"{'+' if item.effect > 0 else '-'}{self._number(100 * abs(item.effect), 1)}",
        )

    def _persons(self, persons: float | None) -> str:
        if persons is None:
            return self._phrases.nobody.format(minimum=self._minimum)
        return self._phrases.some.format(persons=self._number(persons, 0))

    def _range(self, estimate: Estimate, digits: int) -> str:
        value, low, high = (
            self._number(part, digits) for part in (estimate.value, estimate.low, estimate.high)
        )
        return self._phrases.between.format(value=value, low=low, high=high)

    def _number(self, value: float, digits: int) -> str:
        whole, _, rest = f"{value:,.{digits}f}".partition(".")
        text = whole.replace(",", self._words.thousands)
        return f"{text}{self._phrases.decimal}{rest}" if rest else text
