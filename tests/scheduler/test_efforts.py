"""What ended is summed once, by campaign and day; the queue is counted without what has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from alembic import command
from sqlalchemy import text
from sqlmodel import col, select

from scheduler.clockwork import make_clockwork
from scheduler.service import efforts
from scheduler.service.exclusion import DenyList
from scheduler.service.transfers import Transfers
from scheduler.store.engine import open_engine
from scheduler.store.schema import _config, newest
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, EffortRow, SampleRow
from tests.scheduler.conftest import START, World


def sums(world: World) -> Sequence[EffortRow]:
    return world.desk.store.read(
        "efforts", lambda tx: tx.session.exec(select(EffortRow).order_by(col(EffortRow.day))).all()
    )


def samples(world: World) -> Sequence[SampleRow]:
    return world.desk.store.read(
        "samples", lambda tx: tx.session.exec(select(SampleRow).order_by(col(SampleRow.at))).all()
    )


async def _begun(world: World) -> list:  # type: ignore[type-arg]
    await world.authorised()
    workers = [await world.worker(f"operator-{n}", capsules=14) for n in range(3)]
    for worker in workers:
        await worker.exchange()
    await world.start()
    await world.turn()
    for worker in workers:
        await worker.exchange()
    return workers


def test_a_sample_counts_the_queue_and_what_ended_since_the_one_before(world: World) -> None:
    async def play() -> None:
        workers = await _begun(world)
        world.clock.advance(1)
        await efforts.sample(world.desk)
        world.clock.advance(10)
        order = workers[0].held[0]
        await workers[0].exchange([workers[0].report(order)])
        refused = workers[1].held[0]
        await workers[1].exchange([workers[1].refusal(refused)])
        world.clock.advance(49)
        await efforts.sample(world.desk)

    asyncio.run(play())
    first, second = samples(world)
    assert (first.leased, first.accepted, first.failed) == (3, 0, 0)
    assert (second.leased, second.accepted, second.failed) == (1, 1, 1)
    assert second.waiting + second.ready == 1  # the one that was refused has its back-off
    (row,) = sums(world)
    assert (row.attempts, row.answered) == (2, 2)
    assert row.busy == 2 * 11_000
    assert row.day == (START.date() - type(START.date())(1970, 1, 1)).days


def test_nothing_is_counted_twice_or_left_out(world: World) -> None:
    async def play() -> None:
        workers = await _begun(world)
        for worker in workers:
            world.clock.advance(5)
            await worker.exchange([worker.report(worker.held[0])])
            await efforts.sample(world.desk)  # in the very moment of the end
            await efforts.sample(world.desk)
        world.clock.advance(1)
        await efforts.sample(world.desk)
        world.reopen()
        await efforts.sample(world.desk)

    asyncio.run(play())
    assert sum(row.attempts for row in sums(world)) == 3
    assert sum(row.accepted for row in samples(world)) == 3
    assert sum(row.busy for row in sums(world)) == 5_000 + 10_000 + 15_000


def test_who_never_answered_gives_no_time(world: World) -> None:
    async def play() -> None:
        await _begun(world)
        world.clock.advance(3600)  # every lease ran out
        await world.turn()
        world.clock.advance(1)
        await efforts.sample(world.desk)

    asyncio.run(play())
    (row,) = sums(world)
    assert row.attempts == 3
    assert (row.answered, row.busy) == (0, 0)


def test_the_clockwork_samples(world: World) -> None:
    async def tick() -> None:
        clockwork = make_clockwork(
            world.desk,
            world.standing,
            Transfers(world.desk, world.folder / "staging"),
            DenyList(world.desk),
            lambda: None,
        )
        await clockwork.get_job("sample").func()

    asyncio.run(tick())
    assert len(samples(world)) == 1


def test_days_are_apart_and_old_samples_go(world: World) -> None:
    async def play() -> None:
        workers = await _begun(world)
        await workers[0].exchange([workers[0].refusal(workers[0].held[0])])
        world.clock.advance(60)
        await efforts.sample(world.desk)
        world.clock.advance(9 * 86_400)
        await world.turn()
        world.clock.advance(60)
        await efforts.sample(world.desk)

    asyncio.run(play())
    assert [row.day for row in sums(world)] == [20779, 20788]
    (kept,) = samples(world)
    assert kept.at - START > timedelta(days=9)


def test_a_million_that_ended_cost_a_sample_nothing(world: World) -> None:
    """It enters indexes at the last sample, and over what moves."""
    asyncio.run(_begun(world))
    asked: list[str] = []

    def explain(tx: Transaction) -> None:
        connection = tx.session.connection()
        since = START
        statements = [
            efforts.ended_since(since, tx.now),
            *efforts.counts(),
        ]
        for statement in statements:
            compiled = statement.compile(connection.engine, compile_kwargs={"literal_binds": True})
            asked.extend(
                row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
            )

    world.desk.store.read("explain", explain)
    for name in ("attempt_by_end", "unit_moving", "unit_to_lease", "attempt_"):
        assert any(name in line for line in asked), asked
    # What is scanned is an index over what moves.
    few = ("unit_moving", "unit_to_lease", "attempt_of_worker", "attempt_live", "attempt_expiry")
    for line in asked:
        assert not line.startswith("SCAN") or line.endswith(few), asked


def test_attempts_of_before_are_summed_when_the_table_is_made(world: World) -> None:

    async def play() -> None:
        workers = await _begun(world)
        world.clock.advance(4)
        await workers[0].exchange([workers[0].report(workers[0].held[0])])

    asyncio.run(play())
    world.desk.store.close()
    engine = open_engine(world.folder / "scheduler.db")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE effort"))
        connection.execute(text("DROP TABLE sample"))
        connection.execute(text("DROP INDEX attempt_by_end"))
        connection.execute(text("DROP INDEX campaign_of_authorisation"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0010'"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0011")
        # What later revisions made was never taken back.
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{newest()}'"))
    engine.dispose()
    world.reopen()
    (row,) = sums(world)
    assert (row.attempts, row.answered, row.busy) == (1, 1, 4_000)
    world.clock.advance(1)
    asyncio.run(efforts.sample(world.desk))
    assert [row.attempts for row in sums(world)] == [1]
    ended = world.desk.store.read(
        "ended", lambda tx: tx.session.exec(select(AttemptRow.ended_at)).all()
    )
    assert sum(moment is not None for moment in ended) == 1
