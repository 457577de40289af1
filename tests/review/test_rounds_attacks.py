"""Attacks on campaigns of several rounds: what each of them could do, and where it ends."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from capsule_runtime.portions import Portion, drawn
from trust.ids import Digest

# --- who is drawn: `rounds.draw` ---

THIRD = Fraction(1, 3)


def company(persons: list[int]) -> tuple[Portion, ...]:
    return tuple(Portion(b"record %d" % number, count) for number, count in enumerate(persons))


def told(parts: tuple[Portion, ...]) -> dict[bytes, int]:
    return {part.data: part.units for part in parts}


def test_one_person_more_changes_nobody_elses_lot() -> None:
    # The seed is no secret to whoever knows the plan and the capsule: if one person could change
    # who else is drawn, the sum would move by more than what noise and price were made for.
    for trial in range(40):
        seed = Digest.of(b"round %d" % trial)
        chance = np.random.default_rng(trial)
        persons = chance.integers(1, 4, size=30).tolist()
        before = told(drawn(company(persons), THIRD, seed))
        somebody = company(persons)
        joined = [
            (*somebody[:trial], Portion(b"somebody new", 1), *somebody[trial:]),
            company([count + (number == trial % 30) for number, count in enumerate(persons)]),
        ]
        for parts in joined:
            after = told(drawn(parts, THIRD, seed))
            moved = [
                after.get(data, 0) - before.get(data, 0) for data in before.keys() | after.keys()
            ]
            assert min(moved) >= 0
            assert sum(moved) in {0, 1}


def test_everybody_is_as_likely_as_anybody_else() -> None:
    parts = company([1] * 200 + [3_000_000])
    rounds = [drawn(parts, THIRD, Digest.of(b"%d" % number)) for number in range(20)]
    alone = [sum(part.units for part in found[:-1]) for found in rounds]
    assert 0.28 < sum(alone) / (20 * 200) < 0.39
    assert all(abs(found[-1].units / 3_000_000 - 1 / 3) < 0.002 for found in rounds)


def test_who_draws_everybody_draws_nobody_out() -> None:
    parts = company([5, 0, 2])
    assert drawn(parts, Fraction(1), Digest.of(b"seed")) is parts
