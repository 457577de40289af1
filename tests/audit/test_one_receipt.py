"""`cadastre audit proof`: one proof, offline, from nothing but three files."""

from __future__ import annotations

import asyncio
import json

import pytest

import cadastre
from audit.receipt import check
from scheduler.service import evidence, outbox
from tests.scheduler.conftest import build
from trust.errors import LogRefused, Malformed
from trust.log.entry import Kind


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


def test_a_proof_is_verified_without_a_network(files, capsys):
    assert cadastre.main(command(files)) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["verified"], said["index"], said["what"], said["witnesses"]) == (
        True, 0, "root", 1
    )  # fmt: skip


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
