"""A `shared` campaign: the scheduler as leader, with a real helper in the same process."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from helping import Scene, publish_status, share
from sqlmodel import select

from jobs import aggregate
from protection import accounting
from scheduler.service import evidence
from scheduler.store.tables import AttemptRow, CampaignRow, RoundRow
from trust.certificates import Peer, Role
from trust.documents import signed
from trust.documents.aggregation import (
    AggregateShare,
    BatchCommitment,
    HelperRefusal,
    KeyDestroyed,
    Side,
)
from trust.documents.campaign import Opening
from trust.documents.governance import Suspended
from trust.documents.root import Duty
from trust.ids import Digest
from trust.log.entry import Kind


def exported(scene: Scene, campaign: str):
    roots = [scene.world.root_envelope]
    return evidence.export(scene.world.desk, Role.AUDITOR, campaign, roots=roots)


@pytest.fixture
def scene(world, tmp_path: Path) -> Scene:
    return Scene(world, tmp_path)


def test_a_shared_campaign_from_start_to_release(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        await scene.settle()
        assert (await scene.world.view(campaign)).row.state == "concluding"
        root = scene.world.desk.root
        (opening,) = scene.documents(Kind.OPENING)
        opened = signed.verify(Opening, opening, root.keys(Duty.ORDERS).keys).document
        (batch,) = scene.documents(Kind.BATCH)
        committed = root.verify(BatchCommitment, batch, Duty.ORDERS).document
        assert opened.batch == committed.batch
        assert opened.partials == committed.partials == 3
        shares = [scene.world.desk.blobs.get(digest) for digest in opened.shares]
        leader = root.verify(AggregateShare, shares[0], Duty.ORDERS).document
        helper = root.verify(AggregateShare, shares[1], Duty.HELPER).document
        assert (leader.side, helper.side) == (Side.LEADER, Side.HELPER)
        assert leader.batch == helper.batch == opened.batch
        rules = scene.world.bundle.manifest.rules()
        blobs = scene.world.desk.blobs
        again = aggregate.open_shares(
            rules, blobs.get(leader.values), blobs.get(helper.values), rounds=1, contributors=19
        )
        assert Digest.of(again) == opened.aggregate
        table = aggregate.decode_aggregate(rules, again)
        noise = accounting.noise_of(rules[0])
        error = table["counts"] - np.array([15, 3, 30])
        assert np.abs(error).max() <= accounting.simultaneous_band(noise, 2, 3)
        assert table["counts.variance"] == pytest.approx(2 * float(noise.variance))
        (order,) = (await scene.judge.exchange()).orders
        await scene.judge.exchange([scene.judge.report(order)])
        await scene.settle()
        assert (await scene.world.view(campaign)).row.state == "released"
        (notice,) = scene.documents(Kind.KEY_DESTROYED)
        assert root.verify(KeyDestroyed, notice, Duty.HELPER).document.campaign == campaign

    asyncio.run(story())


def test_sealed_seeds_and_single_shares_are_in_no_evidence(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        seeds = [seed for worker in scene.hosts for seed in worker.sealed.values()]

        def attempts(tx):
            return list(tx.session.exec(select(AttemptRow)).all())

        single = [row.values_digest for row in scene.world.desk.store.run("read", attempts)]
        await scene.settle()
        (order,) = (await scene.judge.exchange()).orders
        await scene.judge.exchange([scene.judge.report(order)])
        await scene.settle()
        everything = b"".join([file.data async for file in exported(scene, campaign)])
        assert campaign.encode() in everything
        for seed in seeds:
            assert seed not in everything
        for digest in single:
            assert scene.world.desk.blobs.get(Digest(digest)) not in everything
        kept = [row.sealed for row in scene.world.desk.store.run("read", attempts)]
        assert kept == [None] * len(kept)

    asyncio.run(story())


def test_an_auditor_reads_no_single_share(scene: Scene, tmp_path: Path) -> None:
    from scheduler.errors import Unknown
    from scheduler.service.transfers import Transfers

    async def story() -> None:
        await scene.found()
        await scene.reported()
        transfers = Transfers(scene.world.desk, tmp_path / "staging")
        auditor = Peer("plaine.example", Role.AUDITOR, "eve", 1)

        def register(tx):
            from scheduler.service import outbox

            rows = list(tx.session.exec(select(AttemptRow)).all())
            for row in rows:
                blob = scene.world.desk.blobs.get(Digest(row.values_digest))
                outbox.keep_blob(tx, scene.world.desk, blob, public=False, giver=row.worker)
            return [row.values_digest for row in rows]

        for digest in scene.world.desk.store.run("register", register):
            with pytest.raises(Unknown):
                _ = [chunk async for chunk in transfers.get(auditor, Digest(digest), 0)]

    asyncio.run(story())


def test_a_campaign_waits_for_a_helper_that_is_down_and_says_so(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        scene.helper.down = True
        campaign = await scene.world.start()
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("draft", "waiting-for-helper")
        scene.helper.down = False
        await scene.settle()
        assert (await scene.world.view(campaign)).row.state == "running"

    asyncio.run(story())


def test_a_draft_waits_for_the_helper_for_a_bounded_time(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        scene.helper.down = True
        campaign = await scene.world.start()
        await scene.settle()
        scene.world.clock.advance(2 * 3600)
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "never-planned")
        assert "helper" in row.why

    asyncio.run(story())


def test_a_round_waits_for_the_helper_and_goes_on_after_a_restart(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        scene.helper.down = True
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("running", "waiting-for-helper")
        scene.helper.down = False
        scene.helper.restart()
        scene.world.reopen()
        scene.world.desk.helper = scene.helper
        await scene.settle()
        assert (await scene.world.view(campaign)).row.state == "concluding"

    asyncio.run(story())


def test_a_round_does_not_wait_for_ever(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        scene.helper.down = True
        await scene.settle()
        scene.world.clock.advance(timedelta(hours=25).total_seconds())
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "helper-unreachable")

    asyncio.run(story())


def test_a_refusal_ends_the_campaign_with_the_helpers_code_and_is_logged(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        authorisation = scene.row(CampaignRow, campaign).authorisation
        publish_status(
            scene.world, scene.hosts, 2, suspensions=(Suspended(authorisation, "harmful"),)
        )
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "authorisation-suspended")
        assert "authorisation-suspended" in row.why
        (refusal,) = scene.documents(Kind.REFUSAL)
        document = scene.world.desk.root.verify(HelperRefusal, refusal, Duty.HELPER).document
        assert (document.campaign, document.round) == (campaign, 1)

    asyncio.run(story())


def test_a_withdrawn_consent_drops_that_report_and_the_batch_goes_on(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        scene.hosts.append(await scene.world.worker("dep", capsules=7))
        await scene.hosts[3].exchange()
        publish_status(scene.world, scene.hosts, 2)
        campaign = await scene.reported()
        scene.hosts[3].capsules.pop()
        publish_status(scene.world, scene.hosts, 3)
        await scene.settle()
        assert (await scene.world.view(campaign)).row.state == "concluding"
        (opening,) = scene.documents(Kind.OPENING)
        keys = scene.world.desk.root.keys(Duty.ORDERS).keys
        assert signed.verify(Opening, opening, keys).document.partials == 3
        assert scene.row(RoundRow, (campaign, 1)).contributors == 15

    asyncio.run(story())


def test_a_share_that_is_garbage_gives_no_release(scene: Scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported(mark=1 << 28)
        await scene.settle()
        row = (await scene.world.view(campaign)).row
        assert row.state == "failed"
        assert row.reason in {"batch-unfit", "values-refused"}

    asyncio.run(story())


@pytest.mark.parametrize(
    "change",
    [
        {"variances": {"counts": "5"}},
        {"sealed": None},
        {"sealed": Digest.of(b"another")},
        {"protection": "clear"},
    ],
)
def test_a_partial_that_is_not_shared_as_voted_is_refused(scene: Scene, change) -> None:
    from trust.documents.rules import Protection

    if "protection" in change:
        change = {"protection": Protection.CLEAR}

    async def story() -> None:
        await scene.found()
        await scene.world.start()
        await scene.world.turn()
        worker = scene.hosts[0]
        (order,) = (await worker.exchange()).orders
        share(worker, order, **change)
        (receipt,) = (await worker.exchange([worker.report(order)])).acknowledgements
        assert not receipt.accepted
        assert receipt.reason == "statement-refused"

    asyncio.run(story())


def test_without_a_helper_the_operator_is_told(world, tmp_path: Path) -> None:
    async def story() -> None:
        scene = Scene(world, tmp_path)
        from scheduler.helper import NoHelper

        world.desk.helper = NoHelper()
        await scene.found()
        campaign = await world.start()
        await scene.settle()
        row = (await world.view(campaign)).row
        assert (row.state, row.reason) == ("draft", "waiting-for-helper")
        assert "no helper" in row.why

    asyncio.run(story())


def test_a_campaign_that_is_cancelled_while_the_helper_prepares_commits_to_nothing(scene) -> None:
    async def story() -> None:
        await scene.found()
        campaign = await scene.reported()
        await scene.cancelled_meanwhile(campaign)
        assert (await scene.world.view(campaign)).row.state == "cancelled"
        assert scene.row(RoundRow, (campaign, 1)).commitment is None
        assert scene.documents(Kind.BATCH) == []

    asyncio.run(story())
