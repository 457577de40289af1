"""`cadastre bundle from-flower`, as an author types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cadastre
from jobs import opening

pytestmark = pytest.mark.sandbox


def test_an_app_becomes_a_bundle_that_can_be_tried(
    apps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "line"
    words = ["bundle", "from-flower", str(apps / "line_numpy"), "--out", str(out), "--json"]
    assert cadastre.main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rounds"], told["numbers in an update"]) == (6, 3)
    bundle = opening.open_bundle(out)
    assert str(bundle.digest) == told["digest"]
    assert (
        bundle.files["line_numpy/task.py"]
        == (apps / "line_numpy" / "line_numpy" / "task.py").read_bytes()
    )
    assert bundle.manifest.needs.libraries == ("numpy", "flwr")
    assert cadastre.main(["bundle", "try", str(out), "--capsules", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["rounds"] == 6
    assert cadastre.main(words) != 0  # the folder is there now
    assert "not empty" in capsys.readouterr().err


def test_the_same_app_gives_the_same_bytes(apps: Path, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        words = ["bundle", "from-flower", str(apps / "line_numpy"), "-o", str(tmp_path / name)]
        assert cadastre.main([*words, "--data-class", "company", "--rho", "2"]) == 0
        digests.add(opening.open_bundle(tmp_path / name).digest)
    assert len(digests) == 1
