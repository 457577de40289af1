"""An exclusion is a key event in the log, without its reason; the audit reads it."""

from __future__ import annotations

import asyncio

from audit.evidence import EvidenceFolder
from audit.replay import audit
from scheduler.service import exclusion
from tests.scheduler.test_evidence import export, released
from trust.certificates import Role


def test_a_ban_is_logged_once_and_without_its_reason(world, tmp_path):
    async def scenario():
        await released(world)
        worker = await world.worker("thief", capsules=4)
        for reason in ("stolen laptop of M. Durand", "again"):
            await exclusion.exclude(world.desk, worker.name, reason)
        await world.turn()
        await export(world, tmp_path / "evidence", Role.AUDITOR)

    asyncio.run(scenario())
    verdict = audit(EvidenceFolder(tmp_path / "evidence"))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    (line,) = [line for line in verdict.journal.lines if line.check == "log.entries"]
    assert "1 key-event" in line.found
    files = [path for path in (tmp_path / "evidence").rglob("*") if path.is_file()]
    assert not any(b"Durand" in path.read_bytes() for path in files)
