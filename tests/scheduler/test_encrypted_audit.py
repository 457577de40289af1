"""What the scheduler exports of an `encrypted` campaign is what the audit accepts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

for module in ("tenseal", "backports.zstd"):
    pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")

from custody import encrypt  # noqa: E402
from helping import publish_status  # noqa: E402
from test_encrypted import Scene, betray  # noqa: E402
from test_shared_audit import audited, found, founded, released  # noqa: E402

from audit.evidence import EvidenceFolder  # noqa: E402
from audit.replay import SINGLE_CIPHERTEXTS, WITH_KEYHOLDER, audit  # noqa: E402
from scheduler.service import outbox  # noqa: E402
from scheduler.store.tables import RoundRow  # noqa: E402
from trust.certificates import Role  # noqa: E402
from trust.documents.governance import Suspended  # noqa: E402
from trust.ids import Digest  # noqa: E402
from trust.log.entry import Kind  # noqa: E402


@pytest.fixture
def scene(world, tmp_path: Path) -> Scene:
    return Scene(world, tmp_path)


async def rooted(scene: Scene) -> None:
    """A log that begins with its territory's root; the scene founds the rest."""
    desk, root = scene.world.desk, scene.world.root_envelope
    await desk.run("log-root", lambda tx: outbox.publish_raw(tx, desk, Kind.ROOT, root))


def place_of(folder: Path, digest: str, part: str = "objects") -> Path:
    name = digest.removeprefix("sha256:")
    return folder / part / "sha256" / name[:2] / name


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR])
def test_an_encrypted_campaign_passes_the_audit(scene: Scene, tmp_path: Path, role: Role) -> None:
    async def story() -> None:
        await rooted(scene)
        campaign = await scene.awaited()
        scene.custody.contribute([0, 2, 4])
        await released(scene, campaign)

    asyncio.run(story())
    folder = tmp_path / "evidence"
    verdict = audited(scene, folder, role)
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    for check, said in (
        ("epoch.key", "1 key epochs, named by 1 plans"),
        ("epoch.trustees", "5 trustees' keys logged before the epochs"),
        ("batch.withheld", "of 3 reports neither share nor seed is here"),
        ("share.returned", "3 shares of trustees for 1 openings"),
        ("share.opened", "1 aggregates are what the keyholder opened"),
        ("helper.destroyed", "1 of 1 helper keys destroyed"),
        ("epoch.retired", "1 of 1 key epochs retired"),
    ):
        assert found(verdict, check) == said
    assert {WITH_KEYHOLDER, SINGLE_CIPHERTEXTS} <= set(verdict.journal.not_checked)
    if role is Role.AUDITOR:
        assert found(verdict, "order.dropped") == (
            "1 accept lists of the helper, 1 of the keyholder, 0 reports left out"
        )
    # Each document and blob behind the opening has to be there.
    kinds = (
        Kind.TRUSTEE_KEY, Kind.EPOCH_KEY, Kind.SHARE_REQUEST, Kind.TRUSTEE_SHARE, Kind.OPENED,
        Kind.EPOCH_RETIRED,
    )  # fmt: skip
    for kind in kinds:
        raw = scene.documents(kind)[0]
        path = place_of(folder, Digest.of(raw))
        path.write_bytes(raw[:-1] + b" ")
        assert audit(EvidenceFolder(folder)).journal.failed == ("objects.digests",)
        path.unlink()
        assert audit(EvidenceFolder(folder)).journal.failed == ("objects.present",)
        path.write_bytes(raw)
    assert audit(EvidenceFolder(folder)).ok


def test_a_report_that_the_keyholder_left_out_is_explained(scene: Scene, tmp_path: Path) -> None:
    """Its ciphertext was taken and acknowledged; it claims more contributors than consent."""

    async def story() -> str:
        await founded(scene)
        scene.hosts.append(await scene.world.worker("dep", capsules=7))
        scene.hosts[3].libraries = scene.hosts[0].libraries
        await scene.hosts[3].exchange()
        publish_status(scene.world, scene.hosts, 2)
        campaign = await scene.engaged()
        for worker in scene.hosts:
            (order,) = (await worker.exchange()).orders
            encrypt(worker, order)
            (receipt,) = (await worker.exchange([worker.report(order)])).acknowledgements
            assert receipt.accepted, receipt
        scene.hosts[3].capsules.pop()
        publish_status(scene.world, scene.hosts, 3)
        await scene.settle()
        scene.custody.contribute([1, 2, 3])
        await released(scene, campaign)
        return campaign

    campaign = asyncio.run(story())
    folder = tmp_path / "evidence"
    verdict = audited(scene, folder)
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert found(verdict, "order.dropped") == (
        "1 accept lists of the helper, 1 of the keyholder, 1 reports left out"
    )
    row = scene.row(RoundRow, (campaign, 1))
    for digest in {row.accepted, row.examined}:
        place_of(folder, digest, "restricted/objects").unlink()
    assert audit(EvidenceFolder(folder)).journal.failed == ("order.receipts",)


def test_a_campaign_that_the_keyholder_refused_passes(scene: Scene, tmp_path: Path) -> None:
    async def story() -> None:
        await rooted(scene)
        campaign = await scene.reported()
        suspended = Suspended((await scene.world.view(campaign)).row.authorisation, "harmful")
        publish_status(scene.world, scene.hosts, 2, suspensions=(suspended,))
        await scene.settle()
        assert await scene.standing(campaign) == ("failed", "authorisation-suspended")

    asyncio.run(story())
    verdict = audited(scene, tmp_path / "evidence")
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert found(verdict, "helper.refusals") == "1 refusals respected"


def test_a_batch_whose_decryption_was_refused_passes(scene: Scene, tmp_path: Path) -> None:
    """Its epoch is retired at once, in the middle of a round."""

    async def story() -> None:
        await rooted(scene)
        campaign = await scene.awaited(forge=betray)
        scene.custody.contribute([0, 1, 2])
        await scene.settle()
        assert await scene.standing(campaign) == ("failed", "opening-implausible")

    asyncio.run(story())
    verdict = audited(scene, tmp_path / "evidence")
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert found(verdict, "epoch.retired") == "1 of 1 key epochs retired"
    assert found(verdict, "share.opened").startswith("0 aggregates")
