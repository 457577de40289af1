"""Who signed what under which vote, after the root was rotated and a vote was stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select

from scheduler.program import log_roots
from scheduler.service import bundles
from scheduler.store.tables import LogRow
from scheduler.views import ledger
from tests.scheduler.conftest import World, build
from trust.documents import signed
from trust.documents.root import Duty, DutyKeys
from trust.keys import PrivateKey
from trust.log.entry import Kind
from trust.root import rotate


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[World]:
    world = build(tmp_path)
    yield world
    world.desk.store.close()
    world.desk.log.close()  # type: ignore[attr-defined]


def entries(world: World, kind: Kind) -> list[ledger.EntryDetail]:
    """All of a kind, as their pages show them, in the order of the log."""
    query = select(LogRow.position).where(LogRow.kind == kind.value).order_by(col(LogRow.position))
    found = world.desk.store.read("t", lambda tx: list(tx.session.exec(query)))
    return [ledger.entry(world.desk, str(index)) for index in found]


def told(found: ledger.EntryDetail) -> list[tuple[str, int, int]]:
    return sorted({(one.duty, one.root, one.needed) for one in found.signers})


def test_a_signature_is_told_under_the_root_that_counted_then(lonely: World) -> None:
    """After a rotation too: with the threshold that held, not with today's."""
    college = lonely.college

    async def play() -> None:
        roots = [lonely.root_envelope]
        await log_roots(lonely.desk, roots)
        await lonely.authorised()
        await lonely.turn()
        old = lonely.desk.root.document
        fourth = PrivateKey.generate(lonely.desk.entropy).public
        keys = (*(key.public for key in college), fourth)
        duties = {**old.duties, Duty.COLLEGE: DutyKeys(keys, 3)}
        raw = signed.sign(
            replace(old, version=2, duties=duties), [lonely.keys["root"]]
        ).envelope.raw
        lonely.desk.root = rotate(lonely.desk.root, raw)
        await log_roots(lonely.desk, [*roots, raw])
        vote = lonely.authorisation()
        await bundles.authorise(lonely.desk, signed.sign(vote, college).envelope.raw)
        await lonely.turn()

    asyncio.run(play())
    first, second = entries(lonely, Kind.AUTHORISATION)
    assert told(first) == [("college", 1, 2)]
    assert len(first.signers) == 2
    assert told(second) == [("college", 2, 3)]
    before, after = entries(lonely, Kind.ROOT)
    assert told(before) == [("root", 1, 1)]
    assert told(after) == [("root", 2, 1)]


def test_before_any_root_was_logged_the_next_one_is_told(lonely: World) -> None:
    async def play() -> None:
        await lonely.authorised()
        await lonely.turn()
        await log_roots(lonely.desk, [lonely.root_envelope])
        await lonely.turn()

    asyncio.run(play())
    (vote,) = entries(lonely, Kind.AUTHORISATION)
    assert told(vote) == [("college", 1, 2)]


def test_a_suspension_names_the_vote_that_it_ends_and_not_the_newest(lonely: World) -> None:
    async def play() -> tuple[str, str]:
        await log_roots(lonely.desk, [lonely.root_envelope])
        first = await lonely.authorised(title="The first vote")
        lonely.clock.advance(60)
        second = await lonely.authorised(title="The second vote")
        await lonely.suspend(first)
        lonely.clock.advance(timedelta(minutes=1).total_seconds())
        await lonely.turn()
        return str(first.id), str(second.id)

    first, second = asyncio.run(play())
    (stopped,) = entries(lonely, Kind.SUSPENSION)
    assert stopped.payload["authorisation"] == first
    assert stopped.vote is not None
    assert (stopped.vote.authorisation, stopped.vote.title) == (first, "The first vote")
    assert stopped.vote.suspended_at is not None
    votes = [one.vote for one in entries(lonely, Kind.AUTHORISATION)]
    assert [vote.authorisation for vote in votes if vote is not None] == [first, second]
