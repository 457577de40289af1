"""A `shared` unit on the worker: two halves, made once, replayed byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
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


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, 1, shared=True)


@contextlib.contextmanager
def journal(scene: Scene) -> Iterator[Journal]:
    with contextlib.closing(Journal(scene.identity.state)) as opened:
        yield opened


def run(scene: Scene, broker: FakeBroker, received: Received) -> AttemptReport:
    with journal(scene) as opened:
        workshop = replace(scene.workshop(opened), broker=broker)
        return asyncio.run(undertake(workshop, received, lambda done, total: None))


def partial(scene: Scene, report: AttemptReport) -> Partial:
    assert report.statement is not None, report
    key = scene.identity.keys.node.public
    return signed.verify(Partial, report.statement, {key}).document


def test_the_partial_names_both_halves_and_no_noise(scene: Scene) -> None:
    broker = FakeBroker(scene)
    report = run(scene, broker, scene.received())
    said = partial(scene, report)
    assert report.outcome is Outcome.CONTRIBUTED
    assert said.protection is Protection.SHARED
    assert report.sealed == b"seed of run 1"
    assert said.sealed == Digest.of(report.sealed)
    assert set(said.variances.values()) == {"0"}
    (order,) = broker.orders
    assert order.sealing is not None
    assert order.sealing.helper == bytes(range(32))
    assert order.sealing.report == said.report
    assert order.sealing.plan == Digest.of(scene.plan.envelope)


def test_an_expired_lease_and_its_retry_are_one_contribution(scene: Scene) -> None:
    broker = FakeBroker(scene)
    first = run(scene, broker, scene.received())
    order = scene.territory.order(scene.plan, number=2)
    second = run(scene, broker, scene.received(order))
    assert broker.runs == 1
    assert (second.statement, second.sealed) == (first.statement, first.sealed)
    assert second.attempt != first.attempt


def test_nothing_runs_without_the_helpers_key(scene: Scene) -> None:
    broker = FakeBroker(scene)
    scene.helper = None
    report = run(scene, broker, scene.received())
    assert (report.outcome, report.reason) == (Outcome.REFUSED, "helper-key-missing")
    assert broker.runs == 0


def test_a_key_of_the_schedulers_own_is_refused(scene: Scene) -> None:
    broker = FakeBroker(scene)
    forged = scene.territory.helper(scene.territory.orders_key, bundle=scene.bundle.digest)
    scene.helper = forged
    named = Digest.of(forged.envelope)
    scene.plan = scene.territory.plan(scene.facts, b"{}", helper=named)
    report = run(scene, broker, scene.received())
    assert (report.outcome, report.reason) == (Outcome.REFUSED, "helper-key-forged")
    assert broker.runs == 0


def test_a_helper_key_that_is_not_logged_is_refused(scene: Scene) -> None:
    broker = FakeBroker(scene)
    assert scene.helper is not None
    scene.helper = Exhibit(scene.helper.envelope, b"")
    report = run(scene, broker, scene.received())
    assert report.outcome is Outcome.REFUSED
    assert report.reason == "inclusion-unproven"


def test_a_journal_of_the_release_before_goes_on(scene: Scene) -> None:
    report = run(scene, FakeBroker(scene), scene.received())
    path = scene.identity.state / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as before:
        before.execute("ALTER TABLE round DROP COLUMN begun_at")
        before.execute("ALTER TABLE statement DROP COLUMN sealed")
        before.execute(
            "UPDATE report SET body=CAST(json_remove(CAST(body AS TEXT), '$.sealed') AS BLOB)"
        )
        before.execute("PRAGMA user_version=3")
    with journal(scene) as opened:
        (kept,) = opened.pending_reports(8)
        assert kept == replace(report, sealed=None)
