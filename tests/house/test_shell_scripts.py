"""The shell scripts of deploy/, the set-up and CI: sound, and they refuse before they change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
DEPLOY = HOUSE / "deploy"
SCRIPTS = sorted([*DEPLOY.rglob("*.sh"), HOUSE / "setup.sh", *(HOUSE / ".ci").iterdir()])
NOBODY = 65534
ROOT = os.geteuid() == 0


def name_of(script: Path) -> str:
    return script.relative_to(HOUSE).as_posix()


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_a_script_stops_at_its_first_failure(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert "\nset -eu" in text
    shell = text.splitlines()[0].split("/")[-1].split()[-1]
    assert shell in {"sh", "bash"}
    subprocess.run([shell, "-n", script], check=True)
    assert os.access(script, os.X_OK) or script.name == "setup.sh"


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_shellcheck_finds_nothing(script: Path) -> None:
    beside = str(Path(sys.executable).parent)  # where the extra `dev` puts it
    if (shellcheck := shutil.which("shellcheck", path=f"{beside}:{os.environ['PATH']}")) is None:
        pytest.skip("no shellcheck here: it comes with the extra `dev`")
    subprocess.run([shellcheck, script], check=True)


@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
def test_an_ordinary_user_is_told_what_to_type(name: str) -> None:
    ended = subprocess.run(
        ["sh", "-s"],
        input=(DEPLOY / name).read_text(encoding="utf-8"),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        user=NOBODY if ROOT else None,
    )
    assert ended.returncode == 1
    assert f"sudo ./{name}" in ended.stderr


@pytest.mark.skipif(not ROOT, reason="only root comes as far as the checksums")
@pytest.mark.parametrize("fault", ["altered", "missing", "no sums"])
def test_a_damaged_package_installs_nothing(tmp_path: Path, fault: str) -> None:
    shutil.copy(DEPLOY / "install.sh", tmp_path)
    part, sums = tmp_path / "cadastre-worker.service", tmp_path / "SHA256SUMS"
    part.write_text("[Unit]\n")
    with sums.open("wb") as output:
        subprocess.run(["sha256sum", part.name], cwd=tmp_path, stdout=output, check=True)
    if fault == "altered":
        part.write_text("[Unit]\n\n")
    elif fault == "missing":
        part.unlink()
    else:
        sums.unlink()
    before = Path("/opt/cadastre").exists()
    ended = subprocess.run(
        ["sh", tmp_path / "install.sh"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "copy it again" in ended.stderr
    assert Path("/opt/cadastre").exists() == before


def test_an_unknown_option_removes_nothing() -> None:
    if not ROOT:
        pytest.skip("only root comes as far as the options")
    ended = subprocess.run(
        ["sh", DEPLOY / "uninstall.sh", "--pruge"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "--purge" in ended.stderr


def test_everything_is_checked_before_anything_is_changed() -> None:
    """In install.sh no `stop` stands after the first command that changes this computer."""
    lines = (DEPLOY / "install.sh").read_text(encoding="utf-8").splitlines()
    refusals = [n for n, line in enumerate(lines) if "stop " in line and "stop()" not in line]
    changes = [
        n for n, line in enumerate(lines) if line.startswith(("id ", "install -d", "ln -sf"))
    ]
    assert max(n for n in refusals if "systemctl" not in lines[n]) < min(changes)
