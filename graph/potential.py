"""Links worth strengthening or creating, by greenhouse gases that they would avoid in a year.

avoided = persons who would change x 2 ways x km x working days x (factor now - factor then).

Who would change follows from a scorer's plausible shares: persons above the car's plausible share
of a pair move to the ways of travel that are below theirs, each in proportion to what it lacks;
nobody is counted twice. A way of travel without an edge may carry up to the minimum of persons,
withheld: it counts as half of that, give or take the other half. Bands of persons are taken to
first order and independent; the scorer's own error is not in them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graph.commuting import Estimate
from graph.indicators import WAYS
from graph.model import Factor
from graph.pairs import Pairs, Reals
from graph.scoring import Scores

CAR = "resource:mode.car"
# Not a way of travel that somebody could strengthen.
NOT_TRAVEL = frozenset({"resource:mode.none"})
# Code du travail, article L3121-64: the most days that a yearly agreement in days may have.
WORKING_DAYS = 218
# A link that is created must be likelier than not to have at least the minimum of persons.
LIKELY = 0.5


class Kind(enum.StrEnum):
    """Whether the signed graph has the link today."""

    STRENGTHEN = "strengthen"
    CREATE = "create"


@dataclass(frozen=True)
class Potential:
    """One link, every term of its product, and the product."""

    home: str
    work: str
    mode: str  # what persons would change to
    instead_of: str
    kind: Kind
    row: int  # of the pair
    persons: float | None  # who go this way today; None where no edge is released
    persons_instead: float
    share: float  # of this way today, among all persons of the pair
    plausible: float  # the share that comparable flows let expect
    presence: float
    shift: Estimate  # persons
    km: float  # one way
    days: int
    saved: Estimate  # kgCO2e per person and km; may be below 0 at its low end
    avoided: Estimate  # kgCO2e per year
    sources: tuple[str, ...]


def potentials(
    pairs: Pairs, scores: Scores, factors: Mapping[str, Factor], *, days: int = WORKING_DAYS
) -> list[Potential]:
    """Every link whose central estimate avoids something, the most first.

    `factors` by resource; a way of travel without one is never ranked.
    """
    if CAR not in pairs.modes or CAR not in factors:
        return []
    car = pairs.modes.index(CAR)
    found = []
    for row in np.flatnonzero(pairs.released[:, car]).tolist():
        persons, half = _present(pairs, row)
        shift, band = shifts(persons, half, scores.share[row], car)
        for column, mode in enumerate(pairs.modes):
            if mode == CAR or mode in NOT_TRAVEL or mode not in factors:
                continue
            created = not pairs.released[row, column]
            if created and not _creatable(pairs, scores, row, column, float(persons.sum())):
                continue
            saved = difference(factors[CAR], factors[mode])
            if shift[column] <= 0 or saved.value <= 0:
                continue
            moved = _ranged(float(shift[column]), float(band[column]), float(persons[car]))
            km = float(pairs.km[row])
            found.append(
                Potential(
                    home=pairs.places[pairs.home[row]],
                    work=pairs.places[pairs.work[row]],
                    mode=mode,
                    instead_of=CAR,
                    kind=Kind.CREATE if created else Kind.STRENGTHEN,
                    row=row,
                    persons=None if created else float(pairs.persons[row, column]),
                    persons_instead=float(pairs.persons[row, car]),
                    share=float(persons[column] / persons.sum()),
                    plausible=float(scores.share[row, column]),
                    presence=float(scores.presence[row, column]),
                    shift=moved,
                    km=km,
                    days=days,
                    saved=saved,
                    avoided=product(moved, km, days, saved),
                    sources=tuple(
                        sorted({pairs.source, factors[CAR].source, factors[mode].source})
                    ),
                )
            )
    return sorted(found, key=lambda item: (-item.avoided.value, item.home, item.work, item.mode))


def shifts(persons: Reals, half: Reals, share: Reals, car: int) -> tuple[Reals, Reals]:
    """(M,) persons who would change to each way of travel, and (M,) half their 95 % band.

    `persons`, `half` and plausible `share` of one pair. Zero for the car and where nothing lacks.
    """
    whole = float(persons.sum())
    lacking = whole * share - persons
    surplus = -float(lacking[car])
    gaining = lacking > 0
    gaining[car] = False
    wanted = float(lacking[gaining].sum())
    if surplus <= 0 or wanted <= 0:
        return np.zeros_like(persons), np.zeros_like(persons)
    moved = np.where(gaining, lacking * surplus / wanted, 0.0)
    # Derivatives by the persons of each way, row after row: of what lacks, then of the quotient.
    lacking_by = share[:, None] - np.eye(len(persons))
    wanted_by = lacking_by[gaining].sum(axis=0)
    moved_by = (
        lacking_by * (surplus / wanted)
        - np.outer(lacking / wanted, lacking_by[car])
        - np.outer(lacking, wanted_by) * (surplus / wanted**2)
    )
    band = np.sqrt(((moved_by * half) ** 2).sum(axis=1))
    return moved, np.where(gaining, band, 0.0)


def difference(now: Factor, then: Factor) -> Estimate:
    """What a person and kilometre would emit less, from the least to the most."""
    return Estimate(
        float(now.value) - float(then.value),
        float(now.low) - float(then.high),
        float(now.high) - float(then.low),
    )


def product(shift: Estimate, km: float, days: int, saved: Estimate) -> Estimate:
    """kgCO2e per year; the low end is not under 0: nobody strengthens what would emit more."""
    way = WAYS * km * days
    return Estimate(
        shift.value * way * saved.value,
        shift.low * way * max(0.0, saved.low),
        shift.high * way * saved.high,
    )


def _present(pairs: Pairs, row: int) -> tuple[Reals, Reals]:
    """Persons and half bands of one pair, what is withheld included."""
    middle = pairs.minimum / 2
    released = pairs.released[row]
    return (
        np.where(released, pairs.persons[row], middle),
        np.where(released, pairs.half[row], middle),
    )


def _creatable(pairs: Pairs, scores: Scores, row: int, column: int, whole: float) -> bool:
    """Whether it would be a link that the source would release."""
    enough = whole * scores.share[row, column] >= pairs.minimum
    return bool(enough and scores.presence[row, column] >= LIKELY)


def _ranged(value: float, half: float, most: float) -> Estimate:
    return Estimate(min(value, most), max(0.0, value - half), min(value + half, most))
