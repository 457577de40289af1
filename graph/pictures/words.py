"""The words on pictures, French and English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LANGUAGES = ("fr", "en")


@dataclass(frozen=True)
class Wording:
    """What a picture says around the graph's own names."""

    language: str
    map_title: str
    map_about: str
    streams_title: str
    streams_about: str
    persons: str
    to: str
    within: str
    off_map: str
    homes: str
    works: str
    ways: str
    others: str
    dated: str
    source: str
    thousands: str

    def number(self, value: float) -> str:
        """A whole number with the language's separator of thousands."""
        return f"{value:,.0f}".replace(",", self.thousands)


WORDINGS: Mapping[str, Wording] = {
    "fr": Wording(
        language="fr",
        map_title="Trajets domicile-travail",
        map_about="Carte schématique : une flèche par trajet entre deux lieux, d'autant plus "
        "large que les personnes sont nombreuses ; un anneau pour qui travaille sur place.",
        streams_title="Flux par mode de transport",
        streams_about="Diagramme de flux : des lieux de domicile, par les modes, aux lieux de "
        "travail ; chaque bande est d'autant plus haute que les personnes sont nombreuses.",
        persons="personnes",
        to="vers",
        within="sur place",
        off_map="hors de la carte",
        homes="Domicile",
        works="Travail",
        ways="Mode",
        others="autres lieux",
        dated="Graphe du",
        source="Source",
        thousands="\u202f",  # narrow no-break space, as French typography asks for
    ),
    "en": Wording(
        language="en",
        map_title="Ways to work",
        map_about="Schematic map: one arrow per trip between two places, wider for more persons; "
        "a ring for those who work where they live.",
        streams_title="Flows by way of travel",
        streams_about="Flow diagram: from places of home through ways of travel to places of "
        "work; each band is higher for more persons.",
        persons="persons",
        to="to",
        within="within",
        off_map="off the map",
        homes="Home",
        works="Work",
        ways="Way of travel",
        others="other places",
        dated="Graph of",
        source="Source",
        thousands=",",
    ),
}
