"""Queue and throughput: buckets of samples, as a list, as pictures, and live."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import delete

from scheduler.store.tables import SampleRow
from scheduler.views import queue
from scheduler.views.queue import SPANS
from tests.scheduler.conftest import World
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans
from tests.web_scheduler.test_resources_bundles import lonely
from web.signin.roles import Role

__all__ = ["lonely"]


def ask(browser: Browser, path: str) -> Any:
    return browser.get(path, headers={"accept": "application/json"}).json


def seed(world: World, minutes: int) -> None:
    """A sample a minute until now: the queue shrinks, every tenth attempt is in vain."""
    now = world.clock.now()

    def write(tx: Any) -> None:
        tx.session.exec(delete(SampleRow))
        for age in range(minutes):
            left = age % 40
            tx.session.add(
                SampleRow(
                    at=now - timedelta(minutes=age),
                    waiting=left,
                    ready=left // 2,
                    leased=min(left, 4),
                    accepted=9,
                    failed=1,
                )
            )

    world.desk.store.run("seed", write)


@pytest.fixture
def sampled(lonely: World) -> World:
    seed(lonely, 60 * 24 * 8)
    return lonely


def test_spans_have_few_buckets_and_count_everything_once(sampled: World) -> None:
    for span, (length, width) in SPANS.items():
        found = queue.series(sampled.desk, span)
        assert 60 <= len(found.buckets) <= 97, span
        minutes = length // timedelta(minutes=1)
        assert (found.accepted, found.failed) == (9 * minutes, minutes)
        moments = [one.at for one in found.buckets]
        assert moments == sorted(moments)
        assert {b - a for a, b in itertools.pairwise(moments)} == {width}
        assert max(one.waiting for one in found.buckets) == 39


def test_what_nobody_sampled_is_left_out(lonely: World) -> None:
    seed(lonely, 5)
    lonely.clock.advance(1800)
    found = queue.series(lonely.desk, "1h")
    assert len(found.buckets) == 5
    assert found.accepted == 45


def test_now_is_counted_and_not_remembered(lonely: World) -> None:
    async def play() -> None:
        await lonely.authorised()
        workers = [await lonely.worker(f"operator-{n}", capsules=14) for n in range(2)]
        for worker in workers:
            await worker.exchange()
        await lonely.start()
        await lonely.turn()
        await workers[0].exchange()

    asyncio.run(play())
    found = queue.series(lonely.desk, "1h")
    assert (found.now.ready, found.now.leased) == (1, 1)
    assert found.buckets == []


def test_the_page_the_list_and_the_fragment(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    rows = ask(browser, "/api/v1/queue")["items"]
    assert [row["accepted"] for row in rows] == [1, 4]
    assert [row["failed"] for row in rows] == [1, 0]
    page = browser.get("/queue?lang=fr").text
    assert "Prêtes" in page
    assert 'hx-sse:connect="/live/queue/1h"' in page
    assert "data-series" in page
    assert "uPlot" in page
    assert browser.get("/queue?span=7d&format=csv").text.startswith("at,waiting,ready")
    assert browser.get("/queue?span=9y").status == 422
    assert browser.get("/live/queue/9y").status == 404
    for path in ("/queue", "/live/queue/1h"):
        assert grid.enter(Role.AUTHOR).get(path).status == 403


def test_a_page_reads_samples_and_what_moves(grid: Grid) -> None:
    found = plans(grid, lambda: queue.series(grid.world.desk, "24h"))
    assert any("SEARCH sample" in line for line in found), found
    for name in ("unit_moving", "unit_to_lease", "attempt_"):
        assert any(name in line for line in found), (name, found)
    few = ("unit_moving", "unit_to_lease", "attempt_of_worker", "attempt_live", "attempt_expiry")
    for line in found:
        assert not line.startswith("SCAN") or line.endswith(few), found
