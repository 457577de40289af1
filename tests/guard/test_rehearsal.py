"""Whole rounds in the real sandbox: honest bundles, and ones that try to take more."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from zygotes import Zygotes

from capsule_runtime import mock
from capsule_runtime.broker.program import Program, read_program
from capsule_runtime.portions import TablesRefused
from capsule_runtime.rehearsal import Rehearsal, rehearse
from capsule_runtime.sandbox import Zygote
from jobs import archive, description, opening, parameters
from jobs.libraries import LIBRARIES
from protection.ckks.errors import TensealMissing
from trust.entropy import seeded

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def zygotes() -> Iterator[Zygotes]:
    with Zygotes() as warm:
        yield warm


@pytest.fixture(scope="module")
def zygote(zygotes: Zygotes) -> Zygote:
    return zygotes.holding("numpy")


def program_of(name: str, contribute: str | None = None) -> Program:
    folder = opening.built_in_folder(name)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    if contribute is not None:
        hostile = f"\n\ndef contribute(capsule, parameters):\n    {contribute}\n"
        files["algorithm.py"] += hostile.encode()
    return read_program(archive.pack(files), LIBRARIES)


def rehearsed(zygote: Zygote, program: Program, capsules: int = 40) -> Rehearsal:
    manifest = program.bundle_file.manifest
    bounds = manifest.bounds()
    chosen = parameters.from_texts(description.defaults(manifest), bounds)
    blob = parameters.encode(chosen, bounds)
    return rehearse(zygote, program, blob, mock.invented(manifest, capsules, 3), seeded(b"n"))


def capsules_of(name: str) -> int:
    """How many mock capsules show that a bundle runs: few where each takes long."""
    return 4 if name == "commute_flows_territory" else 40


# Bundles of several rounds run in tests/learning; a model has more numbers than one ciphertext.
LEARNING = [
    name
    for name in opening.built_in()
    if "[state." in (opening.built_in_folder(name) / "bundle.toml").read_text()
]


@pytest.mark.parametrize("name", sorted({*opening.built_in()} - {*LEARNING}))
def test_every_built_in_bundle_of_one_round_runs(zygotes: Zygotes, name: str) -> None:
    capsules = capsules_of(name)
    program = program_of(name)
    found = rehearsed(zygotes.of(program), program, capsules)
    assert found.well, found.complaints
    assert found.facts["capsules"] == capsules
    assert found.facts["memory MiB, peak"] > 5


def protected(name: str, protection: str) -> Program:
    """A built-in bundle with one word of its manifest changed."""
    folder = opening.built_in_folder(name)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    word = f'protection = "{protection}"'.encode()
    files["bundle.toml"] = re.sub(rb'protection = "[a-z]+"', word, files["bundle.toml"])
    return read_program(archive.pack(files), LIBRARIES)


@pytest.mark.parametrize("protection", ["clear", "shared", "encrypted"])
# A product of totals is `encrypted` or nothing; a model has more numbers than one ciphertext.
@pytest.mark.parametrize("name", sorted({*opening.built_in()} - {*LEARNING, "encrypted_footprint"}))
def test_every_built_in_bundle_runs_protected_by_one_word(
    zygotes: Zygotes, name: str, protection: str
) -> None:
    program = protected(name, protection)
    found = rehearsed(zygotes.of(program), program, capsules_of(name))
    assert found.well, found.complaints


def test_an_encrypted_rehearsal_needs_tenseal_and_says_so_first(
    zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(TensealMissing, match="TenSEAL is not installed here"):
        rehearsed(zygote, protected("example", "encrypted"))


def cells(found: Rehearsal, name: str) -> list[float]:
    assert found.report is not None
    values = json.loads(found.report)["arrays"][name]["cells"]
    return [0.0 if isinstance(value, str) else value for value in values]


@pytest.mark.parametrize(("protection", "draws"), [("clear", 1), ("shared", 2), ("encrypted", 1)])
def test_bands_tell_how_many_noises_are_inside(zygote: Zygote, protection: str, draws: int) -> None:
    found = rehearsed(zygote, protected("travel_statistics", protection))
    (lower,), (upper,) = cells(found, "persons_lower"), cells(found, "persons_upper")
    assert upper - lower == pytest.approx(2 * 1.959964 * (draws * 21 / 0.2) ** 0.5, rel=1e-3)
    assert abs((lower + upper) / 2 - 40) < 6 * (draws * 21 / 0.2) ** 0.5


def test_a_bundle_that_fills_every_cell_gets_nothing_out(zygote: Zygote) -> None:
    program = program_of("commute_flows", 'return {"flows": np.full(SHAPE, 1000)}')
    found = rehearsed(zygote, program)
    assert found.verdicts == {"clipped": 40}
    assert max(cells(found, "flows")) < 25  # noise alone: nothing of 40 x 1000 x 486
    assert "clip bound" in found.complaints[-1]


def test_one_person_cannot_speak_for_a_company(zygote: Zygote) -> None:
    # It answers with 10,000 in one cell for each record; a record's persons weigh one each.
    body = 'flows = np.zeros(SHAPE, np.int64); flows[0, 0, 0] = 10_000; return {"flows": flows}'
    program = program_of("commute_flows_territory", body)
    found = rehearsed(zygote, program, 4)
    persons = found.facts["contributors"]
    assert abs(cells(found, "flows")[0] - persons) < 25


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('raise ValueError("no such luck")', "no such luck"),
        ("return {'flows': np.zeros(3)}", "output refused"),
        ("import socket; socket.socket()", "contribute ended with"),
        ("import time; x = 'x' * (1 << 34)", "contribute ended with"),
    ],
)
def test_failures_are_neutral_and_told_to_the_author_only(
    zygote: Zygote, body: str, status: str
) -> None:
    found = rehearsed(zygote, program_of("commute_flows", body), 25)
    assert found.verdicts == {"no-frame": 25}
    assert found.report is not None
    assert not found.well
    assert status in found.complaints[0]


def test_nan_is_neutral(zygote: Zygote) -> None:
    found = rehearsed(
        zygote, program_of("travel_statistics", "return {'moments': np.full(21, np.nan)}")
    )
    assert found.verdicts == {"not-finite": 40}


def test_a_small_cohort_releases_nothing(zygote: Zygote) -> None:
    found = rehearsed(zygote, program_of("example"), 19)
    assert found.report is None
    assert "19 contributors" in found.complaints[0]


def test_the_authors_csv(tmp_path: Path, zygote: Zygote) -> None:
    program = program_of("example")
    manifest = program.bundle_file.manifest
    lines = ["capsule,mode,distance", *(f"p{i},2,9.5" for i in range(30)), "p0,1,20.0"]
    (tmp_path / "trips.csv").write_text("\n".join(lines) + "\n")
    capsules = mock.from_csv(tmp_path, manifest)
    assert len(capsules) == 30
    assert capsules[0]["trips"]["mode"].tolist() == [2, 1]
    assert capsules[0]["trips"]["distance"].dtype == np.float64
    blob = parameters.encode({"shortest": "5"}, manifest.bounds())
    found = rehearse(zygote, program, blob, capsules, seeded(b"n"))
    assert abs(cells(found, "modes")[1] - 29) < 15


@pytest.mark.parametrize("text", ["", "mode\n1\n", "mode,distance\nfoot,1\n", "mode,distance\n1\n"])
def test_a_bad_csv_is_refused_by_name(tmp_path: Path, text: str) -> None:
    manifest = program_of("example").bundle_file.manifest
    (tmp_path / "trips.csv").write_text(text)
    with pytest.raises(TablesRefused, match=r"trips\.csv"):
        mock.from_csv(tmp_path, manifest)


def test_a_csv_column_has_one_type_for_all_capsules_and_errors_name_the_row(tmp_path: Path) -> None:
    manifest = program_of("example").bundle_file.manifest
    (tmp_path / "trips.csv").write_text("mode,distance\n1,2\n1,2.5\n")
    capsules = mock.from_csv(tmp_path, manifest)
    assert {capsule["trips"]["distance"].dtype for capsule in capsules} == {np.dtype(np.float64)}
    (tmp_path / "trips.csv").write_text("mode,distance\n1,2\n1,far\n")
    with pytest.raises(TablesRefused, match="row 3, column distance"):
        mock.from_csv(tmp_path, manifest)
