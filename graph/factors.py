"""Greenhouse gas factors of the ways to work, per person and kilometre.

Values: ADEME, Base Empreinte (Licence Ouverte), as used by Nos Gestes Climat (MIT), release
3.4.0 and its public rules, whose names stand in the comments. Use phase with the fuel's or
current's supply; vehicles are not written off over it, except two wheels with an engine, whose
published figure includes their making. A territory with better figures declares them in its
build plan.
"""

from __future__ import annotations

from dataclasses import dataclass

UNIT = "kgCO2e/km"
TITLE = "Facteurs d'émission des déplacements"
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
