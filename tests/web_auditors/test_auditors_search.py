"""Finding in the log: by index, hash, campaign, vote, bundle and author; bad questions; indexes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from scheduler.store.tables import AuthorisationRow, BundleRow, LogRow
from scheduler.views import ledger, search
from scheduler.views.search import HitKind
from scheduler.views.slices import Slice
from scheduler.web.auditors.hexadecimal import dump
from tests.web_scheduler.territory import HOSTILE, Grid
from tests.web_scheduler.test_pages_long_lists import plans
from tests.web_scheduler.test_pages_reading import ask
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry
from trust.log.tree import leaf_hash
from web.signin.roles import Role


def found(grid: Grid, question: str) -> list[tuple[str, str]]:
    answer = ask(grid.enter(), f"/api/v1/log-search?q={quote(question)}")
    assert answer["more"] is False
    return [(hit["kind"], hit["name"]) for hit in answer["found"]]


def leads(grid: Grid, question: str) -> str:
    answer = grid.enter().get(f"/log/search?q={quote(question)}")
    assert answer.status == 303, answer.text
    assert grid.enter().get(answer.location).status == 200
    return answer.location


@pytest.fixture
def vote(grid: Grid) -> Any:
    def read(tx: Any) -> Any:
        return tx.session.get(AuthorisationRow, tx.session.exec(_first(AuthorisationRow)).one())

    return grid.world.desk.store.read("vote", read)


def _first(table: Any) -> Any:
    from sqlmodel import select

    return select(table.id)


def test_every_name_of_an_entry_leads_to_it(grid: Grid, vote: Any) -> None:
    entry = ledger.entry(grid.world.desk, "1")
    assert entry.line.kind == Kind.AUTHORISATION
    digest = entry.line.digest.removeprefix("sha256:")
    leaf = leaf_hash(LogEntry(Kind.AUTHORISATION, Digest(entry.line.digest)).emit()).hex()
    for question in ("1", digest, f"sha256:{digest}", digest[:8], leaf, leaf[:10], f" {leaf} "):
        assert leads(grid, question) == "/log/1", question
    assert leads(grid, vote.id) == leads(grid, vote.id[5:15]) == "/log/1"


def test_a_campaign_a_bundle_and_an_author_lead_to_what_the_log_has_of_them(grid: Grid) -> None:
    world = grid.world
    bundle = str(world.bundle.digest)
    author = world.author.public
    assert leads(grid, grid.moving[:14]).startswith("/log?campaign=camp_")
    assert leads(grid, bundle[7:20]) == f"/log?bundle={bundle}"
    for question in (str(author), str(author)[:20], author.keyid, author.keyid[:9]):
        assert leads(grid, question) == f"/log/authors/{author}", question
    page = grid.enter().get(f"/log/authors/{author}").text
    assert author.keyid in page
    assert f"/log?bundle={bundle}" in page
    listed = ask(grid.enter(), f"/api/v1/log?bundle={bundle}&size=200")["items"]
    kinds = {row["campaign"] for row in listed}
    assert kinds == {None, grid.released, grid.moving}  # its vote, and both its campaigns
    for reverse in (False, True):
        rows = search.works(world.desk, str(author), Slice(51, None, reverse=reverse))
        assert [row.bundle for row in rows] == [bundle]


def test_what_fits_several_is_a_list(grid: Grid) -> None:
    desk = grid.world.desk

    def twin(tx: Any) -> None:
        row = tx.session.get(BundleRow, str(grid.world.bundle.digest))
        for number in range(search.MOST + 3):
            tx.session.add(
                BundleRow(
                    **{
                        **row.model_dump(),
                        "digest": f"sha256:feedfeed{number:056x}",
                        "name": HOSTILE,
                    }
                )
            )

    desk.store.run("twins", twin)
    answer = grid.enter().get("/log/search?q=feedfeed")
    assert answer.status == 200
    assert answer.text.count("/log?bundle=") == 2 * search.MOST
    assert "<img src=x" not in answer.text
    assert "&lt;img src=x" in answer.text
    hits = search.search(desk, "feedfeed")
    assert hits.more
    assert {hit.kind for hit in hits.found} == {HitKind.BUNDLE}
    works = grid.enter().get(f"/log/authors/{grid.world.author.public}?size=50").text
    assert works.count("&lt;img src=x") == search.MOST + 3
    assert "<img src=x" not in works
    # An author of many is one author, reached without looking at each of the bundles.
    assert leads(grid, grid.world.author.public.keyid)


def test_a_number_may_be_an_index_and_a_hash(grid: Grid) -> None:
    def like(tx: Any) -> None:
        tx.session.add(
            LogRow(kind="plan", digest="sha256:" + "12345678" * 8, position=12345678,
                   created_at=tx.now, leaf="00" * 32)
        )  # fmt: skip
        tx.session.add(
            LogRow(kind="release", digest="sha256:" + "12345678" * 7 + "00000000",
                   position=12345679, created_at=tx.now, leaf="01" * 32)
        )  # fmt: skip

    grid.world.desk.store.run("like", like)
    assert [name[7:15] for _, name in found(grid, "12345678")] == ["12345678"] * 2
    page = grid.enter().get("/log/search?q=12345678").text
    assert "/log/12345678" in page
    assert "/log/12345679" in page


@pytest.mark.parametrize(
    "question",
    ["", " ", "x", "' OR 1=1 --", "%", "________", "sha256:%25", "\0", "camp_", "é" * 9, "9" * 19,
     HOSTILE, "sha256:" + "g" * 64, "a" * 5000, "ed25519:", "\u202e12345678"],
)  # fmt: skip
def test_a_strange_question_finds_nothing_and_breaks_nothing(grid: Grid, question: str) -> None:
    answer = grid.enter().get(f"/log/search?q={quote(question)}")
    assert answer.status == 200
    assert "<img src=x" not in answer.text
    assert search.search(grid.world.desk, question).found == ()


def test_a_draft_is_not_found_before_the_log_has_it(grid: Grid) -> None:
    def unlog(tx: Any) -> list[tuple[int, int]]:
        from sqlmodel import select

        rows = list(tx.session.exec(select(LogRow).where(LogRow.campaign == grid.moving)))
        kept = [(row.id, row.position) for row in rows]
        for row in rows:
            row.position, row.proof = None, None
        return kept

    desk = grid.world.desk
    proofs = desk.store.read("proofs", lambda tx: _proofs(tx, grid.moving))
    kept = desk.store.run("unlog", unlog)
    assert search.search(desk, grid.moving).found == ()

    def relog(tx: Any) -> None:
        for identity, position in kept:
            row = tx.session.get(LogRow, identity)
            row.position, row.proof = position, proofs[identity]

    desk.store.run("relog", relog)
    assert len(search.search(desk, grid.moving).found) == 1


def _proofs(tx: Any, campaign: str) -> dict[int, str]:
    from sqlmodel import select

    return {
        row.id: row.proof for row in tx.session.exec(select(LogRow)) if row.campaign == campaign
    }


def test_every_question_enters_an_index(grid: Grid) -> None:
    desk, author = grid.world.desk, grid.world.author.public
    reads = {
        question: (lambda question=question: search.search(desk, question))
        for question in ("7", "12345678", "deadbeef01", grid.moving, str(author), author.keyid)
    }
    reads["works"] = lambda: search.works(desk, str(author), Slice(51, None))
    reads["bundle"] = lambda: ledger.lines(
        desk, Slice(51, (7,), reverse=True), bundle=str(grid.world.bundle.digest)
    )
    reads["entry"] = lambda: ledger.entry(desk, "5")
    for question, read in reads.items():
        for line in plans(grid, read):
            assert not line.startswith("SCAN"), (question, line)
            assert "TEMP B-TREE" not in line or question == "entry", (question, line)


def test_an_entry_says_who_signed_under_which_vote_and_shows_its_bytes(grid: Grid) -> None:
    index = search.search(grid.world.desk, grid.moving)
    assert index.found[0].kind is HitKind.CAMPAIGN
    rows = ask(grid.enter(), f"/api/v1/log?campaign={grid.moving}")["items"]
    plan = next(row["index"] for row in rows if "plan" in row["kind"])
    page = grid.enter(Role.AUDITOR).get(f"/log/{plan}?lang=en").text
    assert "Under which vote" in page
    assert '<a href="/log/1">' in page
    assert f"/log/authors/{grid.world.author.public}" in page
    assert "root 1: 1 signature is needed" in page
    assert dump(b"cadastre/v1 plan")[:60] in page
    raw = grid.enter().get(f"/log/{plan}/entry")
    assert LogEntry.parse(raw.body).kind is Kind.PLAN
    vote = grid.enter().get("/log/1?lang=en").text
    assert "root 1: 2 signatures are needed" in vote
    assert HOSTILE not in vote
    plain = ask(grid.enter(), f"/api/v1/log/{plan}")
    assert plain["vote"]["author"] == str(grid.world.author.public)


def test_bytes_in_hexadecimal() -> None:
    assert dump(b"<b>\0\xff" + b"a" * 12) == (
        "00000000  3c 62 3e 00 ff 61 61 61 61 61 61 61 61 61 61 61  <b>..aaaaaaaaaaa\n"
        "00000010  61                                               a"
    )
    assert dump(b"") == ""
