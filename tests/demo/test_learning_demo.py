"""The learning variant: what it quotes, what it reads of others, and how it ends without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from capsule_runtime.capsules.mapping_file import read_mapping
from demo import learning, learning_data
from jobs import archive, opening
from protection import accounting
from protos.cadastre.v1 import campaigns_pb2


def test_five_recorded_seeds_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(learning.recorded_losses()) == learning.RECORDED_SEEDS
    other = tmp_path / "record.json"
    other.write_text('{"mode_shift.federated": {"1": {"loss": 0.66}}}')
    monkeypatch.setattr(learning, "RECORD", other)
    with pytest.raises(ValueError, match="holds 1 seeds"):
        learning.recorded_losses()


def test_the_vote_pays_for_the_trial_and_the_campaign() -> None:
    manifest = archive.pack_folder(opening.built_in_folder(learning.NAME)).manifest
    voted = accounting.decimal(learning.RHO, "rho")
    assert voted == learning.CAMPAIGNS * accounting.rho_of(manifest.rules())


def test_a_campaign_starts_with_the_seed_that_the_export_is_checked_by() -> None:
    manifest = archive.pack_folder(opening.built_in_folder(learning.NAME)).manifest
    assert manifest.parameters["seed"].default == learning.FIRST_SEED
    assert {"moved"} == set(manifest.state)


def test_its_mapping_makes_the_bundles_table(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(learning_data.mapping(), encoding="utf-8")
    mapping = read_mapping(tmp_path / "mapping.toml")
    manifest = archive.pack_folder(opening.built_in_folder(learning.NAME)).manifest
    (table,) = mapping.tables
    needed = manifest.needs.tables[table.name]
    assert set(needed) <= {column.name for column in table.columns}


def test_a_round_is_told_with_its_bytes_and_its_own_epsilon() -> None:
    told = {"loss": 0.6131, "accuracy": 0.7119, "persons": 2411.4}
    entry = campaigns_pb2.RoundView(
        number=2, participants=3, bytes=3 * 4096, metrics=told, epsilon=2.776
    )
    # The next round was opened before anybody looked: its cost is not this one's.
    view = campaigns_pb2.CampaignView(rounds_voted=6, epsilon=3.5, rounds=[entry])
    assert learning.round_line(view, entry, 41.2) == (
        "round 2/6 at  41 s: loss 0.61, accuracy 0.71, ~2411 persons, 3 workers, 12 KiB, "
        "epsilon so far 2.78"
    )


@pytest.mark.parametrize("missing", learning.LIBRARIES)
def test_without_the_extra_the_demo_says_so_and_ends_with_75(tmp_path: Path, missing: str) -> None:
    home = Path(learning.__file__).parents[1]
    # As on a machine without the library: nothing finds it.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = "
        f"lambda name, *rest: None if name == {missing!r} else find(name, *rest)\n",
        encoding="utf-8",
    )
    ended = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=tmp_path,
        env=os.environ | {"LEARNING": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": f"{tmp_path}:{home}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == os.EX_TEMPFAIL, ended.stderr
    assert ended.stdout.count("\n") == 1
    assert missing in ended.stdout
    assert "cadastre[learning]" in ended.stdout
    assert not list((tmp_path / "demo-out" / "logs").iterdir())  # nothing was started
