"""The archive of a campaign: the same bytes twice, and enough for the real audit, offline."""

from __future__ import annotations

import asyncio
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from threading import BoundedSemaphore

import pytest

import cadastre
from audit.archive import EvidenceArchive
from audit.errors import AuditFailure, EvidenceMissing
from audit.replay import audit
from durable import ustar
from scheduler.errors import ArchiveBusy, ArchiveTooLarge
from scheduler.views import archive
from scheduler.web.auditors import evidence_pages as pages
from scheduler.web.auditors.evidence_pages import AT_ONCE
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_reading import ask
from trust.ids import Digest


def downloaded(grid: Grid, campaign: str) -> bytes:
    answer = grid.enter().get(f"/log/campaigns/{campaign}/evidence.tar")
    assert answer.status == 200, answer.text
    assert answer.header("content-length") == str(len(answer.body))
    assert answer.header("content-disposition").startswith('attachment; filename="evidence-camp_')
    return answer.body


def test_the_real_command_audits_the_downloaded_file(
    grid: Grid, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "audit-policy.txt"
    pin = Digest.of(grid.world.root_envelope)
    policy.write_text(f"cadastre-audit-policy-v1\nroot {pin}\n")
    for campaign in (grid.released, grid.moving):
        data = downloaded(grid, campaign)
        told = ask(grid.enter(), f"/api/v1/log-evidence/{campaign[5:15]}")
        assert told["sha256"] == hashlib.sha256(data).hexdigest()
        assert told["bytes"] == len(data)
        page = grid.enter().get(f"/log/campaigns/{campaign}/evidence").text
        assert told["sha256"] in page
        assert told["name"] in page
        path = tmp_path / told["name"]
        path.write_bytes(data)
        assert cadastre.main(["audit", "verify", str(path), "--policy", str(policy)]) == 0
        out = capsys.readouterr().out
        assert "FAIL" not in out
        assert f"{told['entries']} entries" in out
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", str(path), "-C", str(unpacked)], check=True)
    assert cadastre.main(["audit", "verify", str(unpacked), "--policy", str(policy)]) == 0
    path.write_bytes(data.replace(b"cadastre/v1 plan", b"cadastre/v1 root", 1))
    assert cadastre.main(["audit", "verify", str(path), "--policy", str(policy)]) == 3


def test_it_is_the_same_twice_and_holds_nothing_private(grid: Grid) -> None:
    data = downloaded(grid, grid.released)
    assert downloaded(grid, grid.released) == data
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        assert [one.name for one in members] == sorted(one.name for one in members)
        assert {(one.mtime, one.uid, one.gid, one.uname) for one in members} == {(0, 0, 0, "")}
        files = {one.name: tar.extractfile(one).read() for one in members}  # type: ignore[union-attr]
    assert not any(name.startswith("restricted/") for name in files)
    assert all(b'"capsules":[' not in one for one in files.values())
    for name, one in files.items():
        if name.startswith("objects/"):
            assert grid.world.desk.blobs.get(Digest(f"sha256:{name.rpartition('/')[2]}")) == one


def test_an_ended_campaign_keeps_its_archive_while_the_log_grows(grid: Grid) -> None:
    data = downloaded(grid, grid.released)
    asyncio.run(grid.world.worker("later"))
    asyncio.run(grid.world.turn())
    assert downloaded(grid, grid.released) == data


def test_a_campaigns_entries_lead_to_its_evidence(grid: Grid) -> None:
    page = grid.enter().get(f"/log?campaign={grid.released}").text
    assert f'href="/log/campaigns/{grid.released}/evidence"' in page
    assert "/evidence" not in grid.enter().get("/log").text


def test_bounds_and_names(grid: Grid) -> None:
    desk = grid.world.desk
    with pytest.raises(ArchiveTooLarge):
        archive.plan(desk, grid.released, largest=10_000)
    browser = grid.enter()
    for name in ("camp_zzzzzzzzzz", "x", "%2e%2e", "'--", "camp_"):
        assert browser.get(f"/log/campaigns/{name}/evidence").status == 404
        assert browser.get(f"/log/campaigns/{name}/evidence.tar").status == 404


def test_no_more_than_a_few_are_read_at_once(grid: Grid) -> None:
    found = archive.plan(grid.world.desk, grid.released)
    places = BoundedSemaphore(AT_ONCE)
    for _ in range(AT_ONCE):
        places.acquire()
    with pytest.raises(ArchiveBusy):
        next(pages._read(found, places))
    places.release()
    next(pages._read(found, places))


def test_who_reads_slowly_keeps_nobody_from_reading(grid: Grid) -> None:
    """Anybody may ask; whoever takes a part and then none holds no place meanwhile."""
    found = archive.plan(grid.world.desk, grid.released)
    places = BoundedSemaphore(AT_ONCE)
    slow = [pages._read(found, places) for _ in range(3 * AT_ONCE)]
    for one in slow:
        next(one)
    assert b"".join(pages._read(found, places)) == b"".join(found.stream())
    assert b"".join(slow[0]) != b""
    for _ in range(AT_ONCE):
        assert places.acquire(blocking=False)  # none was lost on the way


def tar_of(tmp_path: Path, *members: tuple[str, bytes, bytes]) -> Path:
    path = tmp_path / "made.tar"
    with tarfile.open(path, "w") as tar:
        for name, data, kind in members:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type, entry.linkname = len(data), kind, "x"
            tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE,
                                  tarfile.FIFOTYPE, tarfile.CHRTYPE])  # fmt: skip
def test_an_archive_of_anything_but_files_is_refused(tmp_path: Path, kind: bytes) -> None:
    made = EvidenceArchive(tar_of(tmp_path, ("log/checkpoint", b"", kind)))
    with pytest.raises(AuditFailure):
        made.files()
    assert not audit(made).ok


def test_a_name_twice_a_cut_and_no_archive_are_refused(tmp_path: Path) -> None:
    file = ("log/checkpoint", b"x" * 600, tarfile.REGTYPE)
    with pytest.raises(AuditFailure, match="twice"):
        EvidenceArchive(tar_of(tmp_path, file, file)).files()
    path = tar_of(tmp_path, file)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(AuditFailure):
        EvidenceArchive(path).files()
    path.write_bytes(b"no archive at all" * 100)
    with pytest.raises(AuditFailure, match="no tar"):
        EvidenceArchive(path).files()
    with pytest.raises(EvidenceMissing):
        EvidenceArchive(tmp_path / "none.tar").files()
    whole = EvidenceArchive(tar_of(tmp_path, file))
    assert whole.files() == {"log/checkpoint"}
    assert whole.read("log/checkpoint") == b"x" * 600
    with pytest.raises(LookupError):
        whole.read("../../etc/passwd")


def test_the_form_is_what_tar_reads(tmp_path: Path) -> None:
    files = {"a/b": b"", "c": b"x" * 511, "d": b"y" * 512, "e": b"z" * 513}
    whole = b"".join(
        ustar.header(name, len(data)) + data + ustar.padding(len(data))
        for name, data in files.items()
    )
    whole += ustar.END
    assert len(whole) == ustar.length([len(data) for data in files.values()])
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert {one.name: tar.extractfile(one).read() for one in tar} == files  # type: ignore[union-attr]
