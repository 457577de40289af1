"""Keyholder and trustees by the commands that people type; the servers as real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import cadastre
from tests.governance import territory
from trust import dsse, root, schema
from trust.documents.custody import TrusteeKey
from trust.documents.root import Duty
from trust.entropy import seeded
from trust.ids import CampaignId, Digest

TRUSTEES = range(1, 6)
CAMPAIGN = CampaignId.draw(seeded(b"custody commands"))
COMMAND = [sys.executable, cadastre.__file__]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(cadastre.__file__).parent)}


def pubs(folder: Path, numbers: range = TRUSTEES) -> list[str]:
    return [str(folder / f"T{number}" / "trustee.key.pub") for number in numbers]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of a helper, a keyholder and five trustees, and a root that names them."""
    made = tmp_path_factory.mktemp("custody")
    territory.set_up(made)
    (made / "root.json").rename(made / "young.json")
    assert territory.run("helper", "init", "--state", made / "H") == 0
    assert territory.run("keyholder", "init", "--state", made / "K") == 0
    for number in TRUSTEES:
        assert territory.run("trustee", "init", "--state", made / f"T{number}") == 0
    assert drafted(made, "root.json", *complete(made)) == 0
    for name in "ab":
        assert territory.run("root", "sign", made / "root.json", "--key", made / name) == 0
    return made


def complete(folder: Path) -> list[str]:
    return [
        "--helper-key", str(folder / "H" / "helper.key.pub"),
        "--keyholder-key", str(folder / "K" / "keyholder.key.pub"),
        "--trustee-key", *pubs(folder), "--trustee-threshold", "3",
    ]  # fmt: skip


def drafted(folder: Path, out: str, *more: str) -> int:
    return territory.draft(folder, out, *more)


def test_a_root_names_the_keyholder_and_three_of_five_trustees(folder: Path) -> None:
    raw = (folder / "root.json").read_bytes()
    trusted = root.trust_pinned(raw, Digest.of(raw))
    assert len(trusted.keys(Duty.KEYHOLDER).keys) == 1
    assert (trusted.keys(Duty.TRUSTEE).threshold, len(trusted.keys(Duty.TRUSTEE).keys)) == (3, 5)


@pytest.mark.parametrize(
    ("without", "instead"),
    [
        ("--keyholder-key", []),
        ("--trustee-key", []),
        ("--trustee-threshold", []),
        ("--helper-key", []),
        ("--trustee-threshold", ["--trustee-threshold", "1"]),
        ("--trustee-threshold", ["--trustee-threshold", "6"]),
    ],
)
def test_half_a_custody_is_not_drafted(
    folder: Path, capsys: pytest.CaptureFixture[str], without: str, instead: list[str]
) -> None:
    words = complete(folder)
    start = words.index(without)
    end = next((n for n in range(start + 1, len(words)) if words[n].startswith("--")), len(words))
    assert drafted(folder, "half.json", *words[:start], *words[end:], *instead) == 1
    assert "[ceremony-refused]" in capsys.readouterr().err
    assert not (folder / "half.json").exists()


def test_the_keyholder_is_no_trustee_of_its_own_keys(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("/T5/trustee.key", "/K/keyholder.key") for word in complete(folder)]
    assert drafted(folder, "double.json", *words) == 1
    assert "keyholder and for trustee" in capsys.readouterr().err


@pytest.mark.parametrize("noun", ["keyholder", "trustee"])
def test_every_verb_has_help_with_an_example(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    verbs = {
        "keyholder": ("init", "ceremony", "serve", "retire", "status"),
        "trustee": ("init", "certify", "contribute", "status"),
    }
    for verb in verbs[noun]:
        with pytest.raises(SystemExit) as stopped:
            territory.run(noun, verb, "--help")
        assert stopped.value.code == 0
        assert f"cadastre {noun} {verb}" in capsys.readouterr().out


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own, which the cooperative's programs harden."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )


@pytest.mark.processes
def test_keyholder_and_trustees_as_processes(folder: Path) -> None:
    pytest.importorskip("tenseal", reason="no tenseal: pip install cadastre[encrypted]")
    anchor = ["--root", folder / "root.json"]
    nowhere = ["--site", "http://127.0.0.1:9"]
    certificates = []
    for number in TRUSTEES:
        out = folder / f"{number}.trustee"
        done = command(
            "trustee", "certify", "--state", folder / f"T{number}", *anchor, "--out", out
        )
        assert done.returncode == 0, done.stderr
        envelope = dsse.Envelope.parse(out.read_bytes())
        assert schema.decode(TrusteeKey, envelope.payload).territory == territory.NAME
        certificates.append(out)
    before = command("keyholder", "status", "--state", folder / "K")
    assert before.returncode != 0
    server = subprocess.Popen(
        [*COMMAND, "keyholder", "serve", "--state", str(folder / "K"), "--listen", "127.0.0.1:0",
         *map(str, (*anchor, *nowhere))],
        stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    assert server.stderr is not None
    try:
        said = server.stderr.readline()
        match = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert match, said + server.stderr.read()
        url = match[0]
        with urllib.request.urlopen(url + "/healthz", timeout=10) as answer:
            assert answer.read() == b"ok\n"
        asked = command(
            "trustee", "contribute", "--state", folder / "T1", *anchor, *nowhere,
            "--keyholder", url,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        assert "no opening waits" in asked.stdout
        # Beside the serving process, on the same state.
        custody = ["--state", folder / "K", *anchor, *nowhere]
        held = command("keyholder", "ceremony", CAMPAIGN, *custody, "--trustee", *certificates)
        assert held.returncode == 1
        assert "[epoch-unknown]" in held.stderr
        retired = command("keyholder", "retire", CAMPAIGN, *custody)
        assert "[epoch-unknown]" in retired.stderr
        told = command("keyholder", "status", "--state", folder / "K", "--json")
        assert json.loads(told.stdout)["waiting for their ceremony"] == []
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
        server.stderr.close()
    after = command(
        "trustee", "contribute", "--state", folder / "T1", *anchor, *nowhere, "--keyholder", url
    )
    assert after.returncode == 75
    assert "[keyholder-unreachable]" in after.stderr
    assert command("trustee", "status", "--state", folder / "T1").returncode == 0


def test_a_stranger_is_certified_by_nobody(folder: Path, tmp_path: Path) -> None:
    assert territory.run("trustee", "init", "--state", tmp_path / "T9") == 0
    done = command(
        "trustee", "certify", "--state", tmp_path / "T9", "--root", folder / "root.json",
        "--out", tmp_path / "nine.trustee",
    )  # fmt: skip
    assert done.returncode == 1
    assert "[trustee-state-refused]" in done.stderr
    assert not (tmp_path / "nine.trustee").exists()
