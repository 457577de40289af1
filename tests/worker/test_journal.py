"""The journal: nothing lost, nothing repeated, whatever fails and whenever it is killed."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from durable.errors import StorageFailed
from trust.documents.campaign import Acknowledgement, UnitKind
from trust.documents.reporting import AttemptReport, Outcome
from trust.entropy import Entropy, seeded
from trust.ids import AttemptId, AuthorisationId, CampaignId, Digest, FencingToken, UnitId
from trust.policy import Served
from trust.policy.errors import TwoPlans
from worker import journal_file
from worker.errors import JournalRefused
from worker.journal import LARGE_BYTES, Journal, SeenLedger, Statement

pytestmark = pytest.mark.base

CAMPAIGN = CampaignId.draw(seeded(b"campaign"))
VOTE = AuthorisationId.draw(seeded(b"vote"))
PLAN, OTHER = Digest.of(b"plan"), Digest.of(b"other")
SAID = Statement(PLAN, b"the envelope", b"the values")
KIND = UnitKind.CONTRIBUTE


def report(name: bytes, entropy: Entropy | None = None) -> AttemptReport:
    draw = entropy or seeded(name)
    return AttemptReport(
        unit=UnitId.draw(draw),
        attempt=AttemptId.draw(draw),
        token=FencingToken.draw(draw),
        outcome=Outcome.CONTRIBUTED,
        statement=SAID.envelope,
        reason="",
        sentence="",
    )


def receipt(answered: AttemptReport) -> Acknowledgement:
    return Acknowledgement(
        answered.unit, answered.attempt, accepted=True, reason="", statement=PLAN
    )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def test_a_new_journal_knows_nothing(journal: Journal) -> None:
    assert journal.sequence() == 0
    assert journal.outgoing() is None
    assert journal.status_number() == 0
    assert journal.ledger() == SeenLedger(0, bytes(32))
    assert journal.plan(CAMPAIGN, 1) is None
    assert journal.statement(CAMPAIGN, 1, KIND) is None
    assert journal.charged_rounds() == b""
    assert journal.pending_reports(9) == journal.receipts() == ()


def test_exchanges_are_numbered_and_repeated_until_answered(
    journal: Journal, tmp_path: Path
) -> None:
    journal.begin_exchange(1, b"one")
    assert (journal.sequence(), journal.outgoing()) == (1, b"one")
    with pytest.raises(JournalRefused):
        journal.begin_exchange(1, b"another one")
    with pytest.raises(JournalRefused):
        journal.begin_exchange(3, b"three")
    journal.close()
    again = Journal(tmp_path)
    assert (again.sequence(), again.outgoing()) == (1, b"one")
    again.begin_exchange(2, b"two")
    again.end_exchange(1, b"late orders", ())
    assert again.outgoing() == b"two"
    again.end_exchange(2, b"orders", ())
    assert again.outgoing() is None


def test_one_plan_per_round(journal: Journal) -> None:
    journal.begin_round(CAMPAIGN, 1, PLAN, VOTE, "1/10")
    journal.begin_round(CAMPAIGN, 1, PLAN, VOTE)
    with pytest.raises(TwoPlans):
        journal.begin_round(CAMPAIGN, 1, OTHER, VOTE)
    journal.begin_round(CAMPAIGN, 2, OTHER, VOTE)
    assert journal.plan(CAMPAIGN, 1) == PLAN
    assert journal.charged_rounds() == f"{CAMPAIGN} 1 1/10\n".encode()


def test_what_was_served_under_a_vote_is_counted(journal: Journal) -> None:
    other_vote = AuthorisationId.draw(seeded(b"other vote"))
    second = CampaignId.draw(seeded(b"second"))
    assert journal.served(VOTE, CAMPAIGN, 1) == Served()
    journal.begin_round(CAMPAIGN, 1, PLAN, VOTE, "1/10")
    journal.begin_round(CAMPAIGN, 1, PLAN, VOTE)  # its conclusion, which costs nothing more
    journal.begin_round(CAMPAIGN, 2, OTHER, VOTE, "1/10")
    journal.begin_round(second, 1, PLAN, other_vote, "1/2")
    # A repetition of round 1 is not weighed against itself.
    assert journal.served(VOTE, CAMPAIGN, 1) == Served(frozenset({CAMPAIGN}), Fraction(1, 10))
    assert journal.served(VOTE, second, 1) == Served(frozenset({CAMPAIGN}), Fraction(1, 5))


def test_the_first_statement_stands(journal: Journal, tmp_path: Path) -> None:
    assert journal.keep_statement(CAMPAIGN, 1, KIND, SAID) == SAID
    second = Statement(PLAN, b"another envelope", b"other noise")
    assert journal.keep_statement(CAMPAIGN, 1, KIND, second) == SAID
    journal.close()
    assert Journal(tmp_path).statement(CAMPAIGN, 1, KIND) == SAID
    assert Journal(tmp_path).content(Digest.of(SAID.envelope)) == SAID.content
    assert Journal(tmp_path).statement(CAMPAIGN, 1, UnitKind.CONCLUDE) is None


def test_a_large_statement_is_safe_at_once_and_copied_once_it_was_told(
    journal: Journal, tmp_path: Path
) -> None:
    content = seeded(b"state")(LARGE_BYTES + 1)
    large = Statement(PLAN, b"a large envelope", content)
    journal.begin_exchange(1, b"one")
    journal.keep_statement(CAMPAIGN, 1, KIND, large)
    database = tmp_path / journal_file.FILE_NAME
    assert database.stat().st_size < LARGE_BYTES  # it is in the write-ahead log alone
    crashed = tmp_path / "crashed"
    shutil.copytree(tmp_path, crashed, ignore=lambda *_: ["crashed"])
    assert Journal(crashed).statement(CAMPAIGN, 1, KIND) == large
    told = report(b"large")
    journal.keep_report(told)
    journal.end_exchange(1, b"orders", ())  # only whether it may leave was asked
    assert database.stat().st_size < LARGE_BYTES
    journal.begin_exchange(2, b"two")
    journal.end_exchange(2, b"more orders", [receipt(told)])
    assert database.stat().st_size > LARGE_BYTES
    assert journal.statement(CAMPAIGN, 1, KIND) == large


def test_a_large_blob_is_not_read_to_learn_that_it_is_large(journal: Journal) -> None:
    journal.keep_statement(CAMPAIGN, 1, KIND, SAID)
    named, size = Digest.of(SAID.envelope), len(SAID.content)
    assert journal.small_content(named, size) == SAID.content
    assert journal.small_content(named, size - 1) is None


def test_reports_are_repeated_until_receipted(journal: Journal) -> None:
    first, second = report(b"1"), report(b"2")
    journal.keep_report(first)
    journal.keep_report(second)
    journal.begin_exchange(1, b"x")
    assert journal.pending_reports(9) == (first, second)
    assert journal.pending_reports(1) == (first,)
    journal.end_exchange(1, b"signed orders", [receipt(first), receipt(report(b"unknown"))])
    assert journal.pending_reports(9) == (second,)
    assert journal.receipts() == (receipt(first),)
    assert journal.reported(first.attempt)
    assert not journal.reported(report(b"3").attempt)


def test_counters_only_grow(journal: Journal) -> None:
    journal.keep_status_number(7)
    journal.keep_status_number(5)
    assert journal.status_number() == 7
    journal.keep_ledger(SeenLedger(9, b"n" * 32))
    journal.keep_ledger(SeenLedger(8, b"o" * 32))
    assert journal.ledger() == SeenLedger(9, b"n" * 32)


Write = Callable[[Journal], object]
WRITES: dict[str, Write] = {
    "begin_exchange": lambda j: j.begin_exchange(1, b"x"),
    "end_exchange": lambda j: j.end_exchange(0, b"o", [receipt(report(b"kept"))]),
    "begin_round": lambda j: j.begin_round(CAMPAIGN, 1, PLAN, VOTE, "1/10"),
    "keep_statement": lambda j: j.keep_statement(CAMPAIGN, 1, KIND, SAID),
    "keep_report": lambda j: j.keep_report(report(b"r")),
    "keep_status_number": lambda j: j.keep_status_number(3),
    "keep_ledger": lambda j: j.keep_ledger(SeenLedger(2, b"2" * 32)),
}


def seen(journal: Journal) -> tuple[object, ...]:
    """Everything that a journal answers."""
    return (
        journal.sequence(),
        journal.outgoing(),
        journal.plan(CAMPAIGN, 1),
        journal.charged_rounds(),
        journal.statement(CAMPAIGN, 1, KIND),
        journal.pending_reports(9),
        journal.receipts(),
        journal.status_number(),
        journal.ledger(),
    )


@pytest.mark.parametrize("name", WRITES)
def test_failed_and_not_stored(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "BUSY_SECONDS", 0.01)
    journal = Journal(tmp_path)
    journal.keep_report(report(b"kept"))
    before = seen(journal)
    blocker = sqlite3.connect(tmp_path / journal_file.FILE_NAME, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailed):
        WRITES[name](journal)
    blocker.execute("ROLLBACK")
    assert seen(journal) == before
    WRITES[name](journal)
    assert seen(journal) != before


@pytest.mark.parametrize("name", WRITES)
def test_failed_but_stored(name: str, tmp_path: Path) -> None:
    # The write reached the disk, the caller was told otherwise: it reopens and tries again.
    journal = Journal(tmp_path)
    journal.keep_report(report(b"kept"))
    WRITES[name](journal)
    after = seen(journal)
    journal.close()
    again = Journal(tmp_path)
    if name == "begin_exchange":
        # The agent finds the batch outgoing and sends these bytes; a second one is refused.
        assert again.outgoing() == b"x"
        with pytest.raises(JournalRefused):
            WRITES[name](again)
    else:
        WRITES[name](again)
    assert seen(again) == after


def test_a_damaged_foreign_or_future_file_is_refused(tmp_path: Path) -> None:
    for number, damage in enumerate(
        (
            lambda path: path.write_bytes(b"not a database at all" * 100),
            lambda path: _pragma(path, "application_id", 5),
            lambda path: _pragma(path, "user_version", 99),
        )
    ):
        state = tmp_path / str(number)
        state.mkdir()
        Journal(state).close()
        for extra in state.glob("*-*"):
            extra.unlink()
        damage(state / journal_file.FILE_NAME)
        with pytest.raises(JournalRefused):
            Journal(state)


def _pragma(path: Path, name: str, value: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA {name}={value}")
    connection.commit()
    connection.close()


# One contribution after another; each line on stdout says what was promised so far.
VICTIM = """
import json, os, sys
from pathlib import Path
from trust.documents.campaign import UnitKind
from trust.ids import AuthorisationId, CampaignId, Digest
from worker.journal import Journal, Statement

journal = Journal(Path(sys.argv[1]))
campaign, vote = CampaignId.parse(sys.argv[2]), AuthorisationId.parse(sys.argv[3])
for number in range(1, 100000):
    plan = Digest.of(b"plan %d" % number)
    journal.begin_round(campaign, number, plan, vote, "1/10")
    fresh = os.urandom(64)  # noise: never the same twice
    kept = journal.keep_statement(
        campaign, number, UnitKind.CONTRIBUTE, Statement(plan, fresh, fresh[::-1])
    )
    print(json.dumps([number, kept.envelope.hex(), kept.content.hex()]), flush=True)
"""


@pytest.mark.processes
@pytest.mark.parametrize("seed", range(3))
def test_statements_are_replayed_byte_for_byte_after_kill_9(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    promised: dict[int, tuple[bytes, bytes]] = {}
    for _ in range(4):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(tmp_path), CAMPAIGN, VOTE],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert victim.stdout is not None
        lines = [victim.stdout.readline() for _ in range(draw.randrange(1, 40))]
        victim.send_signal(signal.SIGKILL)
        rest, _ = victim.communicate()
        for line in (*lines, *rest.splitlines(keepends=True)):
            if not line.endswith(b"\n"):
                continue
            number, envelope, content = json.loads(line)
            said = (bytes.fromhex(envelope), bytes.fromhex(content))
            # Said once, said for ever: a restart repeats the same bytes.
            assert promised.setdefault(number, said) == said
    journal = Journal(tmp_path)
    for number, (envelope, content) in promised.items():
        kept = journal.statement(CAMPAIGN, number, KIND)
        assert kept is not None
        assert (kept.envelope, kept.content) == (envelope, content)
        assert f"{CAMPAIGN} {number} 1/10\n".encode() in journal.charged_rounds()
