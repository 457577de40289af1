"""The exchange: exactly once whatever is lost, and nothing from whom it should not be."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.errors import (
    IdentityShared,
    InputRefused,
    MessageEarly,
    MessageExpired,
    NotEnrolled,
    NotYours,
    WrongTerritory,
)
from scheduler.service import answering, campaigns, consents, exchange, exclusion
from scheduler.service.desk import Limits
from scheduler.store.tables import AttemptRow, UnitRow, WorkerRow
from trust import schema
from trust.certificates import Peer, Role
from trust.documents import signed
from trust.documents.consent import Decision
from trust.documents.governance import Status, Suspended
from trust.documents.reporting import Outcome, Progress, ReportBatch
from trust.dsse import Envelope
from trust.errors import Malformed, SignatureInvalid, TooLarge
from trust.ids import AttemptId, AuthorisationId, Digest, FencingToken, UnitId
from trust.keys import PrivateKey


async def polling(world):
    """Return once an exchange waits for news."""
    async with asyncio.timeout(5):
        while world.desk.meters.polls._value.get() == 0:  # noqa: ASYNC110 - a gauge, not an event
            await asyncio.sleep(0)


async def leased(world, *, capsules=(4, 5)):
    """Two workers that hold one contribute order each, and their campaign."""
    await world.authorised()
    workers = [
        await world.worker(f"operator{n}", capsules=count) for n, count in enumerate(capsules)
    ]
    for worker in workers:
        await worker.exchange()
    campaign = await world.start()
    await world.turn()
    for worker in workers:
        await worker.exchange()
        assert len(worker.held) == 1
    return campaign, workers


def test_the_same_batch_gets_the_same_bytes(world):
    async def scenario():
        campaign, (first, _) = await leased(world)
        (order,) = first.held
        raw = first.batch([first.report(order)])
        once = await exchange.exchange(world.desk, world.standing, first.peer, raw)
        twice = await exchange.exchange(world.desk, world.standing, first.peer, raw)
        assert once == twice
        view = await world.view(campaign)
        assert [unit.attempts for unit in view.rounds[0].units] == [1, 1]

    asyncio.run(scenario())


def test_a_repeated_number_with_other_bytes_is_two_machines_with_one_identity(world):
    async def scenario():
        _, (first, _) = await leased(world)
        first.sequence -= 1
        with pytest.raises(IdentityShared):
            await first.send(first.batch(held=()))
        first.sequence = 0
        with pytest.raises(IdentityShared):
            await first.send(first.batch())

    asyncio.run(scenario())


def test_an_order_carries_what_it_rests_on(world):
    async def scenario():
        _, (first, _) = await leased(world)
        kinds = {
            exhibit.envelope.split(b'"payloadType":"')[1].split(b'"')[0]
            for exhibit in first.exhibits
        }
        assert kinds == {
            b"application/vnd.cadastre.authorisation.v1+json",
            b"application/vnd.cadastre.plan.v1+json",
            b"application/vnd.cadastre.bundle.v1+json",
        }
        assert [bool(exhibit.proof) for exhibit in first.exhibits].count(True) == 2

    asyncio.run(scenario())


def test_a_stale_token_never_overwrites(world):
    async def scenario():
        campaign, (first, _) = await leased(world)
        (order,) = first.held
        stolen = replace(first.report(order), token=FencingToken.draw(world.desk.entropy))
        (receipt,) = (await first.exchange([stolen])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "stale-token")
        view = await world.view(campaign)
        assert "satisfied" not in {unit.row.state for unit in view.rounds[0].units}

    asyncio.run(scenario())


def test_another_workers_attempt_cannot_be_reported(world):
    async def scenario():
        _, (first, second) = await leased(world)
        (order,) = first.held
        (receipt,) = (await second.exchange([second.report(order)])).acknowledgements
        assert not receipt.accepted
        unknown = replace(
            second.report(second.held[0]) if second.held else second.report(order),
            attempt=AttemptId.draw(world.desk.entropy),
            unit=UnitId.draw(world.desk.entropy),
        )
        (receipt,) = (await second.exchange([unknown])).acknowledgements
        assert receipt.reason == "unknown-attempt"

    asyncio.run(scenario())


def test_a_lease_that_ran_out_is_leased_again_and_the_late_report_told_so(world):
    async def scenario():
        _, (first, _) = await leased(world)
        (order,) = first.held
        late = first.report(order)
        world.clock.advance(900)
        await world.turn()
        (receipt,) = (await first.exchange([late])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "lease-expired")

    asyncio.run(scenario())


def test_a_worker_that_lost_its_lease_gets_it_again_with_another_token(world):
    async def scenario():
        _, (first, _) = await leased(world)
        (old,) = first.held
        first.held = []
        assert (await first.exchange()).orders == ()
        world.clock.advance(30)
        await world.turn()
        (order,) = (await first.exchange()).orders
        assert order.unit == old.unit
        assert order.number == 2
        assert order.token != old.token
        (receipt,) = (await first.exchange([first.report(order)])).acknowledgements
        assert receipt.accepted

    asyncio.run(scenario())


def test_a_cancelled_campaign_stops_the_attempt(world):
    async def scenario():
        campaign, (first, _) = await leased(world)
        (order,) = first.held
        await campaigns.cancel(world.desk, campaign, "no longer needed")
        batch = await first.exchange()
        assert [(item.attempt, item.reason) for item in batch.cancellations] == [
            (order.attempt, "campaign-cancelled")
        ]
        (receipt,) = (await first.exchange([first.report(order)])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "campaign-cancelled")

    asyncio.run(scenario())


def test_a_suspension_by_the_college_stops_everything(world):
    async def scenario():
        document = await world.authorised()
        worker = await world.worker("a", capsules=4)
        other = await world.worker("b", capsules=4)
        for each in (worker, other):
            await each.exchange()
        campaign = await world.start()
        await world.turn()
        await worker.exchange()
        await world.suspend(document)
        assert len((await worker.exchange()).cancellations) == 1
        view = await world.view(campaign)
        assert (view.row.state, view.row.reason) == ("failed", "authorisation-suspended")

    asyncio.run(scenario())


def test_governances_status_stops_what_the_college_suspended(world):
    async def scenario():
        campaign, (first, _) = await leased(world)
        row = (await world.view(campaign)).row
        line = Suspended(AuthorisationId(row.authorisation), "a doubt")
        _publish_status(world, {}, number=7, suspensions=(line,))
        await world.standing.refresh()
        assert (await world.view(campaign)).row.state == "failed"
        # A replayed older status is not believed.
        _publish_status(world, {str(first.name): 99}, number=6)
        await world.standing.refresh()
        known = await world.standing.live_consents(
            world.bundle.digest, "tests", first.name, least=1
        )
        assert known == 0

    asyncio.run(scenario())


def test_a_revocation_wakes_the_long_poll(world, tmp_path):
    async def scenario():
        worker = await world.worker("a", capsules=3)
        await worker.exchange()
        await worker.exchange()
        world.desk.limits = Limits(heartbeat=20.0)
        poll = asyncio.create_task(worker.exchange())
        await polling(world)
        revoked = worker.consent(1, serial=2, decision=Decision.REVOKE)
        await consents.submit(world.desk, [revoked])
        async with asyncio.timeout(5):
            await poll
        assert worker.delivered[-1] == revoked

    asyncio.run(scenario())


def test_a_cancellation_wakes_the_long_poll(world):
    async def scenario():
        campaign, (first, _) = await leased(world)
        await first.exchange()
        world.desk.limits = Limits(heartbeat=20.0)
        poll = asyncio.create_task(first.exchange())
        await polling(world)
        await campaigns.cancel(world.desk, campaign, "stop")
        async with asyncio.timeout(5):
            assert len((await poll).cancellations) == 1

    asyncio.run(scenario())


def test_consents_are_delivered_until_the_worker_shows_that_it_has_them(world):
    async def scenario():
        worker = await world.worker("a", capsules=3)
        raw = worker.batch()
        await worker.send(raw)
        await worker.send(raw)  # the response was lost: the same again
        assert len(worker.delivered) == 6
        await worker.exchange()
        await worker.exchange()
        assert len(worker.delivered) == 6
        status = await consents.status(world.desk, list(worker.capsules))
        assert all(row.delivered for row in status)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"plan": Digest.of(b"x")}, "plan"),
        ({"bundle": Digest.of(b"x")}, "bundle"),
        ({"parameters": Digest.of(b"x")}, "parameters"),
        ({"territory": "other.example"}, "territory"),
        ({"round": 2}, "round"),
        ({"image": Digest.of(b"x")}, "runtime image"),
        ({"level": "L0"}, "sandbox level"),
        ({"contributors": 2}, "contributors"),
        ({"variances": {}}, "variances"),
        ({"variances": {"counts": "much"}}, "much"),
        # Less noise than was voted, more of it, and another spelling of the same.
        ({"variances": {"counts": "4"}}, "variances"),
        ({"variances": {"counts": "50"}}, "variances"),
        ({"variances": {"counts": "5.0"}}, "variances"),
        ({"variances": {"counts": "5", "more": "5"}}, "variances"),
    ],
)
def test_a_partial_that_does_not_match_its_order_is_rejected(world, changes, says):
    async def scenario():
        campaign, (first, _) = await leased(world)
        (order,) = first.held
        report = first.report(order, **changes)
        (receipt,) = (await first.exchange([report])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "statement-refused")
        view = await world.view(campaign)
        assert "waiting-for-back-off" in {unit.row.reason for unit in view.rounds[0].units}

    asyncio.run(scenario())


def test_a_workers_second_partial_of_a_round_is_rejected_whatever_its_unit_or_envelope(world):
    async def scenario():
        _, (first, _) = await leased(world)
        (order,) = first.held
        (receipt,) = (await first.exchange([first.report(order)])).acknowledgements
        assert receipt.accepted
        # A fault of ours: a second unit for the same worker and round.
        unit, attempt = UnitId.draw(world.desk.entropy), AttemptId.draw(world.desk.entropy)

        def double(tx):
            old, taken = (
                tx.session.get(UnitRow, order.unit),
                tx.session.get(AttemptRow, order.attempt),
            )
            tx.session.add(
                UnitRow(**(old.model_dump() | {"id": unit, "state": "leased", "worker": None}))
            )
            tx.session.flush()
            fresh = {"id": attempt, "unit": unit, "state": "leased", "statement": None}
            fresh |= {"report": None, "values_digest": None}
            tx.session.add(AttemptRow(**(taken.model_dump() | fresh)))

        await world.desk.run("double", double)
        again = replace(order, unit=unit, attempt=attempt)
        first.held.append(again)
        (receipt,) = (await first.exchange([first.report(again)])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "statement-refused")

    asyncio.run(scenario())


def test_progress_is_shown_as_a_share_of_the_units_capsules(world):
    async def scenario():
        _, (first, _) = await leased(world)
        (order,) = first.held

        async def shown(done, total):
            await first.exchange(progress=(Progress(order.unit, order.attempt, done, total),))
            unit = await world.desk.look("x", lambda tx: tx.session.get(UnitRow, order.unit))
            return unit.done

        assert await shown(5, 10) == 2
        assert await shown(10, 10) == 4
        assert [await shown(*odd) for odd in ((99, 10), (-1, 10), (1, 0), (1, -5))] == [4, 0, 0, 0]

    asyncio.run(scenario())


def test_values_that_are_missing_or_of_another_layout_are_rejected(world):
    async def scenario():
        _, (first, second) = await leased(world)
        missing = first.report(first.held[0], values=Digest.of(b"never put"))
        (receipt,) = (await first.exchange([missing])).acknowledgements
        assert receipt.reason == "values-missing"
        odd = second.report(second.held[0], values=world.desk.blobs.put(b"not columns"))
        (receipt,) = (await second.exchange([odd])).acknowledgements
        assert receipt.reason == "values-refused"

    asyncio.run(scenario())


def test_a_cohort_above_the_known_consents_is_rejected(world):
    async def scenario():
        _, (first, _) = await leased(world)
        more = first.report(first.held[0], capsules=5, contributors=5)
        (receipt,) = (await first.exchange([more])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "above-consents")

    asyncio.run(scenario())


def test_a_cohort_above_the_registry_is_rejected_after_asking_again(world):
    async def scenario():
        _, (first, second) = await leased(world)
        _publish_status(world, {first.name: 3, second.name: 5})
        await world.standing.refresh()
        (receipt,) = (await first.exchange([first.report(first.held[0])])).acknowledgements
        assert receipt.reason == "above-registry"
        _publish_status(world, {first.name: 4, second.name: 5}, number=2)
        (receipt,) = (await second.exchange([second.report(second.held[0])])).acknowledgements
        assert receipt.accepted

    asyncio.run(scenario())


def test_a_consent_withdrawn_while_the_round_runs_does_not_void_the_partial(world):
    async def scenario():
        _, (first, _) = await leased(world)
        report = first.report(first.held[0])
        world.clock.advance(5)
        await consents.submit(world.desk, [first.consent(0, serial=2, decision=Decision.REVOKE)])
        (receipt,) = (await first.exchange([report])).acknowledgements
        assert receipt.accepted

    asyncio.run(scenario())


def test_a_worker_that_refuses_twice_ends_its_unit_and_the_round_says_why(world):
    async def scenario():
        campaign, (first, second) = await leased(world)
        await second.exchange([second.report(second.held[0])])
        for _ in range(2):
            (order,) = first.held
            await first.exchange([first.refusal(order)])
            world.clock.advance(25)
            await world.turn()
            await first.exchange()
        await world.turn()
        view = await world.view(campaign)
        assert (view.row.state, view.row.reason) == ("failed", "quorum-missed")
        units = {unit.row.worker: unit.row for unit in view.rounds[0].units}
        assert "altered-bundle" in units[first.name].why

    asyncio.run(scenario())


def test_failures_halve_the_quota_and_the_waiting_sentence_says_so(world):
    async def scenario():
        _, (first, _) = await leased(world)
        (order,) = first.held
        await first.exchange([first.refusal(order, Outcome.FAILED)])
        row = await world.desk.look("x", lambda tx: tx.session.get(WorkerRow, first.name))
        assert row.quota_daily == 32

    asyncio.run(scenario())


def test_a_worker_that_refuses_what_it_was_ordered_keeps_its_quota(world):
    async def scenario():
        _, (first, _) = await leased(world)
        (order,) = first.held
        await first.exchange([first.refusal(order, Outcome.REFUSED)])
        row = await world.desk.look("x", lambda tx: tx.session.get(WorkerRow, first.name))
        assert row.quota_daily == 64

    asyncio.run(scenario())


def test_the_poll_of_a_worker_without_quota_is_not_answered_at_once_again_and_again(world):
    """Found in the demo: 26 exchanges a second, each saying that the quota is used up."""

    async def scenario():
        await world.authorised()
        workers = [await world.worker(f"operator{n}", capsules=4) for n in range(2)]
        for worker in workers:
            await worker.exchange()
        await world.start()
        await world.turn()
        first = workers[0]
        first.slots = 0  # what waits for it is delivered, but nothing is leased
        await first.exchange()
        await first.exchange()
        document = schema.decode(ReportBatch, Envelope.parse(first.batch()).payload)

        def news(tx, left):
            row = tx.session.get(WorkerRow, first.name)
            row.sequence, row.slots = document.sequence, 4
            row.quota_used = row.quota_daily - left
            return answering.has_news(tx, world.desk, document)

        assert await world.desk.run("with-quota", lambda tx: news(tx, 1))
        assert not await world.desk.run("without", lambda tx: news(tx, 0))

    asyncio.run(scenario())


def test_what_is_not_this_workers_batch_is_refused(world):
    async def scenario():
        worker = await world.worker("a", capsules=3)
        other = await world.worker("b", capsules=3)
        desk, standing = world.desk, world.standing
        good = worker.batch()

        async def refuses(raw, problem, peer=worker.peer):
            with pytest.raises(problem):
                await exchange.exchange(desk, standing, peer, raw)

        await refuses(b"", Malformed)
        await refuses(good[:-10], Malformed)
        await refuses(b"{" * 5_000_000, TooLarge)
        await refuses(good.replace(b'"sig":"', b'"sig":"AAAA', 1), Malformed)
        await refuses(other.batch(), SignatureInvalid)
        forger = replace(worker, key=PrivateKey.generate(desk.entropy))
        await refuses(forger.batch(), SignatureInvalid)
        await refuses(worker.batch(worker=other.name), NotYours)
        await refuses(worker.batch(territory="other.example"), WrongTerritory)
        await refuses(worker.batch(sent_at=world.clock.now() - timedelta(days=2)), MessageExpired)
        await refuses(worker.batch(sent_at=world.clock.now() + timedelta(hours=1)), MessageEarly)
        await refuses(worker.batch(sequence=0), InputRefused)
        many = tuple(AttemptId.draw(desk.entropy) for _ in range(300))
        await refuses(worker.batch(held=many), InputRefused)
        await refuses(good, NotEnrolled, Peer("plaine.example", Role.WORKER, "wrk_nobody", 1))
        await exclusion.exclude(desk, worker.name, "left the city")
        await refuses(worker.batch(), NotEnrolled)

    asyncio.run(scenario())


def test_a_draining_worker_gets_nothing_and_is_told_why(world):
    async def scenario():
        await world.authorised()
        worker = await world.worker("a", capsules=4)
        worker.draining = True
        batch = await worker.exchange()
        assert batch.waiting == ("the worker's keeper asked it to take nothing new",)

    asyncio.run(scenario())


def _publish_status(world, live, *, number=1, suspensions=()):
    document = Status(
        territory="plaine.example",
        number=number,
        issued_at=world.clock.now(),
        expires_at=world.clock.now() + timedelta(days=1),
        suspensions=suspensions,
        revoked=(),
        live_consents={str(world.bundle.digest): live},
    )
    world.status["now"] = signed.sign(document, [world.keys["status"]]).envelope.raw
