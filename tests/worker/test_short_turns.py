"""What a round need not ask for: small blobs that come along, bundles at hand, free reports."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from test_agent import Stage, stage  # noqa: F401 - the fixture

from trust.entropy import seeded
from trust.ids import AttemptId, AuthorisationId, CampaignId, Digest
from worker import last_bundle
from worker.agent import Agent
from worker.freshness import Freshness
from worker.journal import Journal
from worker.last_bundle import LastBundle

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")


def fetching(fetched: list[Digest]):
    blobs = {ONE: b"one", OTHER: b"other"}

    async def fetch(digest: Digest) -> bytes:
        fetched.append(digest)
        return blobs[digest]

    return fetch


def test_the_newest_bundle_is_fetched_once() -> None:
    fetched: list[Digest] = []
    kept = LastBundle()

    async def rounds() -> list[bytes]:
        return [await kept.fetch(name, fetching(fetched)) for name in (ONE, ONE, OTHER, ONE)]

    assert asyncio.run(rounds()) == [b"one", b"one", b"other", b"one"]
    assert fetched == [ONE, OTHER, ONE]


def test_a_bundle_too_large_to_keep_is_fetched_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_bundle, "MAXIMUM_KEPT_BYTES", 2)
    fetched: list[Digest] = []
    kept = LastBundle()

    async def rounds() -> None:
        for _ in range(2):
            await kept.fetch(ONE, fetching(fetched))

    asyncio.run(rounds())
    assert fetched == [ONE, ONE]


@pytest.mark.parametrize("altered", [False, True], ids=["true", "altered"])
def test_parameters_that_came_with_the_order_are_not_fetched(
    stage: Stage,  # noqa: F811
    altered: bool,
) -> None:
    """Altered on their way they are just not the ones that the order names."""
    order = stage.scene.territory.order(stage.scene.plan)
    parameters = stage.scene.blobs[order.parameters]

    async def plot(agent: Agent) -> None:
        stage.scheduler.along = (parameters + b" ",) if altered else (parameters,)
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    stage.play(plot)
    assert stage.scheduler.reports[order.attempt].statement is not None
    assert (order.parameters in stage.scheduler.fetched) == altered
    assert order.bundle in stage.scheduler.fetched


def test_only_a_round_without_a_price_is_free(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    entropy = seeded(b"free")
    campaign, vote = CampaignId.draw(entropy), AuthorisationId.draw(entropy)
    for number, rho in ((1, "0"), (2, "1/10"), (3, None)):
        journal.begin_round(campaign, number, ONE, vote, rho)
    assert [journal.uncharged(campaign, number) for number in (1, 2, 3, 4)] == [
        True,
        False,
        False,
        False,
    ]
    journal.close()


def test_nothing_is_free_before_this_life_was_answered() -> None:
    probe, report = (AttemptId.draw(seeded(name)) for name in (b"probe", b"report"))
    assert not Freshness().free(report).settled
    alive = Freshness().asked(1, probe, ()).answered(1, {probe})
    assert alive.free(report).settled == {report}
    assert not alive.refused().free(report).settled - alive.settled
