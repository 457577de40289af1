"""The heating survey's bundle: the built-in algorithm with other words, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capsule_runtime.capsules.mapping_file import read_mapping
from demo import comparison, dry_run, heating
from jobs import archive, opening
from trust.entropy import seeded


def households(count: int = 900) -> Any:
    generator = np.random.default_rng(4)
    share = generator.uniform(0, 1, (count, 5))
    share[:, 2] = 0.6 * share[:, 0] + 0.4 * share[:, 2]
    least, most = (
        np.array([getattr(q, end) for q in heating.QUANTITIES]) for end in ("least", "most")
    )
    return least + share * (most - least)


def test_only_names_ranges_and_words_differ(tmp_path: Path) -> None:
    heating.write_bundle(tmp_path / heating.NAME)
    ours = archive.pack_folder(tmp_path / heating.NAME).manifest
    theirs = archive.pack_folder(opening.built_in_folder(heating.TEMPLATE)).manifest
    assert ours.bundle.name == heating.NAME
    assert ours.rules() == theirs.rules()
    assert ours.needs.tables == {heating.TABLE: tuple(q.name for q in heating.QUANTITIES)}
    assert set(ours.report) == set(theirs.report)
    text = heating.bundle_files()
    template = (opening.built_in_folder(heating.TEMPLATE) / "algorithm.py").read_text()
    pairs = zip(text["algorithm.py"].splitlines(), template.splitlines(), strict=True)
    changed = [new for new, old in pairs if new != old]
    assert len(changed) == 5, changed
    for name in ("travel", "distance", "vehicles", "miles"):
        assert not re.search(rf"\b{name}\b", text["bundle.toml"]), name


def test_its_statistics_are_right_within_their_bands(tmp_path: Path) -> None:
    heating.write_bundle(tmp_path / heating.NAME)
    rows = households()
    reports = {"encrypted": dry_run.report_of(rows, 1, seeded(b"h"), tmp_path / heating.NAME)}
    table = comparison.rows_of(reports, dry_run.exact_of(rows, tmp_path / heating.NAME))
    held, total = comparison.covered(table, "encrypted")
    assert total >= 60
    assert held >= 0.85 * total
    labels = {row.label for row in table if row.statistic == "means"}
    assert "running, dollars a year" in labels


def test_its_mapping_makes_the_bundles_table(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(heating.MAPPING)
    mapping = read_mapping(tmp_path / "mapping.toml")
    assert mapping.one_per == "idcase"
    assert [table.name for table in mapping.tables] == [heating.TABLE]


def test_the_survey_is_cut_at_its_ranges(tmp_path: Path) -> None:
    lines = ["idcase,ic.gc,rooms,oc.gc,income,agehed", *["1,5000,4,10,7,25"] * heating.ROWS]
    (tmp_path / "heating.csv").write_text("\n".join(lines) + "\n")
    assert heating.clipped(tmp_path / "heating.csv")[0].tolist() == [1200, 4, 80, 7, 25]
    (tmp_path / "heating.csv").write_text("\n".join(lines[:5]) + "\n")
    with pytest.raises(RuntimeError, match="4 rows instead of 900"):
        heating.clipped(tmp_path / "heating.csv")
