"""An `encrypted` campaign: the scheduler adds ciphertexts, helper, keyholder and trustees open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

for module in ("tenseal", "backports.zstd"):
    pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")

from custody import Scene, encrypt  # noqa: E402
from helping import publish_status  # noqa: E402
from sqlmodel import select  # noqa: E402

from governance.keyholder.server import KeyholderServer  # noqa: E402
from jobs import aggregate  # noqa: E402
from protection import accounting  # noqa: E402
from protection.ckks import scheme  # noqa: E402
from protection.ckks.profile import SOMME  # noqa: E402
from protection.ckks.residues import Residues  # noqa: E402
from scheduler.errors import KeyholderDenied, KeyholderUnavailable, StateRefused  # noqa: E402
from scheduler.keyholder import HttpKeyholder, NoKeyholder  # noqa: E402
from scheduler.service import evidence  # noqa: E402
from scheduler.store.tables import AttemptRow, CampaignRow, LogRow, RoundRow  # noqa: E402
from trust.certificates import Role  # noqa: E402
from trust.documents import signed  # noqa: E402
from trust.documents.aggregation import (  # noqa: E402
    AggregateShare,
    BatchCommitment,
    CampaignEnded,
    Side,
)
from trust.documents.campaign import Opening, Plan  # noqa: E402
from trust.documents.custody import (  # noqa: E402
    AggregateOpened,
    EpochKey,
    EpochRetired,
    KeyholderRefusal,
)
from trust.documents.governance import Suspended  # noqa: E402
from trust.documents.root import Duty  # noqa: E402
from trust.ids import CampaignId, Digest  # noqa: E402
from trust.log.entry import Kind  # noqa: E402
from wire.custody import EndOfEpoch  # noqa: E402


@pytest.fixture
def scene(world, tmp_path: Path) -> Scene:
    return Scene(world, tmp_path)


def test_an_encrypted_campaign_from_start_to_release(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.opened()
        assert await scene.standing(campaign) == ("concluding", "waiting-for-concluder")
        desk = scene.world.desk
        epoch = scene.one(Kind.EPOCH_KEY, EpochKey, Duty.KEYHOLDER)
        plan = scene.one(Kind.PLAN, Plan, Duty.ORDERS).document
        assert plan.epoch == epoch.digest
        assert plan.helper is not None
        assert len(scene.documents(Kind.TRUSTEE_KEY)) == 5
        assert epoch.document.public in scene.public()
        opening = scene.one(Kind.OPENING, Opening, Duty.ORDERS).document
        batch = scene.one(Kind.BATCH, BatchCommitment, Duty.ORDERS).document
        opened = scene.one(Kind.OPENED, AggregateOpened, Duty.KEYHOLDER)
        assert opening.batch == batch.batch == opened.document.batch
        assert opening.partials == batch.partials == 3
        leader, helper, third = opening.shares
        assert third == opened.digest
        assert (opened.document.leader, opened.document.helper) == (leader, helper)
        ours = desk.root.verify(AggregateShare, desk.blobs.get(leader), Duty.ORDERS).document
        theirs = desk.root.verify(AggregateShare, desk.blobs.get(helper), Duty.HELPER).document
        assert (ours.side, theirs.side) == (Side.LEADER, Side.HELPER)
        assert ours.variances == theirs.variances == {"counts": "0"}
        assert len(scene.documents(Kind.SHARE_REQUEST)) == 1
        assert len(scene.documents(Kind.TRUSTEE_SHARE)) == 3
        rules = scene.world.bundle.manifest.rules()
        steps = aggregate.decode_partial(rules, desk.blobs.get(opened.document.values))
        again = aggregate.combine(rules, [aggregate.Part(steps, opened.document.variances)])
        assert Digest.of(again) == opening.aggregate
        table = aggregate.decode_aggregate(rules, again)
        noise = accounting.noise_of(rules[0])
        error = table["counts"] - np.array([15, 3, -3])
        # One full noise, where `shared` has two.
        assert np.abs(error).max() <= accounting.simultaneous_band(noise, 1, 3)
        assert table["counts.variance"] == pytest.approx(float(noise.variance))
        (order,) = (await scene.judge.exchange()).orders
        await scene.judge.exchange([scene.judge.report(order)])
        await scene.settle()
        assert await scene.standing(campaign) == ("released", "")
        notice = scene.one(Kind.EPOCH_RETIRED, EpochRetired, Duty.KEYHOLDER).document
        assert (notice.campaign, notice.epoch) == (campaign, epoch.digest)
        assert notice.reason == "campaign-ended"
        assert len(scene.documents(Kind.KEY_DESTROYED)) == 1

    asyncio.run(story())


def test_keys_stand_in_the_log_before_the_plan_and_sums_before_the_opening(scene: Scene) -> None:
    async def story() -> None:
        await scene.opened()

        def kinds(tx):
            rows = tx.session.exec(select(LogRow).order_by(LogRow.position)).all()
            return [row.kind for row in rows]

        found = scene.world.desk.store.run("read-order", kinds)
        story_of = ("helper-key", "trustee-key", "epoch-key", "plan", "batch", "share", "opened")
        places = [found.index(kind) for kind in story_of]
        assert places == sorted(places)
        assert found.index("opened") < found.index("opening")

    asyncio.run(story())


def test_sums_masks_and_single_ciphertexts_are_in_no_blob_and_no_evidence(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.awaited()
        row = scene.row(RoundRow, (campaign, 1))
        secret = [row.ciphertext, row.masks]
        seeds = [seed for worker in scene.hosts for seed in worker.sealed.values()]

        def values(tx):
            return [item.values_digest for item in tx.session.exec(select(AttemptRow)).all()]

        single = scene.world.desk.store.run("read-values", values)
        shares = [given.sealed for given in scene.custody.contributions]
        for half in secret:
            assert half is not None
            assert not scene.world.desk.blobs.has(Digest.of(half))
        scene.custody.contribute([0, 1, 2])
        await scene.settle()
        (order,) = (await scene.judge.exchange()).orders
        await scene.judge.exchange([scene.judge.report(order)])
        await scene.settle()
        assert await scene.standing(campaign) == ("released", "")
        roots = [scene.world.root_envelope]
        export = evidence.export(scene.world.desk, Role.AUDITOR, campaign, roots=roots)
        everything = b"".join([file.data async for file in export])
        assert campaign.encode() in everything
        for half in (*secret, *seeds, *shares):
            assert half not in everything
        for digest in single:
            assert scene.world.desk.blobs.get(Digest(digest)) not in everything
        row = scene.row(RoundRow, (campaign, 1))
        assert (row.ciphertext, row.masks) == (None, None)

    asyncio.run(story())


def test_a_draft_waits_for_its_ceremony_and_says_so(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.world.start()
        await scene.settle()
        assert await scene.standing(campaign) == ("draft", "waiting-for-ceremony")
        scene.world.clock.advance(timedelta(days=3).total_seconds())
        publish_status(scene.world, scene.hosts, 2)
        for worker in scene.hosts:
            await worker.exchange()
        await scene.settle()
        assert await scene.standing(campaign) == ("draft", "waiting-for-ceremony")
        scene.custody.ceremony(campaign)
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "")

    asyncio.run(story())


def test_a_draft_waits_for_its_ceremony_for_a_bounded_time(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.world.start()
        await scene.settle()
        scene.world.clock.advance(timedelta(days=7, hours=1).total_seconds())
        await scene.settle()
        assert await scene.standing(campaign) == ("failed", "never-planned")
        assert "ceremony" in (await scene.world.view(campaign)).row.why

    asyncio.run(story())


def test_a_draft_that_is_cancelled_asks_nobody_for_a_ceremony_any_more(scene: Scene) -> None:
    from scheduler.service import campaigns

    async def story() -> None:
        await scene.found()
        campaign = await scene.world.start()
        await scene.settle()
        memory = scene.custody.keyholder._office.memory
        assert memory.awaiting() == [campaign]
        await campaigns.cancel(scene.world.desk, campaign, "enough")
        await scene.settle()
        assert memory.awaiting() == []
        assert scene.world.desk.asked == {}

    asyncio.run(story())


def test_people_are_asked_for_less_often_than_machines(scene: Scene) -> None:
    async def story() -> None:
        scene.world.desk.limits = replace(scene.world.desk.limits, patience=timedelta(seconds=15))
        await scene.found()
        campaign = await scene.world.start()
        await scene.settle(6)
        assert scene.custody.asked == ["engage"]
        assert await scene.standing(campaign) == ("draft", "waiting-for-ceremony")
        scene.custody.ceremony(campaign)
        scene.world.clock.advance(16)
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "")

    asyncio.run(story())


@pytest.mark.parametrize("who", ["helper", "custody"])
def test_a_draft_waits_for_who_is_down(scene: Scene, who: str) -> None:
    async def story() -> None:
        await scene.found()
        getattr(scene, who).down = True
        campaign = await scene.world.start()
        await scene.settle()
        reason = "waiting-for-helper" if who == "helper" else "waiting-for-keyholder"
        assert await scene.standing(campaign) == ("draft", reason)
        getattr(scene, who).down = False
        await scene.settle()
        scene.custody.ceremony(campaign)
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "")

    asyncio.run(story())


@pytest.mark.parametrize("who", ["helper", "custody"])
def test_a_round_goes_on_after_who_was_down_restarts(scene: Scene, who: str) -> None:
    async def story() -> None:
        campaign = await scene.reported()
        getattr(scene, who).down = True
        await scene.settle()
        reason = "waiting-for-helper" if who == "helper" else "waiting-for-keyholder"
        assert await scene.standing(campaign) == ("running", reason)
        getattr(scene, who).down = False
        getattr(scene, who).restart()
        scene.restart_scheduler()
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "waiting-for-trustees")
        scene.custody.contribute([1, 2, 3])
        await scene.settle()
        assert await scene.standing(campaign) == ("concluding", "waiting-for-concluder")

    asyncio.run(story())


def test_everybody_restarts_while_trustees_are_awaited(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.awaited()
        assert scene.custody.contribute([0, 1]) == 2
        await scene.settle()
        assert "2 of 3" in (await scene.world.view(campaign)).row.why
        scene.helper.restart()
        scene.custody.restart()
        scene.restart_scheduler()
        await scene.settle()
        # Shares are in memory only: the trustees are asked again, for the same sums.
        assert "0 of 3" in (await scene.world.view(campaign)).row.why
        assert scene.custody.contribute([0, 1, 4]) == 3
        await scene.settle()
        assert await scene.standing(campaign) == ("concluding", "waiting-for-concluder")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("absent", "reason"),
    [
        ("helper", "helper-unreachable"),
        ("custody", "keyholder-unreachable"),
        ("", "trustees-absent"),
    ],
)
def test_a_round_does_not_wait_for_ever(scene: Scene, absent: str, reason: str) -> None:
    async def story() -> None:
        campaign = await scene.reported()
        if absent:
            getattr(scene, absent).down = True
        await scene.settle()
        scene.world.clock.advance(timedelta(days=6).total_seconds())
        publish_status(scene.world, scene.hosts, 2)
        await scene.settle()
        assert (await scene.standing(campaign))[0] == "running"
        scene.world.clock.advance(timedelta(days=1, hours=1).total_seconds())
        publish_status(scene.world, scene.hosts, 3)
        await scene.settle()
        assert await scene.standing(campaign) == ("failed", reason)
        row = scene.row(RoundRow, (campaign, 1))
        assert (row.ciphertext, row.masks) == (None, None)

    asyncio.run(story())


def test_two_of_five_trustees_open_nothing(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.awaited()
        assert scene.custody.contribute([3, 4]) == 2
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "waiting-for-trustees")
        assert scene.documents(Kind.OPENED) == []

    asyncio.run(story())


def betray(honest: Residues) -> Residues:
    """(0, K): what is opened would be K times the secret key."""
    values = np.zeros_like(honest.values)
    values[1, :, 0] = 1 << 40
    return Residues.checked(honest.profile, values)


def test_a_ciphertext_that_would_betray_the_key_retires_the_epoch(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.awaited(forge=betray)
        scene.custody.contribute([0, 1, 2])
        await scene.settle()
        assert await scene.standing(campaign) == ("failed", "opening-implausible")
        assert "opening-implausible" in (await scene.world.view(campaign)).row.why
        refusal = scene.one(Kind.REFUSAL, KeyholderRefusal, Duty.KEYHOLDER).document
        assert (refusal.campaign, refusal.round) == (campaign, 1)
        assert refusal.code == "opening-implausible"
        notice = scene.one(Kind.EPOCH_RETIRED, EpochRetired, Duty.KEYHOLDER)
        assert notice.document.reason == "opening-implausible"
        assert scene.row(CampaignRow, campaign).retired == notice.digest
        assert scene.documents(Kind.OPENED) == scene.documents(Kind.OPENING) == []

    asyncio.run(story())


def test_a_ciphertext_of_another_key_gives_no_release(scene: Scene) -> None:
    async def story() -> None:
        stranger = scheme.generate(SOMME).public
        campaign = await scene.awaited(public=stranger)
        scene.custody.contribute([0, 1, 2])
        await scene.settle()
        assert await scene.standing(campaign) == ("failed", "opening-implausible")

    asyncio.run(story())


@pytest.mark.parametrize(
    "bad", ["empty", "cut", "profile", "residue", "clear", "plan", "noise", "unsealed"]
)
def test_what_is_no_ciphertext_of_this_epoch_is_refused_by_name(scene: Scene, bad: str) -> None:
    from protection.ckks.profile import PRODUIT
    from protection.ckks.residues import template_of

    somme, produit = template_of(SOMME), template_of(PRODUIT)
    whole = somme.before + bytes(8 * somme.residue_count) + somme.after
    changes = {
        "empty": {"blob": b""},
        "cut": {"blob": whole[:-1]},
        "profile": {"blob": produit.before + bytes(8 * produit.residue_count) + produit.after},
        "residue": {"blob": somme.before + b"\xff" * 8 * somme.residue_count + somme.after},
        "clear": {"blob": aggregate.encode_partial(scene.world.bundle.manifest.rules(), COUNTS)},
        "plan": {"plan": Digest.of(b"the plan of another epoch")},
        "noise": {"variances": {"counts": "5"}},
        "unsealed": {"sealed": None},
    }[bad]

    async def story() -> None:
        await scene.found()
        await scene.engaged()
        worker = scene.hosts[0]
        (order,) = (await worker.exchange()).orders
        encrypt(worker, order, **changes)
        (receipt,) = (await worker.exchange([worker.report(order)])).acknowledgements
        assert not receipt.accepted
        expected = "values-refused" if "blob" in changes else "statement-refused"
        assert receipt.reason == expected

    asyncio.run(story())


COUNTS = {"counts": np.array([1, 1, 1], np.int64)}


def test_a_withdrawn_consent_drops_that_report_and_the_batch_goes_on(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.reported()
        scene.hosts[2].capsules.pop()
        publish_status(scene.world, scene.hosts, 2)
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "waiting-for-trustees")
        scene.custody.contribute([0, 1, 2])
        await scene.settle()
        opening = scene.one(Kind.OPENING, Opening, Duty.ORDERS).document
        assert opening.partials == 2
        assert scene.row(RoundRow, (campaign, 1)).contributors == 9

    asyncio.run(story())


def test_a_suspension_ends_the_campaign_with_the_keyholders_code(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.reported()
        authorisation = scene.row(CampaignRow, campaign).authorisation
        publish_status(
            scene.world, scene.hosts, 2, suspensions=(Suspended(authorisation, "harmful"),)
        )
        await scene.settle()
        assert await scene.standing(campaign) == ("failed", "authorisation-suspended")
        refusal = scene.one(Kind.REFUSAL, KeyholderRefusal, Duty.KEYHOLDER).document
        assert refusal.code == "authorisation-suspended"
        # The epoch goes with the campaign all the same.
        notice = scene.one(Kind.EPOCH_RETIRED, EpochRetired, Duty.KEYHOLDER).document
        assert notice.reason == "campaign-ended"

    asyncio.run(story())


def test_an_epoch_retired_by_command_ends_the_campaign(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.awaited()
        scene.custody.keyholder.retire(scene.row(CampaignRow, campaign).id)
        await scene.settle()
        assert await scene.standing(campaign) == ("failed", "epoch-retired")
        notice = scene.one(Kind.EPOCH_RETIRED, EpochRetired, Duty.KEYHOLDER).document
        assert notice.reason == "retired-by-command"

    asyncio.run(story())


def test_a_cancelled_campaign_has_no_key_any_more(scene: Scene) -> None:
    from scheduler.service import campaigns

    async def story() -> None:
        campaign = await scene.awaited()
        await campaigns.cancel(scene.world.desk, campaign, "enough")
        await scene.settle()
        assert await scene.standing(campaign) == ("cancelled", "campaign-cancelled")
        assert scene.one(Kind.EPOCH_RETIRED, EpochRetired, Duty.KEYHOLDER)
        row = scene.row(RoundRow, (campaign, 1))
        assert (row.ciphertext, row.masks) == (None, None)

    asyncio.run(story())


@pytest.mark.parametrize("lie", ["values", "variances", "returned", "request", "signature"])
def test_an_opening_that_does_not_hold_is_neither_logged_nor_released(
    scene: Scene, lie: str
) -> None:
    async def story() -> None:
        campaign = await scene.awaited()
        scene.custody.contribute([0, 1, 2])
        honest, root = scene.custody.keyholder.open, scene.world.desk.root

        def open_(request):
            answer = honest(request)
            document = root.verify(AggregateOpened, answer.opened, Duty.KEYHOLDER).document
            key = scene.world.keys["keyholder"]
            match lie:
                case "values":
                    return replace(answer, values=answer.values + b" ")
                case "variances":
                    document = replace(document, variances={"counts": "1"})
                case "returned":
                    return replace(answer, returned=answer.returned[:2] + answer.returned[:1])
                case "request":
                    return replace(answer, request=answer.opened)
                case "signature":
                    key = scene.world.keys["orders"]
            return replace(answer, opened=signed.sign(document, [key]).envelope.raw)

        scene.custody.keyholder.open = open_
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "waiting-for-keyholder")
        for kind in (Kind.OPENED, Kind.OPENING, Kind.SHARE_REQUEST, Kind.TRUSTEE_SHARE):
            assert scene.documents(kind) == []
        del scene.custody.keyholder.open
        await scene.settle()
        assert await scene.standing(campaign) == ("concluding", "waiting-for-concluder")

    asyncio.run(story())


def test_a_refusal_that_nobody_signed_ends_nothing(scene: Scene) -> None:
    async def story() -> None:
        campaign = await scene.reported()

        def prepare(_request):
            raise KeyholderDenied(b"{}", b"{}")

        scene.custody.prepare = prepare
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "waiting-for-keyholder")
        assert scene.documents(Kind.REFUSAL) == []

    asyncio.run(story())


@contextlib.contextmanager
def serving(keyholder):
    server = KeyholderServer(("127.0.0.1", 0), keyholder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_campaign_over_http(scene: Scene) -> None:
    async def story(url: str) -> None:
        desk = scene.world.desk
        desk.keyholder = HttpKeyholder(url, timeout=20)
        await scene.found()
        campaign = await scene.world.start()
        await scene.settle()
        assert await scene.standing(campaign) == ("draft", "waiting-for-ceremony")
        scene.custody.ceremony(campaign)
        await scene.settle()
        for worker in scene.hosts:
            (order,) = (await worker.exchange()).orders
            encrypt(worker, order)
            await worker.exchange([worker.report(order)])
        await scene.settle()
        assert await scene.standing(campaign) == ("running", "waiting-for-trustees")
        assert "0 of 3 trustees" in (await scene.world.view(campaign)).row.why
        scene.custody.contribute([0, 1, 2])
        await scene.settle()
        assert await scene.standing(campaign) == ("concluding", "waiting-for-concluder")
        # A campaign that nobody knows is refused, signed.
        now = desk.now().replace(microsecond=0)
        unknown = CampaignEnded("plaine.example", CampaignId.draw(desk.entropy), now)
        question = EndOfEpoch(signed.sign(unknown, [desk.orders]).envelope.raw)
        with pytest.raises(KeyholderDenied) as denied:
            desk.keyholder.end(question)
        refusal = desk.root.verify(KeyholderRefusal, denied.value.envelope, Duty.KEYHOLDER)
        assert refusal.document.code == "epoch-unknown"

    with serving(scene.custody.keyholder) as url:
        asyncio.run(story(url))
    with pytest.raises(KeyholderUnavailable, match="could not be reached"):
        HttpKeyholder(url).end(EndOfEpoch(b""))
    with pytest.raises(StateRefused):
        HttpKeyholder("file:///etc")


def test_a_keyholder_that_never_answers_is_not_waited_for(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(KeyholderUnavailable):
            HttpKeyholder(f"http://127.0.0.1:{port}", timeout=0.2).end(EndOfEpoch(b""))


def test_without_a_keyholder_the_operator_is_told(scene: Scene) -> None:
    async def story() -> None:
        scene.world.desk.keyholder = NoKeyholder()
        await scene.found()
        campaign = await scene.world.start()
        await scene.settle()
        assert await scene.standing(campaign) == ("draft", "waiting-for-keyholder")
        assert "no keyholder" in (await scene.world.view(campaign)).row.why

    asyncio.run(story())


def test_a_worker_that_cannot_encrypt_is_given_nothing(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        scene.hosts[0].libraries = ("numpy",)
        await scene.hosts[0].exchange()
        await scene.engaged()
        assert (await scene.hosts[0].exchange()).orders == ()

    asyncio.run(story())


def test_a_campaign_that_is_cancelled_while_the_helper_prepares_keeps_no_sum(scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        await scene.cancelled_meanwhile(campaign)
        row = scene.row(RoundRow, (campaign, 1))
        assert (row.commitment, row.ciphertext) == (None, None)

    asyncio.run(story())
