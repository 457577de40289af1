"""What the scheduler exports of a `shared` campaign is what the audit accepts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audit.evidence import EvidenceFolder
from audit.replay import Verdict, audit
from scheduler.service import outbox
from scheduler.store.tables import RoundRow
from tests.scheduler.helping import publish_status
from tests.scheduler.test_evidence import export
from tests.scheduler.test_shared import Scene
from trust.certificates import Role
from trust.documents.governance import Suspended
from trust.log.entry import Kind


@pytest.fixture
def scene(world, tmp_path: Path) -> Scene:
    return Scene(world, tmp_path)


async def founded(scene: Scene) -> None:
    """A territory whose log begins with its root."""
    root = scene.world.root_envelope
    await scene.world.desk.run(
        "log-root", lambda tx: outbox.publish_raw(tx, scene.world.desk, Kind.ROOT, root)
    )
    await scene.found()


async def released(scene: Scene, campaign: str) -> None:
    await scene.settle()
    (order,) = (await scene.judge.exchange()).orders
    await scene.judge.exchange([scene.judge.report(order)])
    await scene.settle()
    assert (await scene.world.view(campaign)).row.state == "released"


def audited(scene: Scene, folder: Path, role: Role = Role.AUDITOR) -> Verdict:
    asyncio.run(export(scene.world, folder, role))
    return audit(EvidenceFolder(folder))


def found(verdict: Verdict, check: str) -> str:
    (line,) = [line for line in verdict.journal.lines if line.check == check]
    return line.found


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR])
def test_a_shared_campaign_passes_the_audit(scene: Scene, tmp_path: Path, role: Role) -> None:
    async def story() -> None:
        await founded(scene)
        await released(scene, await scene.reported())

    asyncio.run(story())
    verdict = audited(scene, tmp_path / "evidence", role)
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert found(verdict, "share.sum") == "1 aggregates are the sum of their two shares"
    assert found(verdict, "batch.withheld") == "of 3 reports neither share nor seed is here"
    assert found(verdict, "helper.destroyed") == "1 of 1 helper keys destroyed"


def test_a_report_that_the_helper_left_out_is_explained(scene: Scene, tmp_path: Path) -> None:
    """Its worker was told "accepted" before the consent was withdrawn."""

    async def story() -> str:
        await founded(scene)
        scene.hosts.append(await scene.world.worker("dep", capsules=7))
        await scene.hosts[3].exchange()
        publish_status(scene.world, scene.hosts, 2)
        campaign = await scene.reported()
        scene.hosts[3].capsules.pop()
        publish_status(scene.world, scene.hosts, 3)
        await released(scene, campaign)
        return campaign

    campaign = asyncio.run(story())
    folder = tmp_path / "evidence"
    verdict = audited(scene, folder)
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert found(verdict, "order.dropped") == "1 accept lists of the helper, 1 reports left out"
    name = scene.row(RoundRow, (campaign, 1)).accepted.removeprefix("sha256:")
    (folder / "restricted" / "objects" / "sha256" / name[:2] / name).unlink()
    assert audit(EvidenceFolder(folder)).journal.failed == ("order.receipts",)


def test_a_campaign_that_the_helper_refused_passes(scene: Scene, tmp_path: Path) -> None:
    async def story() -> None:
        await founded(scene)
        campaign = await scene.reported()
        suspended = Suspended((await scene.world.view(campaign)).row.authorisation, "harmful")
        publish_status(scene.world, scene.hosts, 2, suspensions=(suspended,))
        await scene.settle()
        assert (await scene.world.view(campaign)).row.reason == "authorisation-suspended"

    asyncio.run(story())
    verdict = audited(scene, tmp_path / "evidence")
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert found(verdict, "helper.refusals") == "1 refusals respected"
