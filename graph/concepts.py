"""Names that the graph's codes stand for: units, modes, the doughnut's dimensions.

Facts only. Units: QUDT. Modes 1 to 5: the census's (INSEE, mobilités professionnelles).
Dimensions: the doughnut of social and planetary boundaries (Raworth; Fanning and Raworth 2025).
Codes of nomenclatures: `graph.nomenclatures`.
"""

from __future__ import annotations

from dataclasses import dataclass

from graph.model import Side

# Codes of units in the graph -> IRIs of QUDT 2.1.
QUDT = "http://qudt.org/vocab/unit/"
UNITS: dict[str, str] = {
    "persons": QUDT + "NUM",
    "kg": QUDT + "KiloGM",
    "t": QUDT + "TONNE",
    "kWh": QUDT + "KiloW-HR",
    "MWh": QUDT + "MegaW-HR",
    "L": QUDT + "L",
    "m3": QUDT + "M3",
    "km": QUDT + "KiloM",
    "EUR": "http://qudt.org/vocab/currency/EUR",
}
# What a factor is written in -> the units of flows that it fits, and how many of its own each is.
FACTOR_UNITS: dict[str, dict[str, float]] = {
    "kgCO2e/km": {"km": 1},  # of one person
    "kgCO2e/kWh": {"kWh": 1, "MWh": 1000},
    "kgCO2e/kg": {"kg": 1, "t": 1000},
    "kgCO2e/L": {"L": 1, "m3": 1000},
    "kgCO2e/m3": {"m3": 1, "L": 0.001},
}
# What factors and limits are written in; the graph's own units, without an IRI of QUDT.
RATES = FACTOR_UNITS.keys() | {
    "kgCO2e/(commuter.day)",
    "km/(commuter.day)",
    "share",
    "jobs/worker",
}


@dataclass(frozen=True)
class Mode:
    """A way to work: its concept, its words, what it weighs."""

    code: str
    name_fr: str
    name_en: str


MODES = (
    Mode("none", "pas de transport", "no transport"),
    Mode("walk", "marche", "walking"),
    Mode("cycle", "vélo", "cycling"),
    Mode("two-wheels", "deux-roues", "two wheels"),
    Mode("car", "voiture", "car"),
    Mode("carpool", "covoiturage", "car pool"),
    Mode("transit", "transports en commun", "public transport"),
)


@dataclass(frozen=True)
class Dimension:
    """One dimension of the doughnut."""

    code: str
    name_fr: str
    name_en: str
    side: Side


_CEILINGS = (
    ("climate-change", "changement climatique", "climate change"),
    ("ocean-acidification", "acidification des océans", "ocean acidification"),
    ("chemical-pollution", "pollution chimique", "chemical pollution"),
    ("nutrient-pollution", "pollution par les nutriments", "nutrient pollution"),
    ("air-pollution", "pollution de l'air", "air pollution"),
    ("freshwater-disruption", "perturbation de l'eau douce", "freshwater disruption"),
    ("land-conversion", "changement d'usage des sols", "land conversion"),
    ("biodiversity-breakdown", "effondrement de la biodiversité", "biodiversity breakdown"),
    ("ozone-depletion", "appauvrissement de l'ozone", "ozone depletion"),
)
_FLOORS = (
    ("food", "alimentation", "food"),
    ("health", "santé", "health"),
    ("education", "éducation", "education"),
    ("income-and-work", "revenu et travail", "income and work"),
    ("water", "eau", "water"),
    ("energy", "énergie", "energy"),
    ("connectivity", "réseaux et mobilité", "connectivity"),
    ("housing", "logement", "housing"),
    ("equality", "égalité", "equality"),
    ("social-cohesion", "cohésion sociale", "social cohesion"),
    ("political-voice", "voix politique", "political voice"),
    ("peace-and-justice", "paix et justice", "peace and justice"),
)
DIMENSIONS = tuple(Dimension(*words, Side.CEILING) for words in _CEILINGS) + tuple(
    Dimension(*words, Side.FLOOR) for words in _FLOORS
)
