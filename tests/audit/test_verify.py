"""`cadastre audit` as people use it: a folder, an address, a policy file, the guide's own words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cadastre
from audit.download import download
from audit.errors import AuditFailure, DownloadFailed, PolicyMalformed
from audit.evidence import EvidenceFolder
from audit.policy import HEADER, AuditPolicy
from audit.replay import audit
from audit.speed import entries_per_second, synthetic
from tests.audit.evidence_builder import EvidenceBuilder, FilesEvidence, write
from tests.audit.judging import served
from trust.entropy import seeded
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey

GUIDE = Path(cadastre.__file__).parent / "docs" / "auditors.md"


@pytest.fixture(scope="module")
def territory() -> EvidenceBuilder:
    return EvidenceBuilder()


@pytest.fixture
def site(territory: EvidenceBuilder, tmp_path: Path) -> Iterator[str]:
    """The public part, as a scheduler's site lays it out: roots below root/."""
    folder = tmp_path / "site"
    files = EvidenceBuilder(restricted=False).files()
    moved = {path.replace("policy/root-", "root/"): data for path, data in files.items()}
    with served(write(moved, folder)) as url:
        yield url


def policy_file(folder: Path, *lines: str) -> Path:
    path = folder / "audit-policy.txt"
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return path


def run(*words: str | Path) -> int:
    return cadastre.main([str(word) for word in words])


def test_a_folder_under_a_policy(
    territory: EvidenceBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(territory.files(), tmp_path / "evidence")
    policy = policy_file(tmp_path, f"root {territory.pin}", "# from paper")
    assert run("audit", "verify", folder, "--policy", policy) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("OK    evidence.layout")
    assert said[-1].startswith("audit: ok, 59 checks, 16 entries, under the pinned root")
    assert sum(line.startswith("not checked: ") for line in said) == 5
    wrong = policy_file(tmp_path, "root sha256:" + "0" * 64)
    assert run("audit", "verify", folder, "--policy", wrong) == 3
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "audit: FAILED at root.pin"
    assert said[-2].startswith("remedy: compare the pin with the cooperative's paper copy")


def test_without_a_policy_it_says_not_pinned(
    territory: EvidenceBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(territory.files(), tmp_path / "evidence")
    assert run("audit", "verify", folder) == 0
    said = capsys.readouterr().out
    assert f"{territory.pin}, not pinned" in said
    assert said.rstrip().endswith("not pinned")


def test_json_is_one_document(
    territory: EvidenceBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(territory.files(), tmp_path / "evidence")
    (folder / "objects" / "index").write_bytes(b"x")
    assert run("audit", "verify", folder, "--json") == 3
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["ok"], verdict["failed"]) == (False, ["objects.digests"])
    assert verdict["remedies"] == [AuditFailure.advice]
    assert verdict["root"] == territory.pin


def test_no_evidence_there_is_not_found(tmp_path: Path) -> None:
    assert run("audit", "verify", tmp_path / "nothing") == 4


def test_a_pinned_log_and_witness_must_have_signed(territory: EvidenceBuilder) -> None:
    keys = territory.keys
    log = LogKey("log.territory.example", keys.log.public)
    witness = CosignerKey("witness.example", keys.witness.public)
    evidence = FilesEvidence(territory.files())
    assert audit(evidence, AuditPolicy(territory.pin, log, (witness,))).ok
    for wrong in (
        AuditPolicy(territory.pin, LogKey(log.name, keys.author.public)),
        AuditPolicy(territory.pin, None, (CosignerKey("other.example", keys.author.public),)),
    ):
        assert audit(evidence, wrong).journal.failed == ("log.policy",)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"root sha256:00\n",
        f"{HEADER}\n".encode(),
        f"{HEADER}\nroot sha256:zz\n".encode(),
        f"{HEADER}\nroot sha256:{'0' * 64}\nroot sha256:{'0' * 64}\n".encode(),
        f"{HEADER}\nroot sha256:{'0' * 64}\ntrust everybody\n".encode(),
        f"{HEADER}\nroot sha256:{'0' * 64}\nlog x\n".encode(),
        b"\xff",
        b"x" * 70_000,
    ],
)
def test_a_policy_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(PolicyMalformed):
        AuditPolicy.parse(text)


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_policy_reader(raw: bytes) -> None:
    with pytest.raises(PolicyMalformed):
        AuditPolicy.parse(raw)
    with pytest.raises(PolicyMalformed):
        AuditPolicy.parse(HEADER.encode() + b"\nroot " + raw)


@given(st.dictionaries(st.sampled_from(sorted(EvidenceBuilder().files())), st.binary(max_size=99)))
def test_arbitrary_files_give_a_verdict_and_never_a_traceback(changed: dict[str, bytes]) -> None:
    verdict = audit(FilesEvidence({**_GOOD, **changed}))
    assert verdict.ok == (not changed) or verdict.journal.failed


_GOOD = EvidenceBuilder().files()


def test_a_site_is_fetched_and_audited(
    territory: EvidenceBuilder, site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = policy_file(tmp_path, f"root {territory.pin}")
    assert run("audit", "verify", site, "--policy", policy) == 0
    assert "without the restricted part" in capsys.readouterr().out


def test_a_grown_log_is_fetched_over_the_old_copy_and_shown_to_continue_it(
    territory: EvidenceBuilder, tmp_path: Path
) -> None:
    grown = EvidenceBuilder(restricted=False)
    files = grown.files()
    young = EvidenceBuilder(restricted=False)
    del young.entries[9:]  # as it was after the plan
    young.roots.pop()
    copy = tmp_path / "copy"
    for current in (young.files(), files):
        with served(write(current, tmp_path / f"site{len(current)}")) as url:
            download(url, copy)
    verdict = audit(EvidenceFolder(copy), AuditPolicy(territory.pin))
    (history,) = [line for line in verdict.journal.lines if line.check == "log.history"]
    assert history.ok
    assert "1 earlier checkpoint" in history.found
    assert verdict.ok, verdict.journal.failed


def test_a_site_that_withholds_an_object_is_found(site: str, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    victim = next(path for path in sorted((folder / "objects" / "sha256").glob("*/*")))
    victim.unlink()
    fetched = download(site, tmp_path / "copy")
    assert fetched.missing
    assert not audit(EvidenceFolder(tmp_path / "copy")).ok


def test_no_site_there_says_so(tmp_path: Path) -> None:
    with served(tmp_path) as url, pytest.raises(DownloadFailed, match="no territory root"):
        download(url, tmp_path / "copy")
    with pytest.raises(DownloadFailed, match="does not answer"):
        download(url, tmp_path / "copy")
    with pytest.raises(DownloadFailed, match="not an http"):
        download("ftp://x", tmp_path / "copy")


def test_the_guide_for_auditors_works_as_written(
    territory: EvidenceBuilder, site: str, tmp_path: Path
) -> None:
    shim = tmp_path / "bin" / "cadastre"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} {cadastre.__file__} "$@"\n')
    shim.chmod(0o755)
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) == 5
    work = tmp_path / "work"
    work.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "SITE": site,
        "ROOT": str(territory.pin),
        "STALE": "87600",  # hours: this territory's witnesses signed once, long ago
    }
    for block in blocks:
        done = subprocess.run(
            ["sh", "-euc", block], cwd=work, env=environment, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    assert json.loads((work / "verdict.json").read_text())["ok"]
    assert {path.name for path in work.iterdir()} == {
        "audit-policy.txt", "evidence", "altered", "verdict.json", "monitor.json",
        "monitor.json.lock", "head.txt",
    }  # fmt: skip


def test_every_check_is_in_the_guide(territory: EvidenceBuilder) -> None:
    text = GUIDE.read_text()
    for line in audit(FilesEvidence(territory.files())).journal.lines:
        assert f"`{line.check}`" in text


def test_a_log_of_full_tiles_and_its_speed() -> None:
    evidence = synthetic(700, seeded(b"speed"), datetime(2026, 11, 1, tzinfo=UTC))
    assert {"log/tile/0/000", "log/tile/0/001", "log/tile/1/000.p/2"} <= evidence.files()
    assert entries_per_second(evidence) > 100
