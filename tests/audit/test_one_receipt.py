"""`cadastre audit proof`: one proof, offline, from nothing but three files."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

import cadastre
from audit.receipt import check
from scheduler.service import evidence, outbox
from tests.scheduler.conftest import build
from trust.errors import LogRefused, Malformed, TooLarge
from trust.ids import Digest
from trust.log.entry import Kind
from trust.log.proof import EXTRA_LIMIT, LogProof


@pytest.fixture
def files(tmp_path):
    """A root that was logged, with its proof, and the root that one trusts."""
    world = build(tmp_path)

    async def logged():
        digest = await world.desk.run(
            "log-root",
            lambda tx: outbox.publish_raw(tx, world.desk, Kind.ROOT, world.root_envelope),
        )
        await outbox.flush(world.desk)
        return await evidence.prove(world.desk, str(digest))

    found = asyncio.run(logged())
    for name, data in (
        ("e.tlog-proof", found.proof.encode()),
        ("e.json", found.envelope),
        ("root.json", world.root_envelope),
    ):
        (tmp_path / name).write_bytes(data)
    yield tmp_path
    world.desk.store.close()
    world.desk.log.close()


def command(folder):
    return ["audit", "proof", str(folder / "e.tlog-proof"), "--document", str(folder / "e.json"),
            "--root", str(folder / "root.json"), "--json"]  # fmt: skip


def test_a_proof_is_verified_without_a_network(files, capsys, monkeypatch):
    def cut(*_: object) -> None:
        raise AssertionError("the network was asked for")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, cut)
    assert cadastre.main(command(files)) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["verified"], said["index"], said["what"], said["witnesses"]) == (
        True, 0, "root", 1
    )  # fmt: skip


def test_a_receipt_brings_its_document_along(files, capsys):
    proof, document = (files / "e.tlog-proof").read_bytes(), (files / "e.json").read_bytes()
    receipt = files / "receipt-0.tlog-proof"
    receipt.write_bytes(LogProof.parse(proof).carrying(document).emit())
    words = ["audit", "proof", str(receipt), "--root", str(files / "root.json"), "--json"]
    assert cadastre.main(words) == 0
    assert json.loads(capsys.readouterr().out)["document"] == str(Digest.of(document))
    receipt.write_bytes(LogProof.parse(proof).carrying(document + b" ").emit())
    assert cadastre.main(words) == 3
    receipt.write_bytes(proof)
    assert cadastre.main(words) != 0
    assert "--document" in capsys.readouterr().err
    with pytest.raises(TooLarge):
        LogProof.parse(proof).carrying(bytes(EXTRA_LIMIT + 1))


def test_another_document_a_cut_proof_and_a_missing_file_are_refused(files, capsys):
    proof, document, root = (
        (files / name).read_bytes() for name in ("e.tlog-proof", "e.json", "root.json")
    )
    with pytest.raises(LogRefused):
        check(proof, document + b" ", root)
    with pytest.raises(Malformed):
        check(proof[:40], document, root)
    with pytest.raises(LogRefused):
        check(proof.replace(b"index 0", b"index 1"), document, root)
    (files / "e.json").write_bytes(document + b" ")
    assert cadastre.main(command(files)) == 3
    (files / "e.json").unlink()
    assert cadastre.main(command(files)) == 1
    assert "check the path" in capsys.readouterr().err
