"""Attacks on campaigns of several rounds: what each of them could do, and where it ends."""

from __future__ import annotations

import numpy as np

from capsule_runtime.portions import Portion, drawn
from trust.ids import Digest

# --- who is drawn: `rounds.records` ---


def company(persons: list[int]) -> tuple[Portion, ...]:
    return tuple(Portion(b"record %d" % number, count) for number, count in enumerate(persons))


def told(parts: tuple[Portion, ...]) -> dict[bytes, int]:
    return {part.data: part.units for part in parts}


def test_one_person_more_displaces_at_most_one_of_those_who_are_drawn() -> None:
    # The seed is no secret to whoever knows the plan and the capsule: if one person could change
    # the whole draw, the sum would move by far more than what noise and price were made for.
    for trial in range(40):
        seed = Digest.of(b"round %d" % trial)
        draw = np.random.default_rng(trial)
        persons = draw.integers(1, 4, size=30).tolist()
        before = told(drawn(company(persons), 10, seed))
        somebody = company(persons)
        joined = [
            (*somebody[:trial], Portion(b"somebody new", 1), *somebody[trial:]),
            company([count + (number == trial % 30) for number, count in enumerate(persons)]),
        ]
        for parts in joined:
            after = told(drawn(parts, 10, seed))
            moved = [
                after.get(data, 0) - before.get(data, 0) for data in before.keys() | after.keys()
            ]
            assert sum(count for count in moved if count > 0) <= 1
            assert sum(-count for count in moved if count < 0) <= 1


def test_a_record_that_many_share_has_no_more_than_the_drawn_persons() -> None:
    found = drawn(company([5_000, 1, 1]), 8, Digest.of(b"seed"))
    assert sum(part.units for part in found) == 8
