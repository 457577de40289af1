"""Operators' deeds: each with its entry, none without; once per request; audited."""

from __future__ import annotations

import asyncio
import base64
import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from audit.evidence import EvidenceFolder
from audit.replay import audit
from scheduler.domain.allowing import Obstacle
from scheduler.domain.reasons import Reason
from scheduler.errors import (
    ActionRefused,
    Conflict,
    InputRefused,
    StoreFailed,
    TooManyActions,
    Unknown,
)
from scheduler.program import log_roots
from scheduler.service import acting, actions, campaigns, rounds
from scheduler.service.actions import Actor
from scheduler.store.tables import AccountRow, ActionRow, LogRow, MemberRow, UnitRow, WorkerRow
from scheduler.views import units as units_view
from scheduler.views.slices import Slice
from tests.scheduler.conftest import TERRITORY, build
from tests.scheduler.test_durable_writes import Once
from tests.scheduler.test_evidence import export, released
from trust.certificates import Role
from trust.documents.actions import (
    MAXIMUM_REASON,
    Act,
    ActingRole,
    Means,
    OperatorAction,
    seal,
    tidy_reason,
)
from trust.documents.reporting import Outcome
from trust.documents.root import Duty
from trust.ids import Digest
from trust.log.entry import Kind

ADA = Actor("https://id.example/#ada@ville.example", Means.PAGE)
BOB = Actor("local:bob", Means.PROGRAM)


async def running(world, workers=3):
    await log_roots(world.desk, [world.root_envelope])
    await world.authorised()
    made = [await world.worker(f"o{n}", capsules=4) for n in range(workers)]
    judge = await world.worker("judge", concludes=True)
    for worker in [*made, judge]:
        await worker.exchange()
    campaign = await world.start()
    await world.turn()
    return campaign, made, judge


def deeds(world) -> list[tuple[ActionRow, OperatorAction]]:
    """Every deed beside its document, verified with the orders key, in order."""

    def gather(tx):
        query = select(ActionRow).join(LogRow, LogRow.digest == ActionRow.digest)
        return list(tx.session.exec(query.order_by(LogRow.id)))

    def document(row):
        raw = world.desk.blobs.get(Digest(row.digest))
        return world.desk.root.verify(OperatorAction, raw, Duty.ORDERS).document

    return [(row, document(row)) for row in world.desk.store.read("deeds", gather)]


def logged(world) -> list[str]:
    query = select(LogRow.digest).where(LogRow.kind == Kind.ACTION.value).order_by(LogRow.id)
    return world.desk.store.read("logged", lambda tx: list(tx.session.exec(query)))


async def do(world, act, subject, *, actor=ADA, reason="wrong parameters", request=""):
    return await acting.act(world.desk, actor, act, subject, reason, request=request)


async def refuses(obstacle, doing):
    with pytest.raises(ActionRefused) as caught:
        await doing
    assert caught.value.why is obstacle
    assert caught.value.sentence


def test_a_cancellation_is_signed_logged_and_done(world):
    async def scenario():
        campaign, workers, _ = await running(world)
        (order,) = (await workers[0].exchange()).orders
        row = await do(world, Act.CANCEL_CAMPAIGN, campaign[:16], request="form 1")
        view = await world.view(campaign)
        assert view.row.state == "cancelled"
        assert "wrong parameters" in view.row.why
        assert not (await workers[0].exchange()).orders
        assert order.attempt not in {held.attempt for held in workers[0].held}
        assert {unit.row.state for entry in view.rounds for unit in entry.units} == {"cancelled"}
        (start, started), (done, document) = deeds(world)
        assert start.act == Act.START_CAMPAIGN.value
        assert (started.means, started.bundle) == (Means.CERTIFICATE, world.bundle.digest)
        assert (done.id, done.digest) == (row.id, row.digest)
        assert document.territory == TERRITORY
        assert (document.campaign, document.reason) == (campaign, "wrong parameters")
        assert (document.role, document.means) == (ActingRole.OPERATOR, Means.PAGE)
        assert logged(world) == [start.digest, done.digest]

    asyncio.run(scenario())


def test_the_log_knows_nobody_by_name_and_no_reason_about_a_worker(world, tmp_path):
    async def scenario():
        await released(world)
        worker = await world.worker("thief", capsules=4)
        for act in (Act.DRAIN_WORKER, Act.RESUME_WORKER, Act.EXCLUDE_WORKER):
            await do(world, act, worker.name, reason="stolen from M. Durand")
        await world.turn()
        await export(world, tmp_path / "evidence", Role.AUDITOR)

    asyncio.run(scenario())
    verdict = audit(EvidenceFolder(tmp_path / "evidence"))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert any("exclusions" in line.found for line in verdict.journal.lines)
    for path in (tmp_path / "evidence").rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            for part in (b"Durand", b"ada@ville", b"id.example"):
                assert part not in raw
                assert base64.b64encode(part)[:-4] not in raw
    found = deeds(world)[1:]
    assert {document.actor for _, document in found} == {found[0][0].account}
    for row, document in found:
        assert document.reason == ""
        assert row.reason == "stolen from M. Durand"
        assert document.sealed == seal(row.salt, row.reason)
        assert document.sealed != seal(row.salt, "another reason")
    assert len({row.salt for row, _ in found}) == 3, "equal reasons look different"


def test_a_drained_worker_finishes_and_gets_nothing_new_until_it_is_let_again(world):
    async def scenario():
        campaign, workers, _ = await running(world)
        first = workers[0]
        (order,) = (await first.exchange()).orders
        await do(world, Act.DRAIN_WORKER, first.name)
        await refuses(Obstacle.ALREADY_DRAINED, do(world, Act.DRAIN_WORKER, first.name))
        batch = await first.exchange([first.report(order)])
        assert [answer.accepted for answer in batch.acknowledgements] == [True]
        await do(world, Act.DRAIN_WORKER, workers[1].name)
        batch = await workers[1].exchange()
        assert not batch.orders
        assert "an operator lets the worker take nothing new" in batch.waiting[0]
        # A worker says at each exchange whether its keeper drains it: that is another thing.
        assert not (await workers[1].exchange()).orders
        await do(world, Act.RESUME_WORKER, workers[1].name)
        await refuses(Obstacle.NOT_DRAINED, do(world, Act.RESUME_WORKER, workers[1].name))
        assert (await workers[1].exchange()).orders
        await campaigns.cancel(world.desk, campaign, "enough")
        # And no plan counts on it.
        second = await world.start("two")
        await world.turn()
        view = await world.view(second)
        assert first.name not in {unit.row.worker for unit in view.rounds[0].units}

    asyncio.run(scenario())


def test_a_ready_unit_says_that_its_worker_is_drained_and_by_whom(world):
    async def reasons(campaign, worker):
        units = [one for entry in (await world.view(campaign)).rounds for one in entry.units]
        (own,) = [one for one in units if one.row.worker == worker.name]
        assert own.row.state == "ready"
        (line,) = [
            line
            for line in units_view.units(world.desk, campaign, Slice(50))
            if line.worker == worker.name
        ]
        assert (line.reason, line.why) == (own.reason, own.why), "pages and commands say the same"
        return own.reason, own.why

    async def scenario():
        campaign, workers, _ = await running(world)
        first, second = workers[:2]
        free = (Reason.WAITING_FOR_REQUEST, "waits until its worker asks for work")
        assert await reasons(campaign, first) == free
        await do(world, Act.DRAIN_WORKER, first.name)
        drained = (Reason.WORKER_DRAINED, "an operator lets the worker take nothing new")
        assert await reasons(campaign, first) == drained
        assert await reasons(campaign, second) == free
        await do(world, Act.RESUME_WORKER, first.name)
        assert await reasons(campaign, first) == free
        second.draining = True
        await second.exchange()
        keepers = (Reason.WORKER_DRAINING, "the worker's keeper asked it to take nothing new")
        assert await reasons(campaign, second) == keepers
        # What has ended or is under way keeps its own reason.
        assert (await first.exchange()).orders
        await do(world, Act.DRAIN_WORKER, first.name)
        view = await world.view(campaign)
        assert {one.reason for one in view.rounds[0].units if one.row.worker == first.name} == {""}

    asyncio.run(scenario())


def test_an_excluded_worker_is_neither_drained_nor_excluded_again(world):
    async def scenario():
        worker = await world.worker("a", capsules=4)
        await do(world, Act.EXCLUDE_WORKER, worker.name)
        for act in (Act.DRAIN_WORKER, Act.RESUME_WORKER, Act.EXCLUDE_WORKER):
            await refuses(Obstacle.ALREADY_EXCLUDED, do(world, act, worker.name))
        assert len(logged(world)) == 1
        row = world.desk.store.read("m", lambda tx: tx.session.get(MemberRow, worker.name))
        assert row.banned_because == "wrong parameters"

    asyncio.run(scenario())


async def failed_unit(world):
    """A unit that its worker refused twice, while its round waits for others."""
    campaign, workers, _ = await running(world)
    for _ in range(2):
        (order,) = (await workers[0].exchange()).orders
        await workers[0].exchange([workers[0].refusal(order)])
        world.clock.advance(20)
        await world.turn()
    unit = world.desk.store.read("unit", lambda tx: tx.session.get(UnitRow, order.unit))
    assert unit.state == "failed"
    return campaign, workers, order.unit


def test_a_failed_unit_is_tried_once_more_and_counts(world):
    async def scenario():
        campaign, workers, unit = await failed_unit(world)
        await do(world, Act.RETRY_UNIT, unit, reason="the image is installed now")
        (order,) = (await workers[0].exchange()).orders
        assert (order.unit, order.number) == (unit, 3)
        batch = await workers[0].exchange([workers[0].report(order)])
        assert batch.acknowledgements[0].accepted
        await refuses(Obstacle.UNIT_SATISFIED, do(world, Act.RETRY_UNIT, unit))
        (_, document) = deeds(world)[-1]
        assert (document.campaign, document.unit, document.worker) == (campaign, unit, None)

    asyncio.run(scenario())


def test_a_retry_is_refused_where_it_could_not_count(world):
    async def scenario():
        campaign, workers, unit = await failed_unit(world)
        (order,) = (await workers[1].exchange()).orders
        await refuses(Obstacle.UNIT_AT_WORK, do(world, Act.RETRY_UNIT, order.unit))
        await workers[1].exchange([workers[1].refusal(order, Outcome.FAILED)])
        await do(world, Act.RETRY_UNIT, order.unit)
        await refuses(Obstacle.UNIT_READY, do(world, Act.RETRY_UNIT, order.unit))
        await do(world, Act.DRAIN_WORKER, workers[0].name)
        await refuses(Obstacle.WORKER_DRAINED, do(world, Act.RETRY_UNIT, unit))
        await do(world, Act.EXCLUDE_WORKER, workers[0].name)
        await refuses(Obstacle.WORKER_EXCLUDED, do(world, Act.RETRY_UNIT, unit))
        for worker in workers[1:]:
            for held in (await worker.exchange()).orders:
                await worker.exchange([worker.report(held)])
        await rounds.close_rounds(world.desk)
        view = await world.view(campaign)
        assert view.rounds[0].row.state != "open"
        await refuses(Obstacle.BATCH_FIXED, do(world, Act.RETRY_UNIT, unit))
        await do(world, Act.CANCEL_CAMPAIGN, campaign)
        await refuses(Obstacle.CAMPAIGN_ENDED, do(world, Act.RETRY_UNIT, unit))

    asyncio.run(scenario())


def test_a_unit_past_its_deadline_or_before_its_plan_is_not_retried(world):
    async def scenario():
        world.witness.asleep = True
        campaign, *_ = await running(world)
        (unit, *_) = [entry.row.id for entry in (await world.view(campaign)).rounds[0].units]
        await refuses(Obstacle.UNIT_WAITS_FOR_LOG, do(world, Act.RETRY_UNIT, unit))
        world.witness.asleep = False
        await world.turn()
        world.clock.advance(3600)
        row = world.desk.store.read("unit", lambda tx: tx.session.get(UnitRow, unit))
        assert row.state == "ready"
        await refuses(Obstacle.UNIT_READY, do(world, Act.RETRY_UNIT, unit))

    asyncio.run(scenario())


def test_the_same_form_does_it_once_and_another_content_is_refused(world):
    async def scenario():
        campaign, workers, _ = await running(world)
        form = {"request": "form 1"}
        rows = await asyncio.gather(
            *(do(world, Act.CANCEL_CAMPAIGN, campaign, **form) for _ in range(5))
        )
        assert len({row.id for row in rows}) == 1
        await refuses(
            Obstacle.CAMPAIGN_ENDED, do(world, Act.CANCEL_CAMPAIGN, campaign, request="form 2")
        )
        with pytest.raises(Conflict):
            await do(world, Act.CANCEL_CAMPAIGN, campaign, reason="another", **form)
        with pytest.raises(Conflict):
            await do(world, Act.DRAIN_WORKER, workers[0].name, **form)
        # Another person's form may bear the same name.
        await do(world, Act.DRAIN_WORKER, workers[0].name, actor=BOB, **form)
        names = world.desk.store.read(
            "a", lambda tx: {row.subject: row.id for row in tx.session.exec(select(AccountRow))}
        )
        assert set(names) == {ADA.subject, BOB.subject, "member:ana"}
        assert all(subject not in name for subject, name in names.items())

    asyncio.run(scenario())


def test_a_start_is_once_per_form_and_says_who(world):
    async def scenario():
        await running(world)
        starts = [
            acting.start(
                world.desk, ADA, world.bundle.digest, b'{"zones":3}', reason="yearly", request="f"
            )
            for _ in range(3)
        ]
        rows = await asyncio.gather(*starts)
        assert len({row.id for row in rows}) == len({row.campaign for row in rows}) == 1
        view = await world.view(rows[0].campaign)
        assert view.row.started_by == rows[0].account
        with pytest.raises(Conflict):
            await acting.start(
                world.desk, ADA, world.bundle.digest, b'{"zones":4}', reason="yearly", request="f"
            )
        assert len(logged(world)) == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("stored", [False, True], ids=["lost", "stored"])
@pytest.mark.parametrize("name", ["cancel-campaign", "ban-member", "start-campaign"])
def test_a_crash_leaves_the_deed_and_its_entry_or_neither(tmp_path, name, stored):
    """Drained, resumed and retried: see test_durable_writes."""
    faults = Once(name, stored=stored)
    world = build(tmp_path, faults=faults)

    async def scenario():
        campaign, workers, _ = await running(world)
        before = len(logged(world))

        async def act():
            if name == "start-campaign":
                return await acting.start(
                    world.desk,
                    ADA,
                    world.bundle.digest,
                    b'{"zones":3}',
                    reason="again",
                    request="form",
                )
            deed = Act.CANCEL_CAMPAIGN if name == "cancel-campaign" else Act.EXCLUDE_WORKER
            subject = campaign if deed is Act.CANCEL_CAMPAIGN else workers[0].name
            return await do(world, deed, subject, request="form")

        faults.armed = True
        with pytest.raises(StoreFailed, match="injected"):
            await act()
        assert len(logged(world)) == len(deeds(world)) == before + stored
        world.reopen()
        row = await act()
        assert logged(world)[-1] == row.digest
        assert len(logged(world)) == len(deeds(world)) == before + 1

    try:
        asyncio.run(scenario())
    finally:
        world.desk.store.close()
        world.desk.log.close()


@pytest.mark.parametrize("reason", ["", "  \n ", "\u202e\u200b", "x" * (MAXIMUM_REASON + 1)])
def test_nothing_is_done_without_a_reason(world, reason):
    async def scenario():
        worker = await world.worker("a", capsules=4)
        for act in (Act.DRAIN_WORKER, Act.EXCLUDE_WORKER, Act.START_CAMPAIGN):
            with pytest.raises(InputRefused):
                await do(world, act, worker.name, reason=reason)
        with pytest.raises(Unknown):
            await do(world, Act.DRAIN_WORKER, "wrk_%%%%%%%%")
        with pytest.raises(Unknown):
            await do(world, Act.RETRY_UNIT, "unit_")
        with pytest.raises(InputRefused):
            await do(world, Act.DRAIN_WORKER, worker.name, request="x" * 200)
        with pytest.raises(InputRefused):
            await do(world, Act.DRAIN_WORKER, worker.name, request="\ud800")
        assert logged(world) == []
        row = world.desk.store.read("w", lambda tx: tx.session.get(WorkerRow, worker.name))
        assert row.drained_at is None

    asyncio.run(scenario())


def test_a_stolen_token_does_not_fill_the_log(world, monkeypatch):
    monkeypatch.setattr(actions, "MOST_AN_HOUR", 3)

    async def scenario():
        worker = await world.worker("a", capsules=4)
        for act in (Act.DRAIN_WORKER, Act.RESUME_WORKER, Act.DRAIN_WORKER):
            await do(world, act, worker.name)
        for actor in (ADA, Actor(ADA.subject, Means.PROGRAM)):
            with pytest.raises(TooManyActions):
                await do(world, Act.RESUME_WORKER, worker.name, actor=actor)
        assert len(logged(world)) == 3
        row = world.desk.store.read("w", lambda tx: tx.session.get(WorkerRow, worker.name))
        assert row.drained_at is not None, "what was refused was not done either"
        await do(world, Act.RESUME_WORKER, worker.name, actor=BOB)
        world.clock.advance(3601)
        await do(world, Act.DRAIN_WORKER, worker.name)

    asyncio.run(scenario())


@given(st.text(max_size=400))
def test_a_reason_is_one_printable_bounded_line(text):
    reason = tidy_reason(text)
    assert len(reason) <= len(text)
    assert reason.isprintable()
    assert tidy_reason(reason) == reason


MOVES = st.lists(
    st.tuples(
        st.sampled_from([*(act for act in Act if act is not Act.START_CAMPAIGN), "work", "time"]),
        st.integers(0, 2),
    ),
    max_size=14,
)


async def play(world, move, who, story):
    """One move; True where it was a deed that was done."""
    campaign, workers, judge, excluded = story
    if move == "time":
        world.clock.advance(20)
        await world.turn()
    elif move == "work":
        for one in [*workers, judge]:
            if one.name not in excluded:
                await one.exchange()
                for order in tuple(one.held):
                    await one.exchange([one.report(order) if who else one.refusal(order)])
        await world.turn()
    else:
        units = (await world.view(campaign)).rounds[0].units
        mine = [unit.row.id for unit in units if unit.row.worker == workers[who].name]
        subject = workers[who].name if move.about_worker else campaign
        with contextlib.suppress(ActionRefused):
            await do(world, move, mine[0] if move is Act.RETRY_UNIT else subject)
            excluded |= {subject} if move is Act.EXCLUDE_WORKER else set()
            return True
    return False


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(MOVES)
def test_any_history_of_deeds_passes_the_audit(tmp_path_factory, moves):
    """Whatever operators do in whatever order, what was done is what the log says."""
    folder = tmp_path_factory.mktemp("history")
    world = build(folder)

    async def scenario():
        story = (*await running(world), set())
        done = 1
        for move, who in moves:
            done += await play(world, move, who, story)
            assert len(logged(world)) == len(deeds(world)) == done
        await world.turn()
        await export(world, folder / "evidence", Role.AUDITOR)

    try:
        asyncio.run(scenario())
        verdict = audit(EvidenceFolder(folder / "evidence"))
        assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    finally:
        world.desk.store.close()
        world.desk.log.close()


def test_the_reason_stays_a_sentence_that_pages_can_retell(world):
    async def scenario():
        campaign, *_ = await running(world)
        await do(world, Act.CANCEL_CAMPAIGN, campaign, reason="<b>x</b> {what}")
        row = (await world.view(campaign)).row
        assert row.reason == Reason.CAMPAIGN_CANCELLED.value
        assert row.why == "cancelled by an operator: <b>x</b> {what}"

    asyncio.run(scenario())
