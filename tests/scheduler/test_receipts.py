"""What workers were told was accepted: from the scheduler's answers to the audit's check."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

from sqlmodel import select

from audit.evidence import EvidenceFolder
from audit.replay import WITHOUT_RECEIPTS, audit
from scheduler.domain.states import AttemptState
from scheduler.service import accepting, committing, evidence, exchange, outbox
from scheduler.store.tables import AttemptRow, RestrictedRow
from tests.scheduler.test_evidence import export, released
from trust import schema
from trust.certificates import Role
from trust.documents.campaign import OrderBatch
from trust.dsse import Envelope
from trust.ids import Digest
from trust.log.entry import Kind


def receipts_of(row):
    return schema.decode(OrderBatch, Envelope.parse(row.envelope).payload).acknowledgements


async def kept(world):
    """Every kept batch of orders and receipts."""
    query = select(RestrictedRow).where(RestrictedRow.kind == committing.ORDERS)
    return await world.desk.look("x", lambda tx: tx.session.exec(query).all())


def audited(folder, world):
    asyncio.run(export(world, folder, Role.AUDITOR))
    return audit(EvidenceFolder(folder))


def line_of(verdict, check):
    (line,) = [line for line in verdict.journal.lines if line.check == check]
    return line


async def both_campaigns(world):
    """Two campaigns at once whose workers report attempts at both in one batch."""
    await world.authorised()
    workers = [await world.worker(f"o{n}", capsules=4 + n) for n in range(3)]
    judge = await world.worker("judge", concludes=True)
    for worker in [*workers, judge]:
        await worker.exchange()
    campaigns = [await world.start("one"), await world.start("two")]
    await world.turn()
    for worker in workers:
        while len(worker.held) < 2:
            await worker.exchange()
        await worker.exchange([worker.report(order) for order in tuple(worker.held)])
    await world.turn()
    while not judge.held or len(judge.held) < 2:
        await judge.exchange()
    for order in tuple(judge.held):
        await judge.exchange([judge.report(order)])
    await world.turn()
    for campaign in campaigns:
        assert (await world.view(campaign)).row.state == "released"
    return campaigns


def test_every_receipt_is_committed_and_compared_with_what_was_opened(world, tmp_path):
    asyncio.run(released(world))
    verdict = audited(tmp_path / "evidence", world)
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    # Three partials and the conclusion.
    assert line_of(verdict, "order.receipts").found == (
        "4 acknowledgements kept; 0 opened partials without one"
    )
    assert WITHOUT_RECEIPTS not in verdict.journal.not_checked


def test_receipts_about_several_campaigns_stand_in_a_list_that_every_export_has(world, tmp_path):
    async def scenario():
        await world.desk.run("log-root", lambda tx: _log_root(tx, world))
        campaigns = await both_campaigns(world)
        mixed = [row for row in await kept(world) if row.campaign is None]
        assert len(mixed) == 3
        assert all(row.commitment for row in mixed)
        return campaigns

    first, _ = asyncio.run(scenario())
    verdict = audited(tmp_path / "all", world)
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert line_of(verdict, "order.receipts").found.startswith("8 acknowledgements kept; 0 ")

    async def one_campaign(folder):
        files = evidence.export(world.desk, Role.AUDITOR, first, roots=[world.root_envelope])
        async for file in files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)

    asyncio.run(one_campaign(tmp_path / "one"))
    verdict = audit(EvidenceFolder(tmp_path / "one"))
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert re.match(r"[4-9] acknowledgements kept; 0 ", line_of(verdict, "order.receipts").found)
    # The shared lists belong to each campaign: leaving one out is seen.
    for path in (tmp_path / "one" / "restricted").glob("orders-all-*.json"):
        held = path.read_bytes()
        path.unlink()
        verdict = audit(EvidenceFolder(tmp_path / "one"))
        assert verdict.journal.failed == ("commitment.opened",)
        path.write_bytes(held)


def test_a_receipt_that_is_withheld_or_altered_in_the_export_is_found(world, tmp_path):
    async def scenario():
        await released(world)
        return [row.digest for row in await kept(world) if receipts_of(row)]

    digests = asyncio.run(scenario())
    assert audited(tmp_path / "evidence", world).ok
    name = digests[0].removeprefix("sha256:")
    path = tmp_path / "evidence" / "restricted" / "objects" / "sha256" / name[:2] / name
    held = path.read_bytes()
    path.unlink()
    assert audit(EvidenceFolder(tmp_path / "evidence")).journal.failed == ("order.signatures",)
    path.write_bytes(held.replace(b'"', b"'", 1))
    assert not audit(EvidenceFolder(tmp_path / "evidence")).ok


def test_a_partial_that_was_acknowledged_and_not_opened_is_found(world, tmp_path):
    """A scheduler that drops an inconvenient partial after it told its worker "accepted"."""

    async def scenario():
        taken_in = accepting.accept

        def then_forgotten(tx, desk, sender, checked):
            answer = taken_in(tx, desk, sender, checked)
            attempt = tx.session.get(AttemptRow, str(answer.attempt))
            contributors = tx.session.exec(
                select(AttemptRow).where(AttemptRow.state == AttemptState.ACCEPTED.value)
            ).all()
            if answer.accepted and len(contributors) == 3 and forgotten == []:
                forgotten.append(answer.statement)
                attempt.state = AttemptState.REJECTED.value
            return answer

        forgotten = []
        accepting.accept = then_forgotten
        try:
            await released(world)
        finally:
            accepting.accept = taken_in
        assert forgotten

    asyncio.run(scenario())
    assert audited(tmp_path / "evidence", world).journal.failed == ("order.receipts",)


def test_a_receipt_for_another_statement_is_found(world, tmp_path):
    """A scheduler that signs and commits another receipt than its opening deserves."""

    async def scenario():
        taken_in = accepting.accept
        lies = []

        def told_otherwise(tx, desk, sender, checked):
            answer = taken_in(tx, desk, sender, checked)
            if answer.accepted and not lies:
                lies.append(answer)
                answer = replace(answer, statement=Digest.of(b"another partial"))
            return answer

        accepting.accept = told_otherwise
        try:
            await released(world)
        finally:
            accepting.accept = taken_in
        assert lies

    asyncio.run(scenario())
    assert audited(tmp_path / "evidence", world).journal.failed == ("order.receipts",)


def test_a_receipt_is_stored_with_what_it_acknowledges(world, tmp_path):
    """A release cannot overtake the receipt for its conclusion: one transaction holds both."""

    async def scenario():
        waited = exchange._wait_for_news

        async def never_after_reports(desk, document, known):
            assert not document.reports
            await waited(desk, document, known)

        exchange._wait_for_news = never_after_reports
        try:
            await released(world)
        finally:
            exchange._wait_for_news = waited
        assert [row for row in await kept(world) if row.commitment is None] == []

    asyncio.run(scenario())
    verdict = audited(tmp_path / "evidence", world)
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert line_of(verdict, "order.receipts").found.startswith("4 acknowledgements kept; 0 ")


def test_what_is_signed_after_the_release_is_committed_later(world):
    """An answer is signed again when the orders key was replaced, even if its campaign ended."""

    async def scenario():
        await released(world)
        newest = max(await kept(world), key=lambda row: row.created_at)
        again = Envelope.parse(newest.envelope).raw + b"\n"  # other bytes, the same document

        def keep(tx):
            committing.keep(tx, world.desk, committing.ORDERS, again, newest.campaign)

        await world.desk.run("answer-exchange", keep)
        assert await committing.commit_waiting(world.desk) == 1
        assert await committing.commit_waiting(world.desk) == 0

    asyncio.run(scenario())


def test_orders_of_a_running_campaign_wait_for_its_end(world):
    async def scenario():
        await world.authorised()
        workers = [await world.worker(f"o{n}", capsules=4) for n in range(2)]
        for worker in workers:
            await worker.exchange()
        await world.start()
        await world.turn()
        await workers[0].exchange()
        assert await committing.commit_waiting(world.desk) == 0
        assert [row.commitment for row in await kept(world)] == [None]

    asyncio.run(scenario())


def test_nothing_is_kept_of_an_answer_that_says_nothing(world):
    async def scenario():
        await world.authorised()
        worker = await world.worker("a", capsules=3)
        for _ in range(3):
            await worker.exchange()
        assert await kept(world) == []

    asyncio.run(scenario())


def _log_root(tx, world):
    return outbox.publish_raw(tx, world.desk, Kind.ROOT, world.root_envelope)
