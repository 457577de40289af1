"""Our checkpoints and proofs, accepted by code that was not written here."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import cosign
from trust.log.note import LogKey
from trust.log.tree import Tree, leaf_hash

GOPATH = Path("/usr/share/gocode")
PROGRAM = Path(__file__).parent / "go" / "verify.go"
ORIGIN = "log.cadastre.example/journal"


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _document() -> dict[str, Any]:
    key = PrivateKey(bytes(range(32)))
    entries = [f"entry {number}\n".encode() for number in range(1000)]
    tree = Tree(leaf_hash(entry) for entry in entries)
    checkpoint = Checkpoint(ORIGIN, tree.size, tree.root())
    note = checkpoint.signed(key)
    note = note.with_signatures([cosign(note.text, "witness.example/w", key, 1_700_000_000)])
    pairs = [(0, 1), (0, 7), (6, 7), (3, 8), (255, 256), (256, 257), (999, 1000), (511, 1000)]
    spans = [(1, 2), (3, 7), (4, 8), (256, 1000), (257, 1000), (999, 1000), (512, 513), (7, 7)]
    return {
        "Vkey": str(LogKey(ORIGIN, key.public)),
        "Checkpoint": note.emit().decode(),
        "Text": note.text.decode(),
        "Entries": [_b64(entry) for entry in entries],
        "Root": _b64(tree.root()),
        "Included": [
            {
                "Index": index,
                "Size": size,
                "Entry": _b64(entries[index]),
                "Proof": [_b64(step) for step in tree.inclusion(index, size)],
                "Root": _b64(tree.root(size)),
            }
            for index, size in pairs
        ],
        "Consistent": [
            {
                "Old": old,
                "New": new,
                "Proof": [_b64(step) for step in tree.consistency(old, new)],
                "OldRoot": _b64(tree.root(old)),
                "NewRoot": _b64(tree.root(new)),
            }
            for old, new in spans
        ],
    }


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled Go program."""
    if shutil.which("go") is None:
        pytest.skip("no `go` here: apt-get install golang-go")
    if not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("no golang.org/x/mod here: apt-get install golang-golang-x-mod-dev")
    home = tmp_path_factory.mktemp("go")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GOCACHE": str(home / "cache"),
        "GOPATH": str(GOPATH),
        "GO111MODULE": "off",
        "GOFLAGS": "",
    }
    program = home / "verify"
    subprocess.run(
        ["go", "build", "-o", program, PROGRAM],
        env=environment,
        check=True,
        timeout=300,
        cwd=home,
    )
    return program


def _run(verifier: Path, document: dict[str, Any]) -> tuple[int, str]:
    done = subprocess.run(
        [verifier],
        check=False,
        input=json.dumps(document),
        text=True,
        capture_output=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.external
def test_go_sumdb_accepts_our_checkpoint_records_and_trees(verifier: Path) -> None:
    assert _run(verifier, _document()) == (0, "accepted: 18\n")


@pytest.mark.external
@pytest.mark.parametrize("part", ["Included", "Consistent"])
def test_go_sumdb_refuses_a_proof_with_one_bit_flipped(verifier: Path, part: str) -> None:
    document = _document()
    step = bytearray(base64.b64decode(document[part][3]["Proof"][0]))
    step[5] ^= 1
    document[part][3]["Proof"][0] = _b64(bytes(step))
    status, said = _run(verifier, document)
    assert status == 1
    assert said.startswith("refused: ")
