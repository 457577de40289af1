"""A pasted proof, verified by the server: good, tampered, of a foreign log, of another place."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tests.web.signin_browser import Answer
from tests.web_auditors.proof_cases import cases, verdict
from tests.web_scheduler.territory import HOSTILE, Grid
from trust.errors import LogRefused
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.checkpoint import VerifiedCheckpoint
from trust.log.logged import verify_logged
from trust.log.note import LogKey
from trust.log.policy import Policy
from web.signin.roles import Role

HOLDS, FAILS = "It holds, says this server", "It does not hold"


def paste(grid: Grid, index: int = 2, **changes: str) -> Answer:
    """Whoever comes along pastes the proof and the document of an entry, or something else."""
    browser = grid.enter()
    page = browser.get("/log/verify?lang=en")
    fields = {
        "proof": browser.get(f"/log/{index}/proof").text,
        "document": browser.get(f"/log/{index}/document").text,
        "trust": grid.world.desk.root.document.log_policy,
    } | changes
    # As a browser sends what stands in a text field.
    fields = {name: value.replace("\n", "\r\n") for name, value in fields.items()}
    answer = browser.send(page, "/log/verify", **fields)
    assert answer.status == 200
    return answer


def test_a_good_proof_holds_under_a_policy_or_a_root(grid: Grid) -> None:
    root = grid.world.root_envelope.decode()
    digest = grid.enter().get("/api/v1/log/2", headers={"accept": "application/json"}).json
    for trust in (grid.world.desk.root.document.log_policy, root):
        for document in (None, digest["line"]["digest"], digest["line"]["digest"][7:]):
            changes = {"trust": trust} | ({} if document is None else {"document": document})
            page = paste(grid, **changes).text
            assert HOLDS in page, changes
            assert "plaine.example/log" in page
            assert "witness.example/one" in page
    assert "this server verifies what you send: then you trust its answer" in page


def test_a_receipt_brings_its_own_document(grid: Grid) -> None:
    """What the page of an entry offers first is enough: nobody cuts it up before it is pasted."""
    receipt, own = (grid.enter().get(f"/log/2/{one}").text for one in ("receipt", "document"))
    page = paste(grid, proof=receipt, document="").text
    assert HOLDS in page
    assert Digest.of(own.encode()) in page
    assert FAILS in paste(grid, proof=receipt, document="sha256:" + "0" * 64).text
    assert "does not carry the document" in paste(grid, document=" ").text


def test_the_server_says_why_in_the_readers_language(grid: Grid) -> None:
    browser = grid.enter()
    page = browser.get("/log/verify")  # in French
    fields = {"proof": "x", "document": "y", "trust": grid.world.desk.root.document.log_policy}
    told = browser.send(page, "/log/verify", **fields).text
    assert "Elle ne tient pas" in told
    said = told.partition("verdict")[2].partition('<span lang="en">')[0]
    assert "ont pas la forme" in said


def test_nothing_is_called_verified_before_it_was(grid: Grid) -> None:
    page = grid.enter().get("/log/verify", headers={"accept-language": "fr"}).text
    assert "tone-good" not in page
    assert 'class="tile verdict edge-good" data-part="good" hidden' in page
    assert "Vérifié" not in page
    for will in ("Ce navigateur la vérifiera", "Ce serveur la vérifiera"):
        assert will in page


def test_what_does_not_hold_is_said_to(grid: Grid) -> None:
    proof = grid.enter().get("/log/2/proof").text
    other = PrivateKey(bytes([7]) * 32)
    foreign = f"log {LogKey('plaine.example/log', other.public)}\nquorum none\n"
    hashes = proof.split("\n")[2]
    for changes, said in (
        ({"proof": proof.replace("index 2", "index 3")}, "does not lead to the root"),
        ({"proof": proof.replace(hashes, hashes[::-1])}, ""),
        ({"proof": "x"}, "no blank line"),
        ({"trust": foreign}, "no signature of a known key"),
        ({"trust": "{}"}, ""),
        ({"trust": HOSTILE}, ""),
        ({"document": "sha256:" + "0" * 64}, "does not lead to the root"),
        ({"document": grid.enter().get("/log/3/document").text}, "does not lead to the root"),
    ):
        page = paste(grid, **changes).text
        assert FAILS in page, changes
        assert HOLDS not in page
        assert said in page, changes
        assert "<img src=x" not in page


def test_a_form_from_elsewhere_or_too_large_is_refused(grid: Grid) -> None:
    browser = grid.enter(Role.AUDITOR)
    page = browser.get("/log/verify")
    assert browser.post("/log/verify", {"proof": "x"}).status == 403
    fields = {"csrf": page.csrf, "proof": "x", "document": "y", "trust": "z"}
    assert browser.post("/log/verify", fields, source="https://evil.example").status == 403
    fields["document"] = "y" * (300 * 1024)
    assert browser.post("/log/verify", fields).status in {403, 422}  # sign-in reads it first
    assert browser.ask("POST", "/log/verify", body=b"%ff=%ff").status in {403, 415, 422}


@pytest.mark.parametrize("text", ["", "\0", "\u202e", "é" * 1000, HOSTILE, "]]>", "</textarea>"])
def test_whatever_is_pasted_comes_back_harmless(grid: Grid, text: str) -> None:
    page = paste(grid, proof=text, document=text, trust=text).text
    assert FAILS in page
    assert "<img src=x" not in page
    assert page.count("</textarea>") == 3


def test_generated_cases_are_good_and_bad() -> None:
    told = [verdict(case) for case in cases(1, 200)]
    assert 40 < told.count("refused") < 160


def test_a_strangers_signatures_are_looked_at_once(grid: Grid) -> None:
    """Not once for each kind that a document may stand in the log as: there may be 64 of them."""
    looked: list[int] = []

    class Counting(Policy):
        def verify(self, note: bytes) -> VerifiedCheckpoint:
            looked.append(len(note))
            return super().verify(note)

    known = Policy.parse(grid.world.desk.root.document.log_policy.encode())
    policy = Counting(**{one.name: getattr(known, one.name) for one in fields(Policy)})
    reader = grid.enter()
    proof, document = (reader.get(f"/log/2/{what}").body for what in ("proof", "document"))
    verify_logged(proof, Digest.of(document), policy)
    with pytest.raises(LogRefused):
        verify_logged(proof, Digest.of(b"another"), policy)
    assert len(looked) == 2
