"""docs/authors.md, run as written: init -> try -> sign."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import archive, statement
from jobs.opening import signature_of

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "authors.md").read_text()


def environment(tmp_path: Path) -> dict[str, str]:
    command = tmp_path / "bin" / "cadastre"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "cadastre.py"} "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"}


@pytest.mark.sandbox
def test_the_guide_works_as_written(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-euc", "\n".join(blocks)],
        cwd=work,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("bits per release", "noise sigma", "epsilon at delta", "memory MiB", "bicycle"):
        assert words in done.stdout
    file = work / "my_bundle-0.1.0.cadastre"
    bundle = archive.read(file.read_bytes())
    assert bundle.manifest.bundle.name == "my_bundle"
    signed = statement.verify(bundle, Path(f"{file}.sig").read_bytes())
    assert signed.document.version == "0.1.0"
    assert signature_of(file, bundle) is not None
    assert (work / "author.key").stat().st_mode & 0o077 == 0


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "cadastre.py"), "bundle", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_commands_refuse_in_words_and_write_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "init", "Bad-Name").returncode == 1
    assert run(tmp_path, "init", "fine", "--like", "nothing").returncode == 4
    assert run(tmp_path, "init", "good").returncode == 0
    again = run(tmp_path, "init", "good")
    assert (again.returncode, "not empty" in again.stderr) == (1, True)
    assert run(tmp_path, "show", "absent.cadastre").returncode == 4
    unsigned = run(tmp_path, "sign", "good", "--key", "absent.key")
    assert (unsigned.returncode, "absent.key" in unsigned.stderr) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good"]


def test_show_as_json_and_an_altered_file(tmp_path: Path) -> None:
    run(tmp_path, "init", "good")
    signed = run(tmp_path, "sign", "good", "--key", "a.key", "--new-key", "--json")
    facts = json.loads(signed.stdout)
    shown = json.loads(run(tmp_path, "show", facts["bundle"], "--json").stdout)
    assert shown["digest"] == facts["digest"]
    assert shown["author"] == facts["author"]
    assert shown["releases"][0]["bits per release"] == 3.2
    (tmp_path / "good" / "README.md").write_text("another text\n")
    other = archive.pack_folder(tmp_path / "good")
    (tmp_path / facts["bundle"]).write_bytes(other.raw)
    altered = run(tmp_path, "show", facts["bundle"])
    assert altered.returncode == 3
    assert "bundle-unverified" in altered.stderr
