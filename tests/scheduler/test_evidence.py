"""What the scheduler exports is what the audit accepts: replayed whole, from files and HTTP."""

from __future__ import annotations

import asyncio

import pytest

from audit.download import download
from audit.evidence import EvidenceFolder
from audit.replay import audit
from scheduler.service import evidence, outbox
from scheduler.site import Site, SiteServer
from trust.certificates import Role
from trust.log.checkpoint import Checkpoint
from trust.log.entry import Kind, LogEntry
from trust.log.note import Note
from trust.log.policy import Policy
from trust.log.replay import check_log
from trust.log.tiles import TILE_WIDTH, Tile, entry_bundles, hash_tiles


async def released(world):
    """A released campaign in a territory whose log begins with its root."""
    await world.desk.run(
        "log-root", lambda tx: outbox.publish_raw(tx, world.desk, Kind.ROOT, world.root_envelope)
    )
    await world.authorised()
    workers = [await world.worker(f"o{n}", capsules=4 + n) for n in range(3)]
    judge = await world.worker("judge", concludes=True)
    for worker in [*workers, judge]:
        await worker.exchange()
    campaign = await world.start()
    await world.turn()
    # One attempt fails, one is lost: auditors see both, and only accepted ones count.
    (order,) = (await workers[0].exchange()).orders
    await workers[0].exchange([workers[0].refusal(order)])
    world.clock.advance(30)
    await world.turn()
    for worker in [*workers, judge]:
        await worker.exchange()
        for order in tuple(worker.held):
            await worker.exchange([worker.report(order)])
        await world.turn()
    view = await world.view(campaign)
    assert view.row.state == "released", view
    return campaign


async def export(world, folder, role):
    files = evidence.export(world.desk, role, "", roots=[world.root_envelope])
    async for file in files:
        path = folder / file.path
        assert not path.exists(), file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR])
def test_exported_evidence_passes_the_audit(world, tmp_path, role):
    async def scenario():
        await released(world)
        await export(world, tmp_path / "evidence", role)

    asyncio.run(scenario())
    verdict = audit(EvidenceFolder(tmp_path / "evidence"))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert any(path.name == "restricted" for path in (tmp_path / "evidence").iterdir()) == (
        role is Role.AUDITOR
    )


@pytest.mark.parametrize(("more", "collected"), [(1, False), (300, False), (300, True)])
def test_tiles_never_outrun_the_exported_checkpoint(world, tmp_path, more, collected):
    """The log grows between checkpoint and tiles: by an entry, by a whole tile that replaces ours.

    A log may drop partial tiles once the full one stands (`collected`).
    """

    async def scenario():
        await released(world)
        log, honest = world.desk.log, world.desk.log.checkpoint

        def then_it_grows():
            note = honest()
            log.append([LogEntry.of(Kind.PLAN, b"%d" % n).emit() for n in range(more)])
            return note

        log.checkpoint = then_it_grows
        if collected:
            keep = log.fetch

            def fetch(path):
                if Tile.parse(path).width < TILE_WIDTH and (
                    (world.folder / "log" / "public" / Tile.parse(path).full.path).exists()
                ):
                    raise LookupError(path)
                return keep(path)

            log.fetch = fetch
        await export(world, tmp_path / "evidence", Role.AUDITOR)
        note = Note.parse((tmp_path / "evidence/log/checkpoint").read_bytes())
        size = Checkpoint.parse(note.text).size
        assert log.size == size + more
        wanted = {"checkpoint"} | {tile.path for tile in (*hash_tiles(size), *entry_bundles(size))}
        found = (tmp_path / "evidence/log").rglob("*")
        assert {
            path.relative_to(tmp_path / "evidence/log").as_posix()
            for path in found
            if path.is_file()
        } == wanted

    asyncio.run(scenario())
    verdict = audit(EvidenceFolder(tmp_path / "evidence"))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]


def test_a_log_of_several_full_tiles_is_exported_whole(world, tmp_path):
    async def scenario():
        world.desk.log.append([LogEntry.of(Kind.PLAN, b"%d" % n).emit() for n in range(600)])
        await released(world)
        await export(world, tmp_path / "evidence", Role.OPERATOR)

    asyncio.run(scenario())
    folder = tmp_path / "evidence" / "log"
    policy = Policy.parse(world.desk.root.document.log_policy.encode())
    replayed = check_log(lambda path: (folder / path).read_bytes(), policy)
    assert len(replayed.entries) == world.desk.log.size > 600


def test_the_site_serves_what_an_audit_fetches(world, tmp_path):
    asyncio.run(released(world))
    site = SiteServer(Site(world.desk, [world.root_envelope], list), "127.0.0.1", 0)
    site.start()
    try:
        fetched = download(f"http://127.0.0.1:{site.port}", tmp_path / "evidence")
    finally:
        site.stop()
    assert not fetched.missing, fetched
    verdict = audit(EvidenceFolder(tmp_path / "evidence"))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/log",
        "/log/",
        "/log/../config.json",
        "/log/tile/../../lock",
        "/log/staged",
        "/root/0.json",
        "/root/9.json",
        "/objects/sha256/00/" + "0" * 64,
        "/objects/sha256/../x",
        "/scheduler.db",
        "/log/tile/0/000%2e%2e",
        "//log/checkpoint",
        "/log/checkpoint?x=1",
        "/keys/orders",
    ],
)
def test_the_site_serves_nothing_else(world, path):
    assert Site(world.desk, [b"root"], list).page(path) is None


def test_the_site_says_what_troubles_it(world):
    site = Site(world.desk, [b"root"], lambda: ["waiting for witness one"])
    assert site.page("/readyz").status == 503
    assert site.page("/healthz").status == 200
    assert b"cadastre_transactions" in site.page("/metrics", local=True).data
    assert site.page("/root/1.json").data == b"root"


def test_what_a_member_put_is_not_served_to_everybody(world):
    async def scenario():
        await world.desk.run(
            "put", lambda tx: outbox.keep_blob(tx, world.desk, b"mine", public=False, giver="x")
        )

    asyncio.run(scenario())
    digest = world.desk.blobs.put(b"mine").removeprefix("sha256:")
    site = Site(world.desk, [], list)
    assert site.page(f"/objects/sha256/{digest[:2]}/{digest}") is None
