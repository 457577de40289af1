"""Every RPC over real mutual TLS: who may call, and what every bad message is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import grpc.aio
import pytest
from sqlmodel import select

from durable.blobs import BlobFolder
from protos.cadastre.v1 import (
    actions_pb2,
    actions_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    blobs_pb2,
    blobs_pb2_grpc,
    bundles_pb2,
    bundles_pb2_grpc,
    campaigns_pb2,
    campaigns_pb2_grpc,
    consents_pb2,
    consents_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    work_pb2,
    work_pb2_grpc,
)
from scheduler.errors import NotEnrolled
from scheduler.meters import Meters
from scheduler.rpc.servers import ROLES
from scheduler.service import actions, exclusion, membership, outbox
from scheduler.service.pace import keep_pace
from scheduler.store.store import open_store
from scheduler.store.tables import LogRow
from tests.scheduler.conftest import LOSS
from tests.scheduler.ports import house
from trust import certificates
from trust.certificates import Peer, Role
from trust.documents import signed
from trust.documents.actions import Means, OperatorAction
from trust.documents.campaign import OrderBatch
from trust.documents.membership import EnrolmentProof
from trust.dsse import Envelope
from trust.ids import CapsuleId, Digest
from trust.keys import PrivateKey
from trust.log.entry import Kind
from wire import blobs
from wire.status import from_rpc_error

_DEEDS = select(LogRow.digest).where(LogRow.kind == Kind.ACTION.value)


@pytest.fixture
def world(tmp_path, builder, monkeypatch):
    """TLS compares certificates with the machine's own clock: so the territory lives now."""
    from trust.clock import SystemClock

    monkeypatch.setitem(builder.__globals__, "START", SystemClock().now().replace(microsecond=0))
    made = builder(tmp_path)
    yield made
    made.desk.store.close()
    made.desk.log.close()


async def refused(call):
    """The problem that ends `call` (unary or a stream)."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    raise AssertionError("the call was not refused")


async def chunks(*parts):
    for part in parts:
        yield part


D = "sha256:" + "0" * 64
W, O, A = Role.WORKER, Role.OPERATOR, Role.AUDITOR  # noqa: E741
HUGE = b"{" * 5_000_000

BAD = [
    (
        "exchange empty",
        W,
        lambda c: work_pb2_grpc.WorkStub(c).Exchange(work_pb2.ExchangeRequest()),
        "not-enrolled",
    ),
    ("put nothing", O, lambda c: blobs_pb2_grpc.BlobsStub(c).Put(chunks()), "blob-refused"),
    (
        "put without digest",
        O,
        lambda c: blobs_pb2_grpc.BlobsStub(c).Put(chunks(blobs_pb2.PutRequest(data=b"x"))),
        "malformed",
    ),
    (
        "put behind its end",
        O,
        lambda c: blobs_pb2_grpc.BlobsStub(c).Put(
            chunks(blobs_pb2.PutRequest(digest=D, offset=7, data=b"x"))
        ),
        "blob-refused",
    ),
    (
        "put other bytes",
        O,
        lambda c: blobs_pb2_grpc.BlobsStub(c).Put(
            chunks(blobs_pb2.PutRequest(digest=D, data=b"x"))
        ),
        "blob-refused",
    ),
    (
        "put two blobs",
        O,
        lambda c: blobs_pb2_grpc.BlobsStub(c).Put(
            chunks(
                blobs_pb2.PutRequest(digest=D, data=b"x"),
                blobs_pb2.PutRequest(digest=D[:-1] + "1", offset=1, data=b"x"),
            )
        ),
        "blob-refused",
    ),
    (
        "put a large chunk",
        O,
        lambda c: blobs_pb2_grpc.BlobsStub(c).Put(
            chunks(blobs_pb2.PutRequest(digest=D, data=bytes(300_000)))
        ),
        "blob-refused",
    ),
    (
        "stat no digest",
        O,
        lambda c: blobs_pb2_grpc.BlobsStub(c).Stat(
            blobs_pb2.StatRequest(digest="../../etc/passwd")
        ),
        "malformed",
    ),
    (
        "get no digest",
        O,
        lambda c: blobs_pb2_grpc.BlobsStub(c).Get(blobs_pb2.GetRequest(digest="x")),
        "malformed",
    ),
    (
        "get unknown",
        O,
        lambda c: blobs_pb2_grpc.BlobsStub(c).Get(blobs_pb2.GetRequest(digest=D)),
        "unknown",
    ),
    (
        "submit nothing",
        O,
        lambda c: bundles_pb2_grpc.BundlesStub(c).Submit(bundles_pb2.SubmitBundleRequest()),
        "malformed",
    ),
    (
        "submit no statement",
        O,
        lambda c: bundles_pb2_grpc.BundlesStub(c).Submit(bundles_pb2.SubmitBundleRequest(bundle=D)),
        "malformed",
    ),
    (
        "submit huge",
        O,
        lambda c: bundles_pb2_grpc.BundlesStub(c).Submit(
            bundles_pb2.SubmitBundleRequest(bundle=D, statement=HUGE)
        ),
        "too-large",
    ),
    (
        "authorise nothing",
        O,
        lambda c: bundles_pb2_grpc.BundlesStub(c).Authorise(bundles_pb2.AuthoriseRequest()),
        "malformed",
    ),
    (
        "suspend nothing",
        O,
        lambda c: bundles_pb2_grpc.BundlesStub(c).Suspend(
            bundles_pb2.SuspendRequest(suspension=b"{}")
        ),
        "malformed",
    ),
    (
        "start unknown",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Start(
            campaigns_pb2.StartCampaignRequest(bundle=D, request="r")
        ),
        "unknown",
    ),
    (
        "start short prefix",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Start(
            campaigns_pb2.StartCampaignRequest(bundle="12", request="r")
        ),
        "unknown",
    ),
    (
        "start without key",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Start(
            campaigns_pb2.StartCampaignRequest(bundle=D)
        ),
        "input-refused",
    ),
    (
        "start large",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Start(
            campaigns_pb2.StartCampaignRequest(bundle=D, request="r", parameters=HUGE)
        ),
        "input-refused",
    ),
    (
        "start for too many words",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Start(
            campaigns_pb2.StartCampaignRequest(bundle=D, request="r", reason="x" * 201)
        ),
        "input-refused",
    ),
    (
        "list odd state",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).List(
            campaigns_pb2.ListCampaignsRequest(state=77)
        ),
        "input-refused",
    ),
    (
        "list after unknown",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).List(
            campaigns_pb2.ListCampaignsRequest(after="camp_%")
        ),
        "unknown",
    ),
    (
        "show unknown",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Show(
            campaigns_pb2.ShowCampaignRequest(campaign="camp_zzzzzzzzz")
        ),
        "unknown",
    ),
    (
        "watch unknown",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Watch(
            campaigns_pb2.ShowCampaignRequest(campaign="")
        ),
        "unknown",
    ),
    (
        "cancel without reason",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Cancel(
            campaigns_pb2.CancelCampaignRequest(campaign="camp_zzzzzzzzz")
        ),
        "input-refused",
    ),
    (
        "report unknown",
        O,
        lambda c: campaigns_pb2_grpc.CampaignsStub(c).Report(
            campaigns_pb2.ShowCampaignRequest(campaign="x")
        ),
        "unknown",
    ),
    (
        "no consents",
        O,
        lambda c: consents_pb2_grpc.ConsentsStub(c).Submit(consents_pb2.SubmitConsentsRequest()),
        "input-refused",
    ),
    (
        "many consents",
        O,
        lambda c: consents_pb2_grpc.ConsentsStub(c).Submit(
            consents_pb2.SubmitConsentsRequest(consents=[b"x"] * 1001)
        ),
        "input-refused",
    ),
    (
        "status of nothing",
        O,
        lambda c: consents_pb2_grpc.ConsentsStub(c).Status(
            consents_pb2.ConsentStatusRequest(capsules=["cap_x"])
        ),
        "malformed",
    ),
    (
        "prove nothing",
        A,
        lambda c: audit_pb2_grpc.AuditStub(c).Prove(audit_pb2.ProveRequest()),
        "malformed",
    ),
    (
        "prove unknown",
        A,
        lambda c: audit_pb2_grpc.AuditStub(c).Prove(audit_pb2.ProveRequest(entry="99999")),
        "unknown",
    ),
    (
        "ban nobody",
        O,
        lambda c: audit_pb2_grpc.WorkersStub(c).Ban(
            audit_pb2.BanWorkerRequest(worker="ana", reason="x")
        ),
        "malformed",
    ),
    (
        "renew nothing",
        O,
        lambda c: enrolment_pb2_grpc.RenewalStub(c).Renew(enrolment_pb2.RenewRequest()),
        "input-refused",
    ),
]


def test_every_bad_message_is_a_problem_with_a_code(world):
    async def scenario():
        async with house(world) as made:
            channels = {role: made.channel(role, f"{role.value}-x") for role in (W, O, A)}
            for name, role, call, code in BAD:
                problem = await refused(call(channels[role]))
                assert problem.code == code, (name, problem)
                assert problem.sentence, name
            for channel in channels.values():
                await channel.close()

    asyncio.run(scenario())


def test_a_message_over_the_limit_never_reaches_a_handler(world):
    async def scenario():
        async with house(world) as made, made.channel() as channel:
            # The client's own limit is the same: lift it to see the server's.
            request = bundles_pb2.AuthoriseRequest(authorisation=bytes(9_000_000))
            problem = await refused(bundles_pb2_grpc.BundlesStub(channel).Authorise(request))
            assert problem.code == "grpc-resource-exhausted"

    asyncio.run(scenario())


def test_roles_are_kept_apart(world):
    async def scenario():
        async with house(world) as made:
            async with made.channel(Role.WORKER, "wrk_x") as channel:
                problem = await refused(
                    campaigns_pb2_grpc.CampaignsStub(channel).List(
                        campaigns_pb2.ListCampaignsRequest()
                    )
                )
                assert problem.code == "not-permitted"
            async with made.channel() as channel:
                problem = await refused(
                    work_pb2_grpc.WorkStub(channel).Exchange(work_pb2.ExchangeRequest())
                )
                assert problem.code == "not-permitted"
            async with made.channel(territory="other.example") as channel:
                problem = await refused(
                    campaigns_pb2_grpc.CampaignsStub(channel).List(
                        campaigns_pb2.ListCampaignsRequest()
                    )
                )
                assert problem.code == "denied"

    asyncio.run(scenario())


def test_an_operator_drains_by_certificate_and_nobody_else_does(world):
    async def scenario():
        worker = await world.worker("a", capsules=4)
        asked = actions_pb2.ActRequest(
            act="drain-worker", subject=worker.name[:14], reason="a leak", request="once"
        )
        async with house(world) as made:
            for role in (Role.AUDITOR, Role.AUTHOR, Role.WORKER):
                name = worker.name if role is Role.WORKER else "ana"
                async with made.channel(role=role, name=name) as channel:
                    stub = actions_pb2_grpc.ActionsStub(channel)
                    assert (await refused(stub.Act(asked))).code == "not-permitted"
            async with made.channel() as channel:
                stub = actions_pb2_grpc.ActionsStub(channel)
                first, again = await stub.Act(asked), await stub.Act(asked)
                assert first == again
                assert (first.act, first.subject) == ("drain-worker", worker.name)
                asked.request = "twice"
                assert (await refused(stub.Act(asked))).code == "action-refused"
                asked.act = "start-campaign"
                assert (await refused(stub.Act(asked))).code == "input-refused"
                asked.act = "erase"
                assert (await refused(stub.Act(asked))).code == "input-refused"

    asyncio.run(scenario())


def test_every_service_of_the_contract_has_its_roles():
    named = {key.split("/")[1] for key in ROLES}
    for file in (
        actions_pb2,
        audit_pb2,
        blobs_pb2,
        bundles_pb2,
        campaigns_pb2,
        consents_pb2,
        enrolment_pb2,
        work_pb2,
    ):
        for service in file.DESCRIPTOR.services_by_name.values():
            if service.name != "Enrolment":
                assert service.full_name in named


def test_blobs_go_up_and_down_and_continue_where_they_stopped(world):
    async def scenario():
        data = bytes(range(256)) * 3000
        async with (
            house(world) as made,
            made.channel() as channel,
            made.channel(name="bob") as other,
        ):
            stub = blobs_pb2_grpc.BlobsStub(channel)
            digest = Digest.of(data)

            async def breaks_off():
                yield blobs_pb2.PutRequest(digest=digest, data=data[:200_000])
                await asyncio.Event().wait()

            call = stub.Put(breaks_off())
            stat = blobs_pb2.StatRequest(digest=digest)
            while (await stub.Stat(stat)).received < 200_000:  # noqa: ASYNC110 - of the server
                await asyncio.sleep(0)
            call.cancel()
            assert await blobs.put(channel, data) == digest
            assert await blobs.get(channel, digest) == data
            assert (await stub.Stat(blobs_pb2.StatRequest(digest=digest))).stored
            # What a member put is nobody else's until it is published.
            problem = await refused(
                blobs_pb2_grpc.BlobsStub(other).Get(blobs_pb2.GetRequest(digest=digest))
            )
            assert problem.code == "unknown"

    asyncio.run(scenario())


def test_a_campaign_over_the_wire(world):
    async def scenario():
        world.manifest += LOSS
        async with house(world) as made, made.channel() as channel:
            await world.authorised()
            workers = [await world.worker(f"o{n}", capsules=4) for n in range(2)]
            judge = await world.worker("j", concludes=True)
            channels = {w.name: made.channel(Role.WORKER, w.name) for w in [*workers, judge]}
            pace = asyncio.create_task(keep_pace(world.desk))

            async def say(worker, reports=()):
                done = {report.attempt for report in reports}
                worker.held = [order for order in worker.held if order.attempt not in done]
                answer = await work_pb2_grpc.WorkStub(channels[worker.name]).Exchange(
                    work_pb2.ExchangeRequest(reports=worker.batch(reports))
                )
                orders = signed.verify(OrderBatch, answer.orders, {world.desk.orders.public})
                worker.held += orders.document.orders
                return orders.document

            for worker in [*workers, judge]:
                await say(worker)
            campaigns = campaigns_pb2_grpc.CampaignsStub(channel)
            started = await campaigns.Start(
                campaigns_pb2.StartCampaignRequest(
                    bundle=world.bundle.digest[7:20],
                    parameters=b'{ "zones": 3 }',
                    request="r",
                    reason="figures of\nthe year",
                )
            )
            (entry,) = world.desk.store.read("deeds", lambda tx: tx.session.exec(_DEEDS).all())
            deed = world.desk.blobs.get(Digest(entry))
            logged = signed.verify(OperatorAction, deed, {world.desk.orders.public}).document
            assert (logged.campaign, logged.means) == (started.campaign, Means.CERTIFICATE)
            assert logged.reason == "figures of the year"
            seen = []
            async for view in campaigns.Watch(
                campaigns_pb2.ShowCampaignRequest(campaign=started.campaign)
            ):
                seen.append(view.state)
                for worker in [*workers, judge]:
                    await say(worker)
                    for order in tuple(worker.held):
                        report = worker.report(order)
                        await say(worker, [report])
                if len(seen) > 200:
                    raise AssertionError(view)
            assert seen[-1] == 4
            assert [dict(entry.metrics) for entry in view.rounds] == [{"loss": 1.0}]
            report = await campaigns.Report(
                campaigns_pb2.ShowCampaignRequest(campaign=started.campaign[:20])
            )
            assert b'"cells":[8,2,20]' in report.report
            listed = await audit_pb2_grpc.WorkersStub(channel).List(audit_pb2.ListWorkersRequest())
            assert {worker.freshness for worker in listed.workers} == {"fresh"}
            paths = await _evidence(channel)
            assert not any(path.startswith("restricted/") for path in paths)
            async with made.channel(Role.AUDITOR, "cour") as auditor:
                paths = await _evidence(auditor)
            lists = {path.split("-")[0] for path in paths if path.endswith(".json")}
            assert lists >= {"restricted/orders", "restricted/partials", "restricted/consents"}
            assert "log/checkpoint" in paths
            world.desk.bell.close()
            await pace
            for each in channels.values():
                await each.close()

    asyncio.run(scenario())


async def _evidence(channel):
    found = {}
    async for file in audit_pb2_grpc.AuditStub(channel).Evidence(audit_pb2.EvidenceRequest()):
        found[file.path] = found.get(file.path, b"") + file.data
    for path, data in found.items():
        if "objects/" in path:
            assert Digest.of(data).removeprefix("sha256:") == path.rsplit("/", 1)[1]
    return found


def test_a_token_admits_once_and_its_holder_may_ask_again(world):
    async def scenario():
        desk = world.desk
        from scheduler.service.membership import create_token

        secret, _ = create_token(
            desk.store, desk.entropy, 3600, role="operator", operator="bob", site="s"
        )
        key, other = PrivateKey.generate(desk.entropy), PrivateKey.generate(desk.entropy)
        request = certificates.make_request(certificates.new_key(), "bob")

        def ask(who, **changes):
            proof = EnrolmentProof(
                Digest.of(secret), Digest.of(request), who.public, bytes(32), "bob", "s"
            )
            raw = signed.sign(replace(proof, **changes), [who]).envelope.raw
            return enrolment_pb2.EnrolRequest(secret=secret, request=request, proof=raw)

        async with house(world) as made, made.newcomer() as channel:
            stub = enrolment_pb2_grpc.EnrolmentStub(channel)
            for message, code in (
                (enrolment_pb2.EnrolRequest(), "token-refused"),
                (
                    enrolment_pb2.EnrolRequest(secret=bytes(32), request=b"x", proof=b"x"),
                    "enrolment-proof-refused",
                ),
                (enrolment_pb2.EnrolRequest(secret=bytes(32)), "input-refused"),
                (ask(key, operator="eve"), "enrolment-proof-refused"),
                (ask(key, request=Digest.of(b"x")), "enrolment-proof-refused"),
                (ask(key, token=Digest.of(b"x")), "enrolment-proof-refused"),
            ):
                assert (await refused(stub.Enrol(message))).code == code
            answer = await stub.Enrol(ask(key))
            assert (answer.name, answer.role) == ("bob", "operator")
            assert (await stub.Enrol(ask(key))).name == "bob"
            assert (await refused(stub.Enrol(ask(other)))).code == "token-refused"
            world.clock.advance(3600)
            assert (await refused(stub.Enrol(ask(key)))).code == "token-refused"

    asyncio.run(scenario())


def test_a_banned_member_is_denied_at_once(world):
    async def scenario():
        worker = await world.worker("a", capsules=3)
        async with house(world) as made, made.channel() as channel:
            await audit_pb2_grpc.WorkersStub(channel).Ban(
                audit_pb2.BanWorkerRequest(worker=worker.name, reason="lied")
            )
            async with made.channel(Role.WORKER, worker.name) as own:
                problem = await refused(
                    work_pb2_grpc.WorkStub(own).Exchange(work_pb2.ExchangeRequest())
                )
            assert problem.code == "denied"
            assert "lied" in problem.sentence

    asyncio.run(scenario())


async def excluded_elsewhere(world, made, name):
    """What `cadastre scheduler exclude` does in its own process, then the server's next look."""
    store = open_store(world.folder / "scheduler.db", world.clock, Meters())
    office = actions.LocalOffice(
        world.desk.territory, world.desk.orders, BlobFolder(world.folder / "objects")
    )
    try:
        await asyncio.to_thread(
            store.run, "ban-member", lambda tx: exclusion.deny(tx, office, name, "stolen")
        )
    finally:
        await asyncio.to_thread(store.close)
    await made.deny.refresh()


async def to_its_end(call):
    """Read a stream whose first messages were read."""
    while await call.read() is not grpc.aio.EOF:
        pass


async def code_at_the_end(call):
    """Why a stream ended; "" for one that came whole."""
    try:
        await to_its_end(call)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).code
    return ""


async def person(world, role, name):
    """Enrolled as any person is."""
    key = PrivateKey.generate(world.desk.entropy)
    secret, _ = membership.create_token(
        world.desk.store, world.desk.entropy, 3600, role=role.value, operator=name, site="here"
    )
    request = certificates.make_request(certificates.new_key(), name)
    proof = EnrolmentProof(
        Digest.of(secret), Digest.of(request), key.public, bytes(32), name, "here"
    )
    await membership.enrol(world.desk, secret, request, signed.sign(proof, [key]).envelope.raw)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUTHOR, Role.AUDITOR])
def test_an_excluded_person_neither_calls_nor_renews(world, role):
    async def scenario():
        await person(world, role, "eve")
        async with house(world) as made, made.channel(role, "eve") as channel:
            request = certificates.make_request(certificates.new_key(), "eve")
            renewal = enrolment_pb2_grpc.RenewalStub(channel)
            await renewal.Renew(enrolment_pb2.RenewRequest(request=request))
            await excluded_elsewhere(world, made, "eve")
            for call in (
                renewal.Renew(enrolment_pb2.RenewRequest(request=request)),
                campaigns_pb2_grpc.CampaignsStub(channel).List(
                    campaigns_pb2.ListCampaignsRequest()
                ),
            ):
                assert (await refused(call)).code == "denied"
            # Nor behind the gate's back, before the list is read again.
            peer = Peer(world.desk.territory, role, "eve", 1)
            with pytest.raises(NotEnrolled):
                await membership.renew(world.desk, peer, request)
            with pytest.raises(NotEnrolled):
                await person(world, role, "eve")

    asyncio.run(scenario())


def test_the_log_never_names_an_excluded_person(world):
    async def scenario():
        await person(world, Role.OPERATOR, "eve")
        worker = await world.worker("a", capsules=3)
        async with house(world) as made:
            for name in ("eve", worker.name, worker.name):
                await excluded_elsewhere(world, made, name)
        query = select(LogRow).where(LogRow.kind == Kind.KEY_EVENT.value)
        (row,) = await world.desk.look("x", lambda tx: tx.session.exec(query).all())
        assert (
            worker.name.encode() in Envelope.parse(world.desk.blobs.get(Digest(row.digest))).payload
        )

    asyncio.run(scenario())


def test_an_open_watch_ends_with_its_watchers_exclusion(world):
    """Without waiting for the campaign's next change, and without one more view."""

    async def scenario():
        await world.authorised()
        for n in range(2):
            await (await world.worker(f"o{n}", capsules=4)).exchange()
        await person(world, Role.OPERATOR, "eve")
        campaign = await world.start()
        async with house(world) as made, made.channel(Role.OPERATOR, "eve") as channel:
            stub = campaigns_pb2_grpc.CampaignsStub(channel)
            call = stub.Watch(campaigns_pb2.ShowCampaignRequest(campaign=campaign))
            assert (await call.read()).campaign == campaign
            await excluded_elsewhere(world, made, "eve")
            async with asyncio.timeout(5):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call.read()
            assert from_rpc_error(caught.value).code == "denied"

    asyncio.run(scenario())


def test_open_evidence_and_blobs_end_with_their_readers_exclusion(world):
    async def scenario():
        await person(world, Role.AUDITOR, "eve")
        blob = bytes(48 * 1024 * 1024)  # more than flow control ever lets out at once
        digest = await world.desk.run("x", lambda tx: outbox.keep_blob(tx, world.desk, blob))
        await world.turn()
        async with house(world) as made, made.channel(Role.AUDITOR, "eve") as channel:
            evidence = audit_pb2_grpc.AuditStub(channel).Evidence(audit_pb2.EvidenceRequest())
            values = blobs_pb2_grpc.BlobsStub(channel).Get(blobs_pb2.GetRequest(digest=digest))
            await evidence.read()
            await values.read()
            await excluded_elsewhere(world, made, "eve")
            # What flow control had let out already arrives; then both end. The blob far before its
            # end; evidence of so few entries may have been on its way whole on a busy machine.
            async with asyncio.timeout(20):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await to_its_end(values)
                assert from_rpc_error(caught.value).code == "denied"
                assert await code_at_the_end(evidence) in {"", "denied"}

    asyncio.run(scenario())


def test_a_poll_ends_when_its_worker_was_excluded_by_another_program(world):
    async def scenario():
        worker = await world.worker("a", capsules=3)
        await worker.exchange()  # its consents are delivered: nothing is left to say
        world.desk.limits = replace(world.desk.limits, heartbeat=20.0)
        async with house(world) as made, made.channel(Role.WORKER, worker.name) as own:
            request = work_pb2.ExchangeRequest(reports=worker.batch())
            poll = asyncio.ensure_future(refused(work_pb2_grpc.WorkStub(own).Exchange(request)))
            async with asyncio.timeout(10):
                while world.desk.meters.polls._value.get() == 0:  # noqa: ASYNC110 - a gauge
                    await asyncio.sleep(0)
                await excluded_elsewhere(world, made, worker.name)
                assert (await poll).code == "not-enrolled"

    asyncio.run(scenario())


def test_refused_consents_name_their_place_and_reason(world):
    async def scenario():
        worker = await world.worker("a", capsules=3)
        old = worker.consent(0, serial=1)
        newer = worker.consent(0, serial=3)
        stranger = replace(worker, owners=[PrivateKey.generate(world.desk.entropy)] * 3)
        async with house(world) as made, made.channel() as channel:
            stub = consents_pb2_grpc.ConsentsStub(channel)
            answer = await stub.Submit(
                consents_pb2.SubmitConsentsRequest(
                    consents=[newer, old, b"junk", stranger.consent(1, serial=9), worker.consent(2)]
                )
            )
            assert (answer.accepted, answer.unchanged) == (1, 1)
            assert [(item.index, item.code) for item in answer.refused] == [
                (1, "consent-refused"),
                (2, "malformed"),
                (3, "consent-refused"),
            ]
            status = await stub.Status(
                consents_pb2.ConsentStatusRequest(capsules=[worker.capsules[0]])
            )
            assert status.consents[0].serial == 3
            nobody = await stub.Status(
                consents_pb2.ConsentStatusRequest(capsules=[CapsuleId.draw(world.desk.entropy)])
            )
            assert len(nobody.consents) == 0

    asyncio.run(scenario())
