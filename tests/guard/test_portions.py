from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_runtime import portions as runs
from capsule_runtime.portions import TablesRefused, portions
from protection import columns
from trust.documents.rules import PrivacyUnit

NEEDS = {"commute": ("home", "mode", "persons")}


def company(home: list[int], mode: list[int], persons: list[int]) -> columns.Tables:
    return {
        "commute": {
            "home": np.array(home, np.int64),
            "mode": np.array(mode, np.int64),
            "persons": np.array(persons, np.int64),
            "secret": np.arange(len(home)),
        },
        "other": {"x": np.array([1])},
    }


def test_an_owner_is_one_run_with_the_needed_columns_only() -> None:
    (run,) = portions(company([1, 2], [1, 1], [1, 5]), NEEDS, PrivacyUnit.OWNER)
    tables = columns.decode(run.data)
    assert run.units == 1
    assert set(tables) == {"commute"}
    assert set(tables["commute"]) == {"home", "mode", "persons"}
    assert tables["commute"]["persons"].tolist() == [1, 5]


def test_each_distinct_record_is_a_run_of_its_own_with_one_person() -> None:
    tables = company([1, 2, 1, 3], [4, 4, 4, 1], [10, 5, 7, 0])
    found = portions(tables, NEEDS, PrivacyUnit.PERSON)
    records = [
        (int(t["home"][0]), int(t["mode"][0]), int(t["persons"][0]), run.units)
        for run in found
        for t in [columns.decode(run.data)["commute"]]
    ]
    assert records == [(1, 4, 1, 17), (2, 4, 1, 5)]
    assert all(len(columns.decode(run.data)["commute"]["home"]) == 1 for run in found)


rows = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(0, 50)), min_size=1, max_size=30
)


@given(rows)
def test_no_person_is_lost_and_none_counted_twice(table: list[tuple[int, int, int]]) -> None:
    home, mode, persons = (list(column) for column in zip(*table, strict=True))
    found = portions(company(home, mode, persons), NEEDS, PrivacyUnit.PERSON)
    assert sum(run.units for run in found) == sum(persons)
    assert len({run.data for run in found}) == len(found)


def test_one_more_person_adds_to_one_run_and_changes_no_other() -> None:
    before = portions(company([1, 2], [1, 1], [3, 4]), NEEDS, PrivacyUnit.PERSON)
    after = portions(company([1, 2, 2], [1, 1, 1], [3, 4, 1]), NEEDS, PrivacyUnit.PERSON)
    assert [run.data for run in before] == [run.data for run in after]
    assert [run.units for run in after] == [3, 5]


@pytest.mark.parametrize(
    ("tables", "needs"),
    [
        (company([1], [1], [-1]), NEEDS),
        (company([1], [1], [runs.MAXIMUM_PERSONS + 1]), NEEDS),
        (company([1], [1], [1]), {"commute": ("home", "age", "persons")}),
        (company([1], [1], [1]), {"housing": ("home", "persons")}),
        (company([1], [1], [1]), {"commute": ("home",)}),
        (company([1], [1], [1]), {**NEEDS, "other": ("x",)}),
        (
            {"commute": {"home": np.array([1]), "persons": np.array([1.0])}},
            {"commute": ("home", "persons")},
        ),
        (
            {"commute": {"home": np.array([1, 2]), "persons": np.array([1])}},
            {"commute": ("home", "persons")},
        ),
    ],
)
def test_tables_that_cannot_be_split_are_refused(
    tables: columns.Tables, needs: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(TablesRefused):
        portions(tables, needs, PrivacyUnit.PERSON)


def test_too_many_distinct_records_are_refused() -> None:
    count = runs.MAXIMUM_PORTIONS + 1
    tables = company(list(range(count)), [1] * count, [1] * count)
    with pytest.raises(TablesRefused):
        portions(tables, NEEDS, PrivacyUnit.PERSON)


def test_a_table_of_persons_alone_is_one_run() -> None:
    (run,) = portions({"t": {"persons": np.array([2, 3])}}, {"t": ("persons",)}, PrivacyUnit.PERSON)
    assert run.units == 5
    assert (
        portions({"t": {"persons": np.zeros(0, np.int64)}}, {"t": ("persons",)}, PrivacyUnit.PERSON)
        == ()
    )
