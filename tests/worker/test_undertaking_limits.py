"""What was voted about rounds, campaigns and budget holds on the worker, from its own journal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from fakes import FakeBroker
from scene import Scene

from trust.documents.reporting import AttemptReport
from trust.entropy import seeded
from trust.ids import CampaignId
from trust.problem import Problem
from worker.journal import Journal
from worker.undertaking import undertake


class Bench:
    """A worker with a fake broker, given one campaign after another."""

    def __init__(self, home: Path, **vote: object) -> None:
        self.scene = Scene(home, 2)
        self.scene.authorisation = self.scene.territory.authorisation(
            self.scene.facts, images=(self.scene.image,), **vote
        )
        self.broker = FakeBroker(self.scene)
        journal = Journal(self.scene.identity.state)
        self.workshop = replace(self.scene.workshop(journal), broker=self.broker)

    def attempt(self, name: bytes, round_: int = 1) -> AttemptReport:
        """The report on one contribute unit of the campaign `name`."""
        campaign = CampaignId.draw(seeded(name))
        territory = self.scene.territory
        self.scene.plan = territory.plan(self.scene.facts, b"{}", campaign=campaign, round=round_)
        received = self.scene.received()
        return asyncio.run(undertake(self.workshop, received, lambda done, total: None))


def test_more_campaigns_than_voted_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, campaigns=2)
    assert bench.attempt(b"one").reason == ""
    assert bench.attempt(b"two").reason == ""
    assert bench.attempt(b"three").reason == "campaigns-exhausted"
    # What was said before is said again.
    assert bench.attempt(b"one").reason == ""
    assert bench.broker.runs == 2


def test_a_charge_beyond_the_voted_budget_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rho_budget="0.2")
    assert [bench.attempt(name).reason for name in (b"one", b"two", b"three")] == [
        "",
        "",
        "authorisation-budget-exceeded",
    ]


def test_a_round_beyond_the_voted_ones_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.attempt(b"one", round_=2).reason == "round-out-of-range"
    assert bench.broker.runs == 0


def test_a_sentence_that_is_no_text_becomes_a_report(tmp_path: Path) -> None:
    """A file name that is not UTF-8 stands in an error with surrogates: it must not end us."""
    bench = Bench(tmp_path)
    bench.broker.failures.append(Problem("could not read caf\udce9.sqlite", remedy="rename it"))
    report = bench.attempt(b"one")
    assert report.sentence == "could not read caf?.sqlite"
    assert bench.workshop.journal.reported(report.attempt)
