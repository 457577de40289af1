"""Receipts and whole logs, verified from outside; every altered byte is found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.errors import LogRefused, Malformed, TooLarge
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.proof import LOG_PROOF_LIMIT, LogProof, VerifiedEntry, verify_proof
from trust.log.replay import ReplayedLog, check_log
from trust.log.tiles import emit_bundle, emit_tile, entry_bundles, hash_tiles
from trust.log.tree import Tree, leaf_hash

pytestmark = pytest.mark.base

ORIGIN = "log.example/journal"
KEY = PrivateKey(bytes(32))
WITNESS_KEY = PrivateKey(bytes([1]) * 32)
WITNESS = CosignerKey("witness.example", WITNESS_KEY.public)
POLICY = Policy.parse(f"log {LogKey(ORIGIN, KEY.public)}\nwitness w {WITNESS}\nquorum w\n".encode())
ENTRIES = [f"entry {number}\n".encode() for number in range(600)]
TREE = Tree(leaf_hash(entry) for entry in ENTRIES)


def _note(tree: Tree, size: int) -> bytes:
    note = Checkpoint(ORIGIN, size, tree.root(size)).signed(KEY)
    return note.with_signatures([cosign(note.text, WITNESS.name, WITNESS_KEY, 7)]).emit()


def _proof(index: int, size: int, extra: bytes = b"") -> bytes:
    return LogProof(index, tuple(TREE.inclusion(index, size)), _note(TREE, size), extra).emit()


def _files(entries: list[bytes], size: int) -> dict[str, bytes]:
    tree = Tree(leaf_hash(entry) for entry in entries[:size])
    files = {tile.path: emit_tile(tree, tile) for tile in hash_tiles(size)}
    for bundle in entry_bundles(size):
        start = bundle.index * 256
        files[bundle.path] = emit_bundle(entries[start : start + bundle.width])
    files["checkpoint"] = _note(tree, size)
    return files


@given(st.integers(1, 600), st.data(), st.binary(max_size=20))
@settings(max_examples=50)
def test_receipts_round_trip_and_verify(size: int, data: st.DataObject, extra: bytes) -> None:
    index = data.draw(st.integers(0, size - 1))
    text = _proof(index, size, extra)
    assert LogProof.parse(text).emit() == text
    verified = verify_proof(text, ENTRIES[index], POLICY)
    assert (verified.index, verified.leaf_hash) == (index, leaf_hash(ENTRIES[index]))
    assert verified.checkpoint.checkpoint.size == size
    with pytest.raises(LogRefused):
        verify_proof(text, ENTRIES[index] + b" ", POLICY)


def test_every_flipped_bit_of_a_receipt_is_refused() -> None:
    text = _proof(3, 11)
    for at in range(len(text)):
        for bit in range(8):
            data = bytearray(text)
            data[at] ^= 1 << bit
            with pytest.raises((LogRefused, Malformed)):
                verify_proof(bytes(data), ENTRIES[3], POLICY)


def test_every_truncation_of_a_receipt_is_refused() -> None:
    text = _proof(3, 11)
    for end in range(len(text)):
        with pytest.raises((LogRefused, Malformed)):
            verify_proof(text[:end], ENTRIES[3], POLICY)


@given(st.binary(max_size=200), st.booleans())
def test_hostile_receipts_are_only_ever_malformed(data: bytes, headed: bool) -> None:
    with pytest.raises(Malformed):
        LogProof.parse(b"c2sp.org/tlog-proof@v1\n" * headed + data)


@pytest.mark.parametrize(
    "head",
    [
        b"c2sp.org/tlog-proof@v2\nindex 0\n",
        b"c2sp.org/tlog-proof@v1\n",
        b"c2sp.org/tlog-proof@v1\nindex 00\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n",
        b"c2sp.org/tlog-proof@v1\nextra \nindex 0\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + (b"A" * 43 + b"=\n") * 64,
    ],
)
def test_malformed_receipts_are_refused(head: bytes) -> None:
    with pytest.raises(Malformed):
        LogProof.parse(head + b"\n" + _note(TREE, 1))


def test_an_oversized_receipt_is_refused_unread() -> None:
    with pytest.raises(TooLarge):
        LogProof.parse(b"c" * (LOG_PROOF_LIMIT + 1))


def test_verified_entries_and_replays_cannot_be_made_by_hand() -> None:
    checkpoint = POLICY.verify(_note(TREE, 1))
    with pytest.raises(TypeError):
        VerifiedEntry(0, bytes(32), checkpoint, seal=None)
    with pytest.raises(TypeError):
        ReplayedLog(checkpoint, (), TREE, seal=None)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_a_whole_log_is_checked_and_continues_every_earlier_state(size: int) -> None:
    files = _files(ENTRIES, size)
    for earlier in (0, size // 2, size):
        replayed = check_log(files.__getitem__, POLICY, POLICY.verify(_note(TREE, earlier)))
        assert list(replayed.entries) == ENTRIES[:size]
        assert replayed.tree.root() == TREE.root(size)


def test_every_altered_or_missing_file_of_a_log_is_found() -> None:
    files = _files(ENTRIES, 600)
    for path, data in files.items():
        for at in range(0, len(data), max(1, len(data) // 40)):
            changed = bytearray(data)
            changed[at] ^= 0x10
            with pytest.raises((LogRefused, Malformed)):
                check_log({**files, path: bytes(changed)}.__getitem__, POLICY)
        for other in (data[:-1], data + b"\0", b""):
            with pytest.raises((LogRefused, Malformed)):
                check_log({**files, path: other}.__getitem__, POLICY)
        rest = {name: kept for name, kept in files.items() if name != path}
        with pytest.raises(LogRefused, match=r"does not serve"):
            check_log(rest.__getitem__, POLICY)


def test_full_tiles_may_stand_for_the_partial_ones_they_replaced() -> None:
    files = _files(ENTRIES, 600)
    older = {path: data for path, data in files.items() if ".p/" not in path}
    older["checkpoint"] = _note(TREE, 300)
    older["tile/1/000.p/1"] = _files(ENTRIES, 300)["tile/1/000.p/1"]
    older |= {p: d for p, d in _files(ENTRIES, 512).items() if ".p/" not in p and "tile" in p}
    assert len(check_log(older.__getitem__, POLICY).entries) == 300


def test_a_rewritten_log_is_not_a_continuation() -> None:
    earlier = POLICY.verify(_note(TREE, 300))
    rewritten = _files([*ENTRIES[:10], b"other\n", *ENTRIES[11:]], 600)
    with pytest.raises(LogRefused, match="does not continue"):
        check_log(rewritten.__getitem__, POLICY, earlier)
    with pytest.raises(LogRefused, match="shrank"):
        check_log(_files(ENTRIES, 299).__getitem__, POLICY, earlier)
