"""Live fragments: rendered once for all, the same bytes, bounded, and ended when they should be."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.web.sample.surface import START
from trust.clock import ManualClock
from web.errors import TooManyReaders
from web.languages import Language
from web.live import frames
from web.live.broadcast import BEAT, Broadcast
from web.live.places import FRAGMENTS_EACH, STREAMS_EACH
from web.live.stream import EventStream, Subscription

FR, EN = Language.FR, Language.EN


class Stage:
    """A broadcast whose ticks a test gives; `text` is what it renders next."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock(START)
        self.text = "<p>one</p>"
        self.renders: list[tuple[str, Language]] = []
        self.failing = False
        self.broadcast = Broadcast(self.render, self.clock, pace=self.pace, **options)

    def render(self, key: str, language: Language) -> str:
        self.renders.append((key, language))
        if self.failing:
            raise RuntimeError("no database")
        return f"{self.text}{key}{language}"

    async def pace(self, seconds: float) -> None:
        await asyncio.Event().wait()  # the task ticks once; the test ticks from then on

    async def first(self, reader: Subscription) -> bytes:
        message = await reader.next()
        assert message is not None
        return message


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 20))  # type: ignore[arg-type]


def test_all_readers_of_a_language_get_the_same_bytes_of_one_rendering() -> None:
    async def test() -> None:
        stage = Stage()
        readers = [stage.broadcast.subscribe("", FR) for _ in range(300)]
        english = stage.broadcast.subscribe("", EN)
        got = [await stage.first(reader) for reader in readers]
        assert all(frame is got[0] for frame in got)
        assert b"one" in got[0]
        assert got[0].endswith(b"fr\n\n")
        assert (await stage.first(english)).endswith(b"en\n\n")
        assert sorted(stage.renders) == [("", EN), ("", FR)]

    run(test)


def test_keys_have_fragments_of_their_own() -> None:
    async def test() -> None:
        stage = Stage()
        one, two = (stage.broadcast.subscribe(key, FR) for key in ("c-1", "c-2"))
        assert b"c-1" in await stage.first(one)
        assert b"c-2" in await stage.first(two)

    run(test)


def test_who_comes_later_gets_the_newest_frame_at_once() -> None:
    async def test() -> None:
        stage = Stage()
        await stage.first(stage.broadcast.subscribe("", FR))
        before = len(stage.renders)
        later = stage.broadcast.subscribe("", FR)
        assert b"one" in await stage.first(later)
        assert len(stage.renders) == before

    run(test)


def test_a_slow_reader_skips_to_the_newest_and_holds_one_frame() -> None:
    async def test() -> None:
        stage = Stage()
        slow, quick = (stage.broadcast.subscribe("", FR) for _ in range(2))
        await stage.first(quick)
        for number in range(50):
            stage.text = f"<p>{number}</p>"
            await stage.broadcast.tick("", FR)
            assert str(number).encode() in await stage.first(quick)
        newest = await stage.first(slow)
        assert b"<p>49</p>" in newest
        assert newest.count(b"<p>") == 1
        assert slow.skipped == 50
        assert slow._pending is None

    run(test)


def test_nothing_is_sent_while_nothing_changes_but_a_beat_now_and_then() -> None:
    async def test() -> None:
        stage = Stage()
        reader = stage.broadcast.subscribe("", FR)
        await stage.first(reader)
        stage.clock.advance(BEAT - 1)
        await stage.broadcast.tick("", FR)
        assert reader._pending is None
        stage.clock.advance(1)
        await stage.broadcast.tick("", FR)
        beat = await stage.first(reader)
        assert b"event: beat" in beat
        assert beat.startswith(f"id: {frames.milliseconds(stage.clock.now())}".encode())

    run(test)


def test_a_beat_never_takes_the_place_of_a_frame() -> None:
    reader = Subscription()
    reader.offer(b"frame")
    reader.remind(b"beat")
    assert reader._pending == b"frame"


def test_a_failing_fragment_is_logged_once_and_recovers(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        stage = Stage()
        reader = stage.broadcast.subscribe("", FR)
        await stage.first(reader)
        stage.failing = True
        stage.clock.advance(60)
        for _ in range(5):
            await stage.broadcast.tick("", FR)
        assert reader._pending is None  # not even a beat: the page must notice
        stage.failing = False
        await stage.broadcast.tick("", FR)
        assert b"one" in await stage.first(reader)  # although nothing changed meanwhile

    with caplog.at_level(logging.ERROR, "cadastre.web"):
        run(test)
    assert caplog.text.count("cannot be rendered") == 1


def test_without_readers_nothing_is_rendered() -> None:
    async def test() -> None:
        stage = Stage()
        reader = stage.broadcast.subscribe("", FR)
        await stage.first(reader)
        task = stage.broadcast._channels["", FR].task
        stage.broadcast.leave("", FR, reader)
        assert stage.broadcast.readers == 0
        assert stage.broadcast._channels == {}
        assert task is not None
        with pytest.raises(asyncio.CancelledError):
            await task
        stage.broadcast.leave("", FR, reader)  # twice does no harm

    run(test)


def test_there_are_so_many_readers_and_no_more() -> None:
    async def test() -> None:
        stage = Stage(most=2)
        first = stage.broadcast.subscribe("", FR)
        stage.broadcast.subscribe("x", EN)
        with pytest.raises(TooManyReaders):
            stage.broadcast.subscribe("", FR)
        stage.broadcast.leave("", FR, first)
        stage.broadcast.subscribe("", FR)

    run(test)


@pytest.mark.parametrize(
    ("keys", "most"), [(["x"], STREAMS_EACH), ([f"c{n}" for n in range(400)], FRAGMENTS_EACH)]
)
def test_no_visitor_takes_the_places_or_the_work_of_all(keys: list[str], most: int) -> None:
    """A viewer opens window after window, or asks for every campaign there is."""

    async def test() -> None:
        stage = Stage()
        asked = itertools.cycle(keys)
        held = [stage.broadcast.subscribe(next(asked), FR, "greedy") for _ in range(most)]
        with pytest.raises(TooManyReaders):
            stage.broadcast.subscribe(next(asked), FR, "greedy")
        stage.broadcast.subscribe(keys[0], FR, "other")
        stage.broadcast.subscribe("new", EN, "other")
        stage.broadcast.leave(keys[0], FR, held[0])
        stage.broadcast.leave(keys[0], FR, held[0])  # twice frees one place
        stage.broadcast.subscribe(keys[0], FR, "greedy")
        with pytest.raises(TooManyReaders):
            stage.broadcast.subscribe("another", FR, "greedy")

    run(test)


def test_the_broadcasts_own_clock_ticks_it() -> None:
    async def test() -> None:
        turns: asyncio.Queue[float] = asyncio.Queue()
        go: asyncio.Queue[None] = asyncio.Queue()

        async def pace(seconds: float) -> None:
            await turns.put(seconds)
            await go.get()

        texts = iter("abc")
        broadcast = Broadcast(
            lambda key, language: next(texts), ManualClock(START), interval=2.0, pace=pace
        )
        reader = broadcast.subscribe("", FR)
        for letter in b"abc":
            message = await reader.next()
            assert message is not None
            assert bytes([letter]) in message
            assert await turns.get() == 2.0
            await go.put(None)

    run(test)


class Line:
    """The other end of a stream: what was sent, and when it goes away or stops reading."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.gone = asyncio.Event()
        self.stuck = asyncio.Event()
        self.more = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.stuck.is_set():
            await asyncio.Event().wait()
        self.sent.append(message.get("body", b""))
        self.more.set()

    async def until(self, count: int) -> None:
        while len(self.sent) < count:
            self.more.clear()
            await self.more.wait()


@asynccontextmanager
async def streaming(stage: Stage, line: Line, **options: Any) -> AsyncIterator[asyncio.Task[None]]:
    stream = EventStream(
        lambda: stage.broadcast.subscribe("", FR),
        lambda reader: stage.broadcast.leave("", FR, reader),
        frames.hello("v1", FR),
        **options,
    )
    task = asyncio.ensure_future(stream({"type": "http"}, line.receive, line.send))
    yield task
    await task
    assert stage.broadcast.readers == 0


def test_a_stream_begins_with_the_version_and_ends_when_the_reader_leaves() -> None:
    async def test() -> None:
        stage, line = Stage(), Line()
        async with streaming(stage, line):
            await line.until(3)
            assert line.sent[1] == b"retry: 1000\nevent: hello\ndata: v1 fr\n\n"
            assert b"data: <p>one</p>fr" in line.sent[2]
            line.gone.set()

    run(test)


def test_a_reader_that_stalls_is_given_up() -> None:
    async def test() -> None:
        stage, line = Stage(), Line()
        async with streaming(stage, line, stall=0.01):
            await line.until(3)
            line.stuck.set()
            stage.text = "<p>two</p>"
            await stage.broadcast.tick("", FR)

    run(test)


def test_a_stream_does_not_outlive_its_life() -> None:
    async def test() -> None:
        stage, line = Stage(), Line()
        async with streaming(stage, line, life=0.01):
            pass
        assert line.sent[-1] == b""  # properly ended: the page asks again

    run(test)


def test_closing_ends_every_stream_and_lets_nobody_in() -> None:
    async def test() -> None:
        stage, line = Stage(), Line()
        async with streaming(stage, line):
            await line.until(3)
            await asyncio.to_thread(stage.broadcast.close)  # as another thread would
        with pytest.raises(TooManyReaders):
            stage.broadcast.subscribe("", FR)

    run(test)


def test_no_fragment_breaks_its_frame() -> None:
    frame = frames.frame("a\r\nb\rc\x85d\u2028e\n\nevent: beat\nid: 7", START)
    lines = frame.decode().split("\n")
    assert lines[0].startswith("id: ")
    assert lines[-2:] == ["", ""]
    assert all(line.startswith("data: ") for line in lines[1:-2])
    assert "\r" not in frame.decode()
