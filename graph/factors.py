"""Greenhouse gas factors that are cited: ways to work, and forms of energy.

Values: ADEME, Base Empreinte (Licence Ouverte), as used by Nos Gestes Climat (MIT), release
3.4.0 and its public rules, whose names stand beside them. Ways to work are in every graph, per
person and kilometre: use phase with the fuel's or current's supply; vehicles are not written off
over it, except two wheels with an engine, whose published figure includes their making. A form
of energy is in a graph when a resource of its build plan asks for it by name. A territory with
better figures declares them in its build plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from graph.model import Factor, TerritoryGraph

UNIT = "kgCO2e/km"
TITLE = "Facteurs d'émission des déplacements"
ENERGY_TITLE = "Facteurs d'émission de l'énergie"
ATTRIBUTION = "ADEME, Base Empreinte, d'après Nos Gestes Climat 3.4.0"
LICENCE = "Licence Ouverte 2.0"


@dataclass(frozen=True)
class ModeFactor:
    """Central value and range, in kgCO2e per person and km."""

    mode: str
    value: str
    low: str
    high: str


# Petrol 2.7 kgCO2e/l x 6.3 l/100 km = 0.1701; diesel 3.07 x 4.8 = 0.14736; petrol SUV 2.7 x 6.7
# = 0.1809 ("transport . voiture . thermique . empreinte au litre", "consommation estimée").
_CAR = ("0.1701", "0.14736", "0.1809")

MODE_FACTORS = (
    ModeFactor("none", "0", "0", "0"),
    ModeFactor("walk", "0", "0", "0"),
    # "transport . mobilité douce . vae . empreinte": with electric help at most.
    ModeFactor("cycle", "0", "0", "0.00223"),
    # The census counts cycles and engines together: from a cycle to over 250 cm3, and in between
    # the figure of up to 250 cm3 ("transport . deux roues . empreinte au km").
    ModeFactor("two-wheels", "0.0763", "0", "0.191"),
    ModeFactor("car", *_CAR),
    # Two persons in a petrol car; from four in a diesel to two in a petrol SUV.
    ModeFactor("carpool", "0.08505", "0.03684", "0.09045"),
    # RER and Transilien, Île-de-France 2022; from a tramway to a diesel bus
    # ("transport . transports commun . métro ou tram . impact par km RER", "… bus …").
    ModeFactor("transit", "0.00978", "0.00503", "0.113"),
)


@dataclass(frozen=True)
class EnergyFactor:
    """One figure, in kgCO2e per unit of energy, mass or volume; published without a range."""

    name: str  # as a build plan asks for it
    value: str
    unit: str
    rule: str  # its name in Nos Gestes Climat


ENERGY_FACTORS = {
    line.name: line
    for line in (
        # The mix that is consumed: mainland France 2022; La Réunion as of December 2020.
        EnergyFactor("electricity-fr", "0.052", "kgCO2e/kWh", "commun . intensité électricité"),
        EnergyFactor("electricity-re", "0.78", "kgCO2e/kWh", "commun . intensité électricité"),
        EnergyFactor(
            "photovoltaic",
            "0.0291",
            "kgCO2e/kWh",
            "logement . électricité . photovoltaique . intensité carbone",
        ),
        # Per kWh of gross calorific value, as bills count them.
        EnergyFactor(
            "natural-gas",
            "0.221",
            "kgCO2e/kWh",
            "logement . chauffage . gaz . facteur d'émission base carbone",
        ),
        EnergyFactor(
            "biogas",
            "0.0395",
            "kgCO2e/kWh",
            "logement . chauffage . biogaz . facteur d'émission base carbone",
        ),
        # The mean of French networks: one's own network publishes its figure.
        EnergyFactor(
            "district-heat",
            "0.112",
            "kgCO2e/kWh",
            "logement . chauffage . réseau de chaleur . intensité carbone",
        ),
        EnergyFactor(
            "heating-oil",
            "3.25",
            "kgCO2e/L",
            "logement . chauffage . intensité carbone fioul litre",
        ),
        EnergyFactor("butane", "3.44", "kgCO2e/kg", "logement . chauffage . empreinte butane"),
        EnergyFactor("propane", "3.47", "kgCO2e/kg", "logement . chauffage . empreinte propane"),
        EnergyFactor(
            "firewood",
            "0.046",
            "kgCO2e/kWh",
            "logement . chauffage . bois . facteur d'émission bûches",
        ),
        EnergyFactor(
            "wood-pellets",
            "0.032",
            "kgCO2e/kWh",
            "logement . chauffage . bois . facteur d'émission granulés",
        ),
    )
}


def of_ways(graph: TerritoryGraph) -> dict[str, Factor]:
    """The factors per person and kilometre, by resource: what trips can be multiplied with."""
    return {factor.resource: factor for factor in graph.factors if factor.unit == UNIT}
