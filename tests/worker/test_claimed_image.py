"""What a worker claims, and is held to, is the image of the runtime that a bundle runs in."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakes import FakeBroker
from scene import Scene

from capsule_runtime.broker.messages import Inspected, Ready
from trust.documents import signed
from trust.documents.reporting import Outcome, Partial
from trust.ids import Digest
from worker.journal import Journal
from worker.undertaking import undertake

OTHER = Digest.of(b"an image that nobody voted")


@dataclass
class TorchBroker(FakeBroker):
    """A broker with two runtimes, given a bundle that needs torch."""

    base: Digest = OTHER
    images: dict[str, Digest] = field(default_factory=dict)

    async def ready(self) -> Ready:
        return replace(await super().ready(), image=self.base, images=self.images)

    async def inspect(self, bundle: bytes) -> Inspected:
        return replace(await super().inspect(bundle), libraries=("numpy", "torch"))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, 1)


def run(scene: Scene, broker: FakeBroker):
    with contextlib.closing(Journal(scene.identity.state)) as journal:
        workshop = replace(scene.workshop(journal), broker=broker)
        return asyncio.run(undertake(workshop, scene.received(), lambda done, total: None))


def test_the_claim_is_the_image_with_torch(scene: Scene) -> None:
    report = run(scene, TorchBroker(scene, images={"torch": scene.image}))
    assert report.outcome is Outcome.CONTRIBUTED, report
    said = signed.verify(Partial, report.statement, {scene.identity.keys.node.public}).document
    assert said.image == scene.image


@pytest.mark.parametrize("images", [{}, {"torch": OTHER}])
def test_the_base_image_does_not_stand_for_it(scene: Scene, images: dict[str, Digest]) -> None:
    report = run(scene, TorchBroker(scene, base=scene.image, images=images))
    assert report.reason == "image-not-permitted"
