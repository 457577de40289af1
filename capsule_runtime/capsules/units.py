"""Units that a mapping may convert between, each as an exact multiple of its kind's base."""

from __future__ import annotations

from fractions import Fraction

from capsule_runtime.capsules.errors import MappingRefused

# Exact by definition: international mile and pound (1959), minute and hour, watt-hour in joules.
_FACTORS: dict[str, tuple[str, Fraction]] = {
    "m": ("length", Fraction(1)),
    "km": ("length", Fraction(1000)),
    "mi": ("length", Fraction("1609.344")),
    "s": ("time", Fraction(1)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
    "g": ("mass", Fraction(1)),
    "kg": ("mass", Fraction(1000)),
    "t": ("mass", Fraction(1_000_000)),
    "lb": ("mass", Fraction("453.59237")),
    "J": ("energy", Fraction(1)),
    "MJ": ("energy", Fraction(1_000_000)),
    "Wh": ("energy", Fraction(3600)),
    "kWh": ("energy", Fraction(3_600_000)),
    "MWh": ("energy", Fraction(3_600_000_000)),
    "l": ("volume", Fraction(1)),
    "m3": ("volume", Fraction(1000)),
    "m2": ("area", Fraction(1)),
    "ha": ("area", Fraction(10_000)),
    "ct": ("money", Fraction(1, 100)),
    "EUR": ("money", Fraction(1)),
    "kEUR": ("money", Fraction(1000)),
}


def factor(source: str, target: str, where: str) -> Fraction:
    """What a value in `source` is multiplied by to be in `target`. Raises MappingRefused."""
    for name in (source, target):
        if name not in _FACTORS:
            raise MappingRefused(
                f"{where}: the unit {name!r} is not known",
                remedy=f"use one of {', '.join(_FACTORS)}, or give a `factor` instead",
            )
    (kind, numerator), (other, denominator) = _FACTORS[source], _FACTORS[target]
    if kind != other:
        raise MappingRefused(
            f"{where}: {source} is a {kind} and {target} is a {other}",
            remedy="name two units of the same kind",
        )
    return numerator / denominator
