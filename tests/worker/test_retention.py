"""What the journal lets go of, and what it never forgets."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from durable.errors import StorageFailed
from trust.clock import from_text
from trust.documents.campaign import Acknowledgement, UnitKind
from trust.documents.reporting import AttemptReport, Outcome
from trust.entropy import seeded
from trust.ids import AttemptId, AuthorisationId, CampaignId, Digest, FencingToken, UnitId
from trust.policy import Served
from worker import journal_file
from worker.errors import JournalRefused, StatementRetired
from worker.journal import Journal, Statement
from worker.retention import Retention

pytestmark = pytest.mark.base

NOW = from_text("2026-11-22T12:00:00Z")
MONTH = timedelta(days=30)
VOTE = AuthorisationId.draw(seeded(b"vote"))
PLAN = Digest.of(b"plan")
KIND = UnitKind.CONTRIBUTE


def campaign(number: int) -> CampaignId:
    return CampaignId.draw(seeded(b"campaign %d" % number))


def statement(number: int) -> Statement:
    return Statement(PLAN, b"envelope %d" % number, b"values %d" % number)


def said(journal: Journal, number: int, attempt: int = 1, *, acknowledged: bool = True) -> None:
    """A round from its plan to its receipt."""
    draw = seeded(b"attempt %d %d" % (number, attempt))
    journal.begin_round(campaign(number), 1, PLAN, VOTE, "1/10")
    kept = journal.keep_statement(campaign(number), 1, KIND, statement(number))
    report = AttemptReport(
        unit=UnitId.draw(draw),
        attempt=AttemptId.draw(draw),
        token=FencingToken.draw(draw),
        outcome=Outcome.CONTRIBUTED,
        statement=kept.envelope,
        reason="",
        sentence="",
    )
    journal.keep_report(report)
    if acknowledged:
        sequence = journal.sequence() + 1
        journal.begin_exchange(sequence, b"batch")
        receipt = Acknowledgement(
            report.unit, report.attempt, accepted=True, reason="", statement=PLAN
        )
        journal.end_exchange(sequence, b"orders %d" % sequence, [receipt])


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def aged(journal: Journal, moment: datetime = NOW) -> int:
    """Pruned now, and again a month later."""
    journal.prune(moment)
    return journal.prune(moment + MONTH)


def test_what_was_acknowledged_a_month_ago_is_let_go(journal: Journal, tmp_path: Path) -> None:
    said(journal, 1)
    assert journal.prune(NOW) == 0
    assert journal.prune(NOW + MONTH - timedelta(seconds=1)) == 0
    assert journal.statement(campaign(1), 1, KIND) == statement(1)
    assert journal.prune(NOW + MONTH) == 1
    assert journal.receipts() == ()
    journal.close()
    raw = sqlite3.connect(tmp_path / journal_file.FILE_NAME)
    assert raw.execute("SELECT count(*) FROM receipt").fetchone() == (0,)
    assert raw.execute("SELECT envelope, content FROM statement").fetchone() == (b"", b"")


def test_a_retired_statement_still_stops_a_second_one(journal: Journal) -> None:
    said(journal, 1)
    assert aged(journal) == 1
    with pytest.raises(StatementRetired):
        journal.statement(campaign(1), 1, KIND)
    with pytest.raises(StatementRetired):
        journal.keep_statement(campaign(1), 1, KIND, Statement(PLAN, b"other", b"fresh noise"))


def test_plans_prices_and_votes_are_never_forgotten(journal: Journal) -> None:
    said(journal, 1)
    charged, served = journal.charged_rounds(), journal.served(VOTE, campaign(9), 1)
    assert aged(journal) == 1
    assert journal.charged_rounds() == charged != b""
    assert journal.served(VOTE, campaign(9), 1) == served != Served()
    assert journal.plan(campaign(1), 1) == PLAN


def test_what_has_no_receipt_is_kept_whatever_its_age(journal: Journal) -> None:
    said(journal, 1, acknowledged=False)
    said(journal, 2, 1)
    said(journal, 2, 2, acknowledged=False)  # a second attempt repeats the same statement
    assert aged(journal) == 1
    assert len(journal.pending_reports(9)) == 2
    assert journal.content(Digest.of(statement(1).envelope)) == statement(1).content
    assert journal.statement(campaign(2), 1, KIND) == statement(2)


def test_a_statement_without_a_report_is_kept(journal: Journal) -> None:
    # kill -9 between the two: nobody has heard of it yet.
    journal.begin_round(campaign(1), 1, PLAN, VOTE, "1/10")
    journal.keep_statement(campaign(1), 1, KIND, statement(1))
    assert journal.prune(NOW + 100 * MONTH, Retention(reports=0, blob_bytes=0)) == 0
    assert journal.statement(campaign(1), 1, KIND) == statement(1)


def test_the_newest_are_kept_when_there_are_too_many(journal: Journal) -> None:
    for number in range(5):
        said(journal, number)
    assert journal.prune(NOW, Retention(reports=2)) == 3
    assert [len(item.attempt) > 0 for item in journal.receipts()] == [True, True]
    assert journal.statement(campaign(4), 1, KIND) == statement(4)
    with pytest.raises(StatementRetired):
        journal.statement(campaign(2), 1, KIND)


def test_blobs_are_bounded_by_their_bytes(journal: Journal) -> None:
    for number in range(3):
        said(journal, number)
    size = len(statement(0).content)
    assert journal.prune(NOW, Retention(blob_bytes=2 * size)) == 1
    assert journal.statement(campaign(1), 1, KIND) == statement(1)
    with pytest.raises(StatementRetired):
        journal.statement(campaign(0), 1, KIND)


@pytest.mark.parametrize("years", [-50, 50])
def test_a_clock_that_jumps_repeats_nothing(journal: Journal, years: int) -> None:
    said(journal, 1)
    journal.prune(NOW)
    journal.prune(NOW + timedelta(days=365 * years))
    other = Statement(PLAN, b"other", b"fresh noise")
    try:
        kept = journal.keep_statement(campaign(1), 1, KIND, other)
    except StatementRetired:
        return
    assert kept == statement(1)


def test_a_pruning_that_fails_lets_go_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "BUSY_SECONDS", 0.01)
    journal = Journal(tmp_path)
    said(journal, 1)
    blocker = sqlite3.connect(tmp_path / journal_file.FILE_NAME, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailed):
        journal.prune(NOW, Retention(reports=0))
    blocker.execute("ROLLBACK")
    assert len(journal.receipts()) == 1
    assert journal.statement(campaign(1), 1, KIND) == statement(1)


def test_a_pruning_that_was_stored_though_its_caller_heard_of_failure(journal: Journal) -> None:
    said(journal, 1)
    assert journal.prune(NOW, Retention(reports=0)) == 1
    assert journal.prune(NOW, Retention(reports=0)) == 0


def older(path: Path, version: int = 2) -> None:
    """Make a journal what an earlier version wrote."""
    raw = sqlite3.connect(path)
    raw.execute("ALTER TABLE round DROP COLUMN begun_at")
    raw.execute("ALTER TABLE statement DROP COLUMN sealed")
    raw.execute("UPDATE report SET body=CAST(json_remove(CAST(body AS TEXT), '$.sealed') AS BLOB)")
    raw.execute("ALTER TABLE statement DROP COLUMN retired_at")
    raw.execute("ALTER TABLE report DROP COLUMN receipted_at")
    raw.execute(f"PRAGMA user_version={version}")
    raw.commit()
    raw.close()


def test_a_journal_of_version_two_is_brought_up_to_date_and_loses_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    said(journal, 1)
    said(journal, 2, acknowledged=False)
    before = (journal.receipts(), journal.pending_reports(9), journal.charged_rounds())
    journal.close()
    older(tmp_path / journal_file.FILE_NAME)
    for _ in range(2):  # and once it is, it is
        again = Journal(tmp_path)
        assert (again.receipts(), again.pending_reports(9), again.charged_rounds()) == before
        assert again.statement(campaign(1), 1, KIND) == statement(1)
        again.close()
    again = Journal(tmp_path)
    assert aged(again) == 1


@pytest.mark.parametrize("version", [0, 1, 6, 99])
def test_other_versions_are_refused_and_left_as_they_are(tmp_path: Path, version: int) -> None:
    Journal(tmp_path).close()
    path = tmp_path / journal_file.FILE_NAME
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version={version}")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    with pytest.raises(JournalRefused):
        Journal(tmp_path)
    assert path.read_bytes() == before
