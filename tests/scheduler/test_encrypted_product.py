"""A product of two totals of public capsules: start to release, and the audit of its evidence."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

for module in ("tenseal", "backports.zstd"):
    pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")

from custody import Scene, encrypt  # noqa: E402

from audit.evidence import EvidenceFolder  # noqa: E402
from audit.replay import audit  # noqa: E402
from jobs import aggregate  # noqa: E402
from protection.ckks import scheme  # noqa: E402
from protection.ckks.profile import PRODUIT, SOMME  # noqa: E402
from protection.ckks.residues import template_of  # noqa: E402
from scheduler.service import evidence, outbox  # noqa: E402
from trust.certificates import Role  # noqa: E402
from trust.documents.campaign import Opening  # noqa: E402
from trust.documents.custody import AggregateOpened, EpochKey  # noqa: E402
from trust.documents.root import Duty  # noqa: E402
from trust.log.entry import Kind  # noqa: E402

FACTOR = """
[release.{name}]
shape = [3]
dtype = "int64"
step = 1
clip = {{ norm = "linf", bound = 100 }}
unit = "owner"
protection = "encrypted"
noise = {{ mechanism = "none" }}
product = "counts"
minimum_contributors = 3
maximum_contributors = 1000
minimum_workers = 2
minimum_operators = 2
"""
STATED = {"variances": {"left": "0", "right": "0"}, "rho": "0"}


class ProductScene(Scene):
    """The bundle of the tests, but that it releases `left` times `right` as `counts`."""

    def __init__(self, world: Any, tmp_path: Path) -> None:
        text = world.manifest.replace('"personal"', '"public"')
        text = text.replace('\nrelease = "counts"', "")
        start, end = text.index("[release.counts]"), text.index("[report.counts]")
        both = FACTOR.format(name="left") + FACTOR.format(name="right")
        world.manifest = text[:start] + both + text[end:]
        super().__init__(world, tmp_path)

    async def reported(self, **changes: Any) -> str:
        await self.found()
        campaign = await self.engaged()
        for number, worker in enumerate(self.hosts, start=1):
            (order,) = (await worker.exchange()).orders
            mine = changes if number == 1 else {}
            encrypt(worker, order, **{"steps": steps_of(number), **STATED, **mine})
            (receipt,) = (await worker.exchange([worker.report(order)])).acknowledgements
            assert receipt.accepted, receipt
        return campaign


def steps_of(number: int) -> dict[str, Any]:
    return {
        "left": np.array([number, 100 * number, -3], np.int64),
        "right": np.array([7, -100, 5 * number], np.int64),
    }


EXACT = [6 * 21, 600 * -300, -9 * 30]


@pytest.fixture
def scene(world: Any, tmp_path: Path) -> ProductScene:
    return ProductScene(world, tmp_path)


async def released(scene: ProductScene) -> str:
    campaign = await scene.opened()
    (order,) = (await scene.judge.exchange()).orders
    await scene.judge.exchange([scene.judge.report(order)])
    await scene.settle()
    assert await scene.standing(campaign) == ("released", "")
    return campaign


def test_a_product_from_start_to_release(scene: ProductScene) -> None:
    async def story() -> None:
        await released(scene)
        desk, rules = scene.world.desk, scene.world.bundle.manifest.rules()
        epoch = scene.one(Kind.EPOCH_KEY, EpochKey, Duty.KEYHOLDER)
        assert epoch.document.profile == PRODUIT.name
        opened = scene.one(Kind.OPENED, AggregateOpened, Duty.KEYHOLDER).document
        assert opened.variances == {"counts": "0"}
        steps = aggregate.decode_partial(rules, desk.blobs.get(opened.values))
        assert {name: values.tolist() for name, values in steps.items()} == {"counts": EXACT}
        opening = scene.one(Kind.OPENING, Opening, Duty.ORDERS).document
        table = aggregate.decode_aggregate(rules, desk.blobs.get(opening.aggregate))
        assert set(table) == {"counts", "counts.variance"}
        assert table["counts"].tolist() == EXACT
        assert table["counts.variance"].tolist() == [0.0, 0.0, 0.0]

    asyncio.run(story())


def test_its_evidence_passes_the_audit(scene: ProductScene, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"

    async def story() -> None:
        desk, root = scene.world.desk, scene.world.root_envelope
        await desk.run("log-root", lambda tx: outbox.publish_raw(tx, desk, Kind.ROOT, root))
        await released(scene)
        files = evidence.export(desk, Role.AUDITOR, "", roots=[root])
        async for file in files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)

    asyncio.run(story())
    verdict = audit(EvidenceFolder(folder))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    found = {line.check: line.found for line in verdict.journal.lines}
    assert found["share.opened"] == "1 aggregates are what the keyholder opened"
    assert found["epoch.key"] == "1 key epochs, named by 1 plans"


def test_a_ciphertext_of_the_profile_for_sums_is_not_accepted(scene: ProductScene) -> None:
    async def story() -> None:
        await scene.found()
        await scene.engaged()
        somme = template_of(SOMME)
        blob = somme.before + bytes(8 * somme.residue_count) + somme.after
        (order,) = (await scene.hosts[0].exchange()).orders
        encrypt(scene.hosts[0], order, steps=steps_of(1), blob=blob, **STATED)
        report = scene.hosts[0].report(order)
        (receipt,) = (await scene.hosts[0].exchange([report])).acknowledgements
        assert not receipt.accepted

    asyncio.run(story())


def test_a_ciphertext_of_another_key_gives_no_release(scene: ProductScene) -> None:
    async def story() -> None:
        campaign = await scene.awaited(public=scheme.generate(PRODUIT).public)
        scene.custody.contribute([0, 1, 2])
        await scene.settle()
        state, _ = await scene.standing(campaign)
        assert state == "failed"
        assert "opening-implausible" in (await scene.world.view(campaign)).row.why
        assert scene.documents(Kind.OPENED) == []
        assert scene.documents(Kind.EPOCH_RETIRED)

    asyncio.run(story())


def test_single_ciphertexts_and_factors_are_in_no_evidence(scene: ProductScene) -> None:
    async def story() -> None:
        campaign = await released(scene)
        desk = scene.world.desk
        files = evidence.export(desk, Role.AUDITOR, campaign, roots=[scene.world.root_envelope])
        everything = b"".join([file.data async for file in files])
        totals = {
            name: sum(steps_of(number)[name] for number in (1, 2, 3)) for name in ("left", "right")
        }
        for vector in totals.values():
            for dtype in ("<i8", "<f8"):
                assert vector.astype(dtype).tobytes() not in everything
        assert np.array(EXACT, "<i8").tobytes() in everything

    asyncio.run(story())
