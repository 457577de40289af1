"""An `encrypted` unit on the worker's side of its broker: which keys go in, what is signed."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeBroker
from scene import Scene

from trust.documents import signed
from trust.documents.reporting import AttemptReport, Outcome, Partial
from trust.documents.rules import Protection
from trust.ids import Digest
from trust.policy import Exhibit
from worker.exhibits import Received
from worker.journal import Journal
from worker.undertaking import undertake

PUBLIC = b"the epoch's public key"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, 1, public=PUBLIC)


def run(scene: Scene, broker: FakeBroker, received: Received) -> AttemptReport:
    with contextlib.closing(Journal(scene.identity.state)) as opened:
        workshop = replace(scene.workshop(opened), broker=broker)
        return asyncio.run(undertake(workshop, received, lambda done, total: None))


def refused(scene: Scene) -> str:
    broker = FakeBroker(scene)
    report = run(scene, broker, scene.received())
    assert report.outcome is Outcome.REFUSED
    assert broker.runs == 0
    return report.reason


def test_the_partial_names_the_ciphertext_the_seed_and_no_noise(scene: Scene) -> None:
    broker = FakeBroker(scene)
    report = run(scene, broker, scene.received())
    assert report.outcome is Outcome.CONTRIBUTED
    assert report.statement is not None
    key = scene.identity.keys.node.public
    said = signed.verify(Partial, report.statement, {key}).document
    assert said.protection is Protection.ENCRYPTED
    assert said.values == Digest.of(b"noise of run 1")
    assert said.sealed == Digest.of(b"seed of run 1")
    # The epoch is bound by the plan that the partial names.
    assert said.plan == Digest.of(scene.plan.envelope)
    assert set(said.variances.values()) == {"0"}
    (order,) = broker.orders
    assert order.sealing is not None
    assert (order.sealing.profile, order.sealing.report) == ("somme", said.report)
    assert broker.publics == [PUBLIC]


def test_an_expired_lease_and_its_retry_are_one_ciphertext(scene: Scene) -> None:
    broker = FakeBroker(scene)
    first = run(scene, broker, scene.received())
    order = scene.territory.order(scene.plan, number=2)
    second = run(scene, broker, scene.received(order))
    assert broker.runs == 1
    assert (second.statement, second.sealed) == (first.statement, first.sealed)


def test_other_bytes_than_the_certified_key_encrypt_nothing(scene: Scene) -> None:
    scene.blobs[Digest.of(PUBLIC)] = b"a key of the scheduler's own"
    assert refused(scene) == "epoch-key-mismatch"
    order = scene.received().order
    with contextlib.closing(Journal(scene.identity.state)) as journal:
        # Nothing was begun, so nobody was charged.
        assert journal.plan(order.campaign, order.round) is None


def test_nothing_runs_without_the_epochs_key(scene: Scene) -> None:
    scene.epoch = None
    assert refused(scene) == "epoch-key-missing"


def test_nothing_is_encrypted_without_a_helper_for_the_mask(scene: Scene) -> None:
    scene.helper = None
    assert refused(scene) == "helper-key-missing"


def test_a_key_of_the_schedulers_own_is_refused(scene: Scene) -> None:
    assert scene.helper is not None
    forged = scene.territory.epoch(
        scene.territory.orders_key, bundle=scene.bundle.digest, public=Digest.of(PUBLIC)
    )
    scene.epoch = forged
    scene.plan = scene.territory.plan(
        scene.facts,
        b"{}",
        helper=Digest.of(scene.helper.envelope),
        epoch=Digest.of(forged.envelope),
    )
    assert refused(scene) == "epoch-key-forged"


def test_an_epochs_key_that_is_not_logged_is_refused(scene: Scene) -> None:
    assert scene.epoch is not None
    scene.epoch = Exhibit(scene.epoch.envelope, b"")
    assert refused(scene) == "inclusion-unproven"
