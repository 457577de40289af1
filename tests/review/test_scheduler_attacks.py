"""Attacks on the scheduler by members, former members, and whoever finds its ports."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError
from sqlmodel import select

from scheduler import logs, site
from scheduler.errors import (
    BlobRefused,
    ConsentRefused,
    InputRefused,
    NotEnrolled,
    QuotaExceeded,
    Unknown,
    ValuesNotDue,
)
from scheduler.rpc.servers import ROLES
from scheduler.rpc.views import campaign as campaign_message
from scheduler.service import (
    bundles,
    campaigns,
    consents,
    evidence,
    exchange,
    exclusion,
    membership,
    starting,
    sweeping,
)
from scheduler.service.transfers import Chunk, Transfers
from scheduler.site import Site, SiteServer
from scheduler.store.tables import AttemptRow, BlobRow, CapsuleRow, TokenRow, WorkerRow
from trust import certificates
from trust.certificates import Peer, Role
from trust.documents import signed
from trust.documents.consent import Decision
from trust.documents.governance import Status, Suspended
from trust.documents.membership import EnrolmentProof
from trust.documents.reporting import Outcome
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.problem import Problem
from wire.limits import MAXIMUM_MESSAGE_BYTES


def _territory():
    path = Path(__file__).parents[1] / "scheduler" / "conftest.py"
    name = "review_scheduler_territory"
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


TERRITORY = _territory()
OPERATOR = Peer("plaine.example", Role.OPERATOR, "ana", 1)


@pytest.fixture
def world(tmp_path) -> Iterator:
    made = TERRITORY.build(tmp_path)
    yield made
    made.desk.store.close()
    made.desk.log.close()


@pytest.fixture
def transfers(world, tmp_path):
    return Transfers(world.desk, tmp_path / "staging")


async def leased(world, *, operators=2):
    """Workers that hold one contribute order each, and their campaign."""
    document = await world.authorised()
    workers = [await world.worker(f"operator{n}", capsules=4) for n in range(operators)]
    for worker in workers:
        await worker.exchange()
    campaign = await world.start()
    await world.turn()
    for worker in workers:
        await worker.exchange()
        assert len(worker.held) == 1
    return campaign, workers, document


async def put(transfers, peer, data):
    async def chunks():
        yield Chunk(Digest.of(data), 0, data)

    return await transfers.put(peer, chunks())


async def attempt_of(world, order):
    return await world.desk.look("read", lambda tx: tx.session.get(AttemptRow, order.attempt))


async def stored(world, digest):
    return await world.desk.look("read", lambda tx: tx.session.get(BlobRow, str(digest)))


async def refuses(problem, action):
    with pytest.raises(problem) as caught:
        await action
    return caught.value


# --- values for attempts that are over ---


def test_a_worker_without_a_lease_leaves_nothing(world, transfers, tmp_path):
    async def scenario():
        worker = await world.worker("a", capsules=4)
        error = await refuses(ValuesNotDue, put(transfers, worker.peer, b"noise"))
        assert error.code == "values-not-due"
        assert list((tmp_path / "staging").iterdir()) == []
        assert not world.desk.blobs.has(Digest.of(b"noise"))

    asyncio.run(scenario())


def test_a_restored_copy_cannot_leave_a_second_noised_partial_for_a_live_attempt(world, transfers):
    async def scenario():
        _, (first, second), _ = await leased(world)
        await put(transfers, first.peer, b"the values, noised once")
        await refuses(ValuesNotDue, put(transfers, first.peer, b"the values, noised twice"))
        assert not world.desk.blobs.has(Digest.of(b"the values, noised twice"))
        # What is stored may be said again, and another worker's lease is its own.
        await put(transfers, first.peer, b"the values, noised once")
        await put(transfers, second.peer, b"other values")

    asyncio.run(scenario())


@pytest.mark.parametrize("end", ["accepted", "rejected", "expired", "cancelled", "abandoned"])
def test_nothing_new_is_stored_for_an_attempt_that_ended(world, transfers, end):
    async def scenario():
        campaign, (worker, _), _ = await leased(world)
        (order,) = worker.held
        report = worker.report(order)
        raw = b"".join(path.read_bytes() for path in (world.folder / "objects").rglob("none"))
        assert raw == b""
        partial = signed.verify(TERRITORY.Partial, report.statement, {worker.key.public}).document
        values = world.desk.blobs.get(partial.values)
        await put(transfers, worker.peer, values)
        if end == "accepted":
            assert (await worker.exchange([report])).acknowledgements[0].accepted
        elif end == "rejected":
            await worker.exchange([worker.refusal(order, Outcome.FAILED)])
        elif end == "expired":
            world.clock.advance(901)  # nobody looked yet: the moment alone ends it
        elif end == "cancelled":
            await campaigns.cancel(world.desk, campaign, "stop")
        else:
            worker.held = []
            await worker.exchange()
        await refuses(ValuesNotDue, put(transfers, worker.peer, values + b"drawn again"))
        # Byte-identical to what is stored: the answer was lost, it is asked again.
        assert (await put(transfers, worker.peer, values))[0] == partial.values

    asyncio.run(scenario())


def test_the_next_attempt_of_a_unit_has_no_room_for_other_values(world, transfers):
    async def scenario():
        _, (worker, _), _ = await leased(world)
        await put(transfers, worker.peer, b"noised once")
        worker.held = []
        await worker.exchange()
        world.clock.advance(30)
        await world.turn()
        await worker.exchange()
        assert worker.held[0].number == 2
        await refuses(ValuesNotDue, put(transfers, worker.peer, b"noised twice"))
        await put(transfers, worker.peer, b"noised once")

    asyncio.run(scenario())


def test_values_of_a_unit_that_failed_do_not_block_the_next_campaign(world, transfers):
    async def scenario():
        campaign, workers, _ = await leased(world)
        worker = workers[0]
        await put(transfers, worker.peer, b"never reported")
        await campaigns.cancel(world.desk, campaign, "stop")
        for each in workers:
            await each.exchange()
        await world.start("two")
        await world.turn()
        await worker.exchange()
        assert len(worker.held) == 1
        await put(transfers, worker.peer, b"of the next campaign")

    asyncio.run(scenario())


def test_a_put_that_outlives_its_lease_is_refused_at_its_end(world, transfers, tmp_path):
    async def scenario():
        _, (worker, _), _ = await leased(world)
        data = b"half" + b"other half"

        async def slow():
            yield Chunk(Digest.of(data), 0, data[:4])
            world.clock.advance(901)
            yield Chunk("", 4, data[4:])

        await refuses(ValuesNotDue, transfers.put(worker.peer, slow()))
        assert await stored(world, Digest.of(data)) is None
        assert not world.desk.blobs.has(Digest.of(data))
        assert list((tmp_path / "staging").iterdir()) == []

    asyncio.run(scenario())


def test_stored_bytes_of_another_worker_are_no_oracle(world, transfers):
    async def scenario():
        _, (first, _), _ = await leased(world)
        idle = await world.worker("idle", capsules=4)
        await put(transfers, first.peer, b"values")
        await refuses(ValuesNotDue, put(transfers, idle.peer, b"values"))
        assert not (await transfers.stat(idle.peer, Digest.of(b"values"))).stored

    asyncio.run(scenario())


def test_auditors_store_nothing(world):
    assert Role.AUDITOR not in ROLES["/cadastre.v1.Blobs/Put"]
    assert Role.WORKER in ROLES["/cadastre.v1.Blobs/Put"]


# --- filling the disk ---


def test_unfinished_puts_count_for_the_quota(world, transfers):
    async def scenario():
        world.desk.limits = replace(world.desk.limits, member_blob_bytes=1000)

        async def broken(data):
            yield Chunk(Digest.of(data), 0, data)
            raise ConnectionError

        for number in range(2):
            with pytest.raises(ConnectionError):
                await transfers.put(OPERATOR, broken(bytes([number]) * 450))
        await refuses(QuotaExceeded, put(transfers, OPERATOR, bytes(200)))
        # Somebody whose name begins alike has a quota of their own.
        await put(transfers, replace(OPERATOR, name="ana-b"), b"more")

    asyncio.run(scenario())


def test_one_put_stays_below_the_quota_too(world, transfers):
    async def scenario():
        world.desk.limits = replace(world.desk.limits, member_blob_bytes=1000)
        data = bytes(2000)

        async def long():
            yield Chunk(Digest.of(data), 0, data[:900])
            yield Chunk("", 900, data[900:])

        await refuses(QuotaExceeded, transfers.put(OPERATOR, long()))

    asyncio.run(scenario())


def test_many_empty_transfers_are_not_many_files(world, transfers, tmp_path):
    async def scenario():
        async def broken(number):
            yield Chunk(Digest.of(bytes([number, 7])), 0, b"")
            raise ConnectionError

        refused = 0
        for number in range(200):
            try:
                await transfers.put(OPERATOR, broken(number))
            except ConnectionError:
                continue
            except QuotaExceeded:
                refused += 1
        assert refused > 0
        assert len(list((tmp_path / "staging").iterdir())) <= 100

    asyncio.run(scenario())


def test_two_streams_of_one_blob_end_in_a_refusal_not_in_a_fault(world, transfers):
    async def scenario():
        data = b"twice at once"
        go = asyncio.Event()

        async def first():
            yield Chunk(Digest.of(data), 0, data)
            await go.wait()

        async def second():
            yield Chunk(Digest.of(data), len(data), b"")
            await one
            return

        one = asyncio.create_task(transfers.put(OPERATOR, first()))
        await asyncio.sleep(0)
        while not (await transfers.stat(OPERATOR, Digest.of(data))).received:  # noqa: ASYNC110
            await asyncio.sleep(0)
        two = asyncio.create_task(transfers.put(OPERATOR, second()))
        await asyncio.sleep(0)
        go.set()
        try:
            await two
        except Problem as error:
            assert isinstance(error, BlobRefused)  # noqa: PT017 - either end is fine
        assert (await one)[0] == Digest.of(data)

    asyncio.run(scenario())


def test_a_blob_put_again_while_it_is_swept_stays(world, transfers):
    """The row went, the blob was put again, then its bytes were removed."""

    async def scenario():
        await put(transfers, OPERATOR, b"old")
        world.clock.advance(8 * 86_400)
        swept = asyncio.create_task(sweeping.sweep(world.desk))
        again = asyncio.create_task(put(transfers, OPERATOR, b"old"))
        await asyncio.gather(swept, again)
        row = await stored(world, Digest.of(b"old"))
        assert (row is not None) == world.desk.blobs.has(Digest.of(b"old"))
        await put(transfers, OPERATOR, b"old")
        assert world.desk.blobs.get(Digest.of(b"old")) == b"old"

    asyncio.run(scenario())


# --- somebody else's identity ---


def test_a_stolen_token_does_not_end_another_workers_attempt(world):
    async def scenario():
        _, (first, second), _ = await leased(world)
        (order,) = first.held
        stolen = first.refusal(order, Outcome.FAILED)
        (receipt,) = (await second.exchange([stolen])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "unknown-attempt")
        assert (await attempt_of(world, order)).state == "leased"
        row = await world.desk.look("x", lambda tx: tx.session.get(WorkerRow, first.name))
        assert row.quota_daily == 64

    asyncio.run(scenario())


async def concluding(world):
    campaign, workers, _ = await leased(world)
    judge = await world.worker("judge", concludes=True)
    await judge.exchange()
    for worker in workers:
        await worker.exchange([worker.report(worker.held[0])])
    await world.turn()
    await judge.exchange()
    return campaign, workers, judge


def test_a_conclusion_in_another_workers_name_is_refused(world):
    async def scenario():
        _, (other, _), judge = await concluding(world)
        (order,) = judge.held
        report = judge.report(order, worker=other.name)
        (receipt,) = (await judge.exchange([report])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "statement-refused")

    asyncio.run(scenario())


def test_a_conclusion_of_an_image_that_was_not_voted_is_refused(world):
    async def scenario():
        _, _, judge = await concluding(world)
        report = judge.report(judge.held[0], image=Digest.of(b"another image"))
        (receipt,) = (await judge.exchange([report])).acknowledgements
        assert (receipt.accepted, receipt.reason) == (False, "statement-refused")

    asyncio.run(scenario())


def enrolment(world, key, *, role="worker", operator="a", signer=None, **changes):
    """(secret, request, proof) for a fresh token."""
    secret, _ = membership.create_token(
        world.desk.store, world.desk.entropy, 3600, role=role, operator=operator, site="here"
    )
    request = certificates.make_request(certificates.new_key(), "x")
    proof = EnrolmentProof(
        Digest.of(secret), Digest.of(request), key.public, bytes(32), operator, "here"
    )
    raw = signed.sign(replace(proof, **changes), [signer or key]).envelope.raw
    return secret, request, raw


def test_an_excluded_member_does_not_come_back_with_the_token_it_joined_with(world):
    async def scenario():
        key = PrivateKey.generate(world.desk.entropy)
        papers = enrolment(world, key)
        admitted = await membership.enrol(world.desk, *papers)
        await exclusion.exclude(world.desk, admitted.name, "lied")
        await refuses(NotEnrolled, membership.enrol(world.desk, *papers))

    asyncio.run(scenario())


def test_nobody_enrols_with_a_key_that_is_not_theirs(world):
    async def scenario():
        victim = await world.worker("victim", capsules=3)
        mallory = PrivateKey.generate(world.desk.entropy)
        forged = enrolment(world, victim.key, signer=mallory)
        error = await refuses(Problem, membership.enrol(world.desk, *forged))
        assert error.code == "enrolment-proof-refused"
        # Nor does the same key become a person as well.
        both = enrolment(world, victim.key, role="operator", operator="bob")
        error = await refuses(NotEnrolled, membership.enrol(world.desk, *both))
        assert "UNIQUE" not in error.sentence

    asyncio.run(scenario())


def test_a_role_is_not_changed_by_a_second_token(world):
    """Else the deny list and renewal would know one role and the certificate another."""

    async def scenario():
        key = PrivateKey.generate(world.desk.entropy)
        await membership.enrol(world.desk, *enrolment(world, key, role="author", operator="bob"))
        await refuses(
            NotEnrolled,
            membership.enrol(world.desk, *enrolment(world, key, role="operator", operator="bob")),
        )

    asyncio.run(scenario())


def test_a_person_is_never_called_like_a_worker(world):
    async def scenario():
        victim = PrivateKey.generate(world.desk.entropy)
        with pytest.raises(InputRefused):
            enrolment(world, victim, role="author", operator=str(victim.public.worker_id))

    asyncio.run(scenario())


def test_one_token_and_many_racing_keys_admit_one(world):
    async def scenario():
        secret, _ = membership.create_token(
            world.desk.store, world.desk.entropy, 3600, role="worker", operator="a", site="here"
        )

        async def race():
            key = PrivateKey.generate(world.desk.entropy)
            request = certificates.make_request(certificates.new_key(), "x")
            proof = EnrolmentProof(
                Digest.of(secret), Digest.of(request), key.public, bytes(32), "a", "here"
            )
            raw = signed.sign(proof, [key]).envelope.raw
            return await membership.enrol(world.desk, secret, request, raw)

        ended = await asyncio.gather(*(race() for _ in range(12)), return_exceptions=True)
        assert sum(not isinstance(item, Exception) for item in ended) == 1
        assert {item.code for item in ended if isinstance(item, Problem)} == {"token-refused"}
        rows = await world.desk.look("x", lambda tx: tx.session.exec(select(WorkerRow)).all())
        assert len(rows) == 1

    asyncio.run(scenario())


def test_an_answer_under_a_replaced_orders_key_is_signed_again(world):
    """Else a worker would repeat its batch, and refuse the same old answer, for ever."""

    async def scenario():
        _, (worker, _), _ = await leased(world)
        raw, order = worker.last, worker.held[0]
        world.keys["orders"] = PrivateKey.generate(world.desk.entropy)
        world.desk.orders = world.keys["orders"]
        batch = await worker.send(raw)  # verified under the new key
        assert [item.token for item in batch.orders] == [order.token]
        once = await exchange.exchange(world.desk, world.standing, worker.peer, raw)
        twice = await exchange.exchange(world.desk, world.standing, worker.peer, raw)
        assert once == twice

    asyncio.run(scenario())


def test_an_answer_is_signed_again_when_the_replaced_orders_key_comes_back(world):
    """Found by review: its bytes are then those that were kept at first, a conflict for ever."""

    async def scenario():
        _, (worker, _), _ = await leased(world)
        raw, order = worker.last, worker.held[0]
        first, second = world.desk.orders, PrivateKey.generate(world.desk.entropy)
        for key in (second, first, second):
            world.desk.orders = key
            batch = await worker.send(raw)
            assert [item.token for item in batch.orders] == [order.token]

    asyncio.run(scenario())


# --- exclusions, suspensions and races ---


def test_an_excluded_worker_gets_no_order_through_a_poll_that_was_open(world):
    async def scenario():
        await world.authorised()
        workers = [await world.worker(f"o{n}", capsules=4) for n in range(2)]
        for worker in workers:
            await worker.exchange()
            await worker.exchange()
        await world.start()
        world.desk.limits = replace(world.desk.limits, heartbeat=20.0)
        poll = asyncio.create_task(workers[0].exchange())
        async with asyncio.timeout(5):
            while world.desk.meters.polls._value.get() == 0:  # noqa: ASYNC110 - a gauge
                await asyncio.sleep(0)
        await exclusion.exclude(world.desk, workers[0].name, "lied")
        async with asyncio.timeout(5):
            with pytest.raises(NotEnrolled):
                await poll

    asyncio.run(scenario())


def test_a_batch_that_was_taken_in_before_the_exclusion_leases_nothing_after_it(world):
    async def scenario():
        await world.authorised()
        workers = [await world.worker(f"o{n}", capsules=4) for n in range(2)]
        for worker in workers:
            await worker.exchange()
        raw = workers[0].batch()  # taken in; there is nothing to say yet, so it polls

        async def banned_in_between(desk, document, known):
            await world.start()
            await world.turn()
            await exclusion.exclude(world.desk, workers[0].name, "lied")

        original, exchange._wait_for_news = exchange._wait_for_news, banned_in_between
        try:
            with pytest.raises(NotEnrolled):
                await workers[0].send(raw)
        finally:
            exchange._wait_for_news = original

    asyncio.run(scenario())


def publish_status(world, suspensions, number=1):
    document = Status(
        territory="plaine.example",
        number=number,
        issued_at=world.clock.now(),
        expires_at=world.clock.now() + timedelta(days=1),
        suspensions=suspensions,
        revoked=(),
        live_consents={},
    )
    world.status["now"] = signed.sign(document, [world.keys["status"]]).envelope.raw


def test_a_suspension_that_was_published_before_its_authorisation_arrived_holds(world):
    async def scenario():
        document = world.authorisation()
        publish_status(world, (Suspended(document.id, "a doubt"),))
        await world.standing.refresh()
        await world.authorised(id=document.id)
        await world.standing.refresh()
        (summary,) = await bundles.list_all(world.desk)
        assert summary.standing == "suspended"

    asyncio.run(scenario())


def test_a_suspension_between_the_frozen_batch_and_its_opening_opens_nothing(world):
    async def scenario():
        campaign, workers, document = await leased(world)
        for worker in workers:
            await worker.exchange([worker.report(worker.held[0])])
        await world.suspend(document)
        await world.turn()
        view = await world.view(campaign)
        assert (view.row.state, view.rounds[0].row.opening) == ("failed", None)
        await world.turn()
        assert (await world.view(campaign)).row.release is None

    asyncio.run(scenario())


def test_a_cancellation_that_races_the_release_ends_in_one_of_them(world):
    async def scenario():
        campaign, _, judge = await concluding(world)
        await judge.exchange([judge.report(judge.held[0])])
        ended = await asyncio.gather(
            world.turn(), campaigns.cancel(world.desk, campaign, "stop"), return_exceptions=True
        )
        view = await world.view(campaign)
        assert view.row.state in {"cancelled", "released"}, ended
        assert (view.row.release is not None) == (view.row.state == "released")

    asyncio.run(scenario())


def test_the_same_attempt_reported_twice_in_one_batch_counts_once(world):
    async def scenario():
        campaign, (worker, other), _ = await leased(world)
        (order,) = worker.held
        good = worker.report(order)
        batch = await worker.exchange([good, good])
        assert [item.accepted for item in batch.acknowledgements] == [True, True]
        await other.exchange([other.report(other.held[0])])
        await world.turn()
        view = await world.view(campaign)
        assert view.rounds[0].row.contributors == 8

    asyncio.run(scenario())


# --- counts, sizes, odd text ---


@pytest.mark.parametrize("entry", ["9" * 19, "18446744073709551616"[:19], "9223372036854775808"])
def test_an_index_beyond_the_databases_numbers_is_unknown(world, entry):
    async def scenario():
        await refuses(Unknown, evidence.prove(world.desk, entry))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "odd", ["{id}\x00junk", "\x00", "camp_\x00", "%", "camp_%%%%%%%%", "_________", "{id}'--"]
)
def test_a_campaign_is_found_by_its_own_letters_only(world, odd):
    async def scenario():
        await world.authorised()
        campaign = await world.start()
        await refuses(Unknown, campaigns.show(world.desk, odd.format(id=campaign)))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "values",
    [
        b'{"zones": 1e999999999}',
        b'{"zones": 3.0}',
        b'{"zones": NaN}',
        b'{"zones": -1}',
        b'{"zones": 10}',
        b'{"zones": true}',
        b'{"zones": "3"}',
        b'{"zones": ' + b"9" * 5000 + b"}",
        b'{"zones": 3, "zones": 4}',
        b'{"zones": 3, "more": 1}',
        b'{"\\ud800": 3}',
        b'{"zones": "\\ud800"}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"[3]",
        b"3",
        b"",
    ],
)
def test_parameters_outside_their_bounds_start_nothing(world, values):
    async def scenario():
        await world.authorised()
        await refuses(Problem, starting.start(world.desk, "ana", world.bundle.digest, values, "r"))
        assert await campaigns.list_all(world.desk, None, 0, "") == []

    asyncio.run(scenario())


def test_an_answer_never_outgrows_a_message_however_large_the_consents(world):
    """Two thousand of the largest consents made an answer that could not be sent, ever again."""

    async def scenario():
        worker = await world.worker("a", capsules=3)
        owner = PrivateKey.generate(world.desk.entropy)
        tables = tuple(f"table_{n}_{'x' * 50}" for n in range(80))
        sent = 0
        for _ in range(2):
            envelopes = []
            for _ in range(900):
                document = TERRITORY.Consent(
                    "plaine.example",
                    TERRITORY.CapsuleId.draw(world.desk.entropy),
                    worker.name,
                    owner.public,
                    1,
                    Decision.GRANT,
                    str(world.bundle.digest),
                    tables,
                    world.clock.now(),
                    world.clock.now() + timedelta(days=1),
                )
                envelopes.append(signed.sign(document, [owner]).envelope.raw)
            sent += (await consents.submit(world.desk, envelopes)).accepted
        assert sent == 1800
        for _ in range(12):
            raw = worker.batch()
            answer = await exchange.exchange(world.desk, world.standing, worker.peer, raw)
            assert len(answer) < MAXIMUM_MESSAGE_BYTES
            response = TERRITORY.work_pb2.ExchangeResponse.FromString(answer)
            worker.delivered += response.consents
        assert len(worker.delivered) == 1803  # and all of them arrive

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["commute\tincome", "a\nb", "a\u2003b", "a\x00", "", " "])
def test_a_consent_names_its_tables_one_by_one(world, name):
    async def scenario():
        worker = await world.worker("a", capsules=3)
        document = replace(
            signed.verify_self_named(
                TERRITORY.Consent, worker.consent(0, serial=2), "owner"
            ).document,
            tables=(name,),
        )
        raw = signed.sign(document, [worker.owners[0]]).envelope.raw
        result = await consents.submit(world.desk, [raw])
        assert [item.code for item in result.refused] == [ConsentRefused.code]

    asyncio.run(scenario())


# --- what leaks ---


def test_an_author_does_not_see_which_machines_take_part(world):
    async def scenario():
        campaign, workers, _ = await leased(world)
        view = await world.view(campaign)
        for role, shown in ((Role.AUTHOR, False), (Role.OPERATOR, True), (Role.AUDITOR, True)):
            message = campaign_message(view, role)
            assert bool(message.rounds[0].units) == shown
            assert (workers[0].name in str(message)) == shown

    asyncio.run(scenario())


def test_database_errors_do_not_carry_what_was_stored_into_the_log(world):
    capsule = str(TERRITORY.CapsuleId.draw(world.desk.entropy))

    def odd(tx):
        tx.session.add(CapsuleRow(id=capsule, owner={"no": "text"}))
        tx.session.flush()

    def oversize(tx):
        query = select(CapsuleRow).where(CapsuleRow.id == capsule, CapsuleRow.owner == 2**70)
        tx.session.exec(query).all()

    for work in (odd, oversize):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the engine says
            world.desk.store.run("odd", work)
        record = logging.LogRecord("cadastre.x", logging.ERROR, "", 0, "failed", (), None)
        record.exc_info = (type(caught.value), caught.value, caught.value.__traceback__)
        line = logs.JsonLines(world.clock).format(record)
        assert capsule not in line
        assert isinstance(caught.value, (StatementError, Problem, OverflowError))


def test_whoever_finds_the_public_port_does_not_read_when_consents_come_in(world):
    """The names of transactions and their counts tell when somebody consents."""
    page = Site(world.desk, [b"root"], list)
    assert page.page("/metrics") is None
    assert page.page("/metrics", local=True).status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1"])
def test_metrics_are_for_this_machine_and_not_for_a_proxys_callers(world, header):
    server = SiteServer(Site(world.desk, [b"root"], list), "127.0.0.1", 0)
    server.start()
    try:

        def ask(*lines):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
                text = "\r\n".join(["GET /metrics HTTP/1.1", "Host: x", *lines, "", ""])
                client.sendall(text.encode())
                return client.recv(100)

        assert b" 200 " in ask()
        assert b" 404 " in ask(header)
    finally:
        server.stop()


def test_a_crowd_at_the_public_port_is_asked_to_come_back(world, monkeypatch):
    monkeypatch.setattr(site, "MAXIMUM_REQUESTS", 2)
    before = threading.active_count()
    server = SiteServer(Site(world.desk, [b"root"], list), "127.0.0.1", 0)
    server.start()
    crowd = []
    try:
        for _ in range(12):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            crowd.append(client)
        answers = []
        for client in crowd:
            client.settimeout(0.5)
            try:
                answers.append(client.recv(100))
            except TimeoutError:
                answers.append(b"waits")
        assert sum(b" 503 " in answer for answer in answers) >= 10
        assert threading.active_count() - before <= 2 + 1 + 2  # places, listener, their timers
    finally:
        for client in crowd:
            client.close()
        server.stop()


def test_tokens_are_kept_as_hashes_only(world):
    secret, row = membership.create_token(
        world.desk.store, world.desk.entropy, 3600, role="worker", operator="a", site="here"
    )
    assert row.digest == Digest.of(secret)
    stored_rows = world.desk.store.read("x", lambda tx: tx.session.exec(select(TokenRow)).all())
    assert all(secret.hex() not in str(item) for item in stored_rows)


def test_a_worker_reads_what_is_public_or_its_own_and_nothing_else(world, transfers):
    async def scenario():
        _, (first, second), _ = await leased(world)
        await put(transfers, first.peer, b"values of the first")
        digest = Digest.of(b"values of the first")

        async def read(peer):
            return b"".join([part async for part in transfers.get(peer, digest, 0)])

        assert await read(first.peer) == b"values of the first"
        await refuses(Unknown, read(second.peer))
        await refuses(Unknown, read(OPERATOR))
        assert await read(replace(OPERATOR, role=Role.AUDITOR)) == b"values of the first"

    asyncio.run(scenario())


def test_a_damaged_blob_is_not_served(world, transfers):
    async def scenario():
        await put(transfers, OPERATOR, b"sound")
        digest = Digest.of(b"sound")
        world.desk.blobs.path(digest).write_bytes(b"other")
        error = await refuses(Problem, anext(transfers.get(OPERATOR, digest, 0)))
        assert error.code == "blob-corrupted"

    asyncio.run(scenario())


@pytest.mark.parametrize("days", [-30, 30])
def test_a_wall_clock_that_jumps_ends_no_lease_and_opens_no_door(world, days):
    """Neither way does a jump expire leases at once or make old values due again."""

    async def scenario():
        _, (worker, _), _ = await leased(world)
        (order,) = worker.held
        report = worker.report(order)
        before = world.desk.now()
        world.clock.jump(days * 86_400)
        assert timedelta(0) <= world.desk.now() - before < timedelta(minutes=1)
        await world.turn()
        assert (await attempt_of(world, order)).state == "leased"
        # The worker's own clock is right: its batch is dated by the scheduler's steady time.
        batch = await worker.exchange([report], sent_at=before)
        assert batch.acknowledgements[0].accepted

    asyncio.run(scenario())
