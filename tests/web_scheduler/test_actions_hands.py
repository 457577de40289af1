"""What a page does happens in the scheduler's event loop, where its bell rings, and to its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.service import acting
from scheduler.service.actions import Actor
from scheduler.service.bell import for_worker
from scheduler.web.actions.hands import Hands, here
from tests.scheduler.conftest import World, build
from trust.documents.actions import Act, Means

ADA = Actor("local:ada", Means.PAGE)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = build(tmp_path)
    yield made
    made.desk.store.close()
    made.desk.log.close()  # type: ignore[attr-defined]


@pytest.fixture
def elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    """A scheduler's loop, in its own thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def in_loop(loop: asyncio.AbstractEventLoop, work):  # type: ignore[no-untyped-def]
    return asyncio.run_coroutine_threadsafe(work, loop).result(30)


def test_a_poll_that_waits_hears_of_what_a_page_did(
    world: World, elsewhere: asyncio.AbstractEventLoop
) -> None:
    worker = in_loop(elsewhere, world.worker("a", capsules=3))
    bell = world.desk.bell

    listens = threading.Event()

    async def polled() -> bool:
        heard = bell.heard(for_worker(worker.name))
        listens.set()
        return await bell.wait(heard, 30)

    waiting = asyncio.run_coroutine_threadsafe(polled(), elsewhere)
    assert listens.wait(30)

    async def page() -> str:
        hands = Hands(elsewhere)
        done = await hands(acting.act(world.desk, ADA, Act.DRAIN_WORKER, worker.name, "a leak"))
        return done.id

    assert asyncio.run(page()).startswith("deed_")
    assert waiting.result(30), "the bell rang in the loop that waits"


def test_a_visitor_who_goes_away_leaves_nothing_half_done(
    elsewhere: asyncio.AbstractEventLoop,
) -> None:
    begun, goes_on = threading.Event(), asyncio.Event()
    ended = threading.Event()

    async def deed() -> None:
        begun.set()
        await goes_on.wait()
        ended.set()

    async def page() -> None:
        asked = asyncio.ensure_future(Hands(elsewhere)(deed()))
        await asyncio.to_thread(begun.wait, 30)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(page())
    elsewhere.call_soon_threadsafe(goes_on.set)
    assert ended.wait(30)


def test_without_a_loop_of_the_schedulers_it_is_done_here() -> None:
    async def deed() -> str:
        return "done"

    async def page() -> tuple[str, str]:
        return await Hands()(deed()), await here()(deed())

    assert asyncio.run(page()) == ("done", "done")
    assert asyncio.run(here()(deed())) == "done"
