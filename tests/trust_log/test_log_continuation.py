"""A log only grew: from tiles to a proof, from the proof to a file, and every tampering of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.errors import LogRefused, Malformed, TooLarge
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.continuation import CONTINUATION_LIMIT, Continuation, verify_continuation
from trust.log.cosignature import CosignerKey, cosign
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.remote import RemoteTree
from trust.log.tiles import Tile, emit_tile, hash_tiles
from trust.log.tree import Tree, leaf_hash

pytestmark = pytest.mark.base

ORIGIN = "log.example/journal"
KEY = PrivateKey(bytes(32))
WITNESS_KEY = PrivateKey(bytes([1]) * 32)
WITNESS = CosignerKey("witness.example", WITNESS_KEY.public)
POLICY = Policy.parse(f"log {LogKey(ORIGIN, KEY.public)}\nwitness w {WITNESS}\nquorum w\n".encode())
SIZE = 70_000  # three levels of tiles
TREE = Tree(leaf_hash(number.to_bytes(4, "big")) for number in range(SIZE))
sizes = st.one_of(st.integers(0, SIZE), st.sampled_from([0, 1, 255, 256, 257, 65_536, 65_537]))


def fetch_from(size: int, asked: list[str] | None = None):
    served = {tile.path: tile for tile in hash_tiles(size)}

    def fetch(path: str) -> bytes:
        if asked is not None:
            asked.append(path)
        return emit_tile(TREE, served[path])

    return fetch


def note(size: int, *, origin: str = ORIGIN, key: PrivateKey = KEY, root: bytes = b"") -> bytes:
    made = Checkpoint(origin, size, root or TREE.root(size)).signed(key)
    return made.with_signatures([cosign(made.text, WITNESS.name, WITNESS_KEY, 7)]).emit()


def file(old: int, new: int) -> bytes:
    return Continuation(old, tuple(TREE.consistency(old, new)), note(new)).emit()


@given(sizes, sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_a_few_tiles_tell_what_the_whole_tree_does(one: int, two: int, three: int) -> None:
    old, new, size = sorted((one, two, three))
    asked: list[str] = []
    remote = RemoteTree(fetch_from(size, asked), size)
    assert remote.root(new) == TREE.root(new)
    assert remote.consistency(old, new) == TREE.consistency(old, new)
    if old < new:
        assert remote.inclusion(old, new) == TREE.inclusion(old, new)
    assert len(asked) == len(set(asked)) <= 12


def test_a_tile_that_has_grown_meanwhile_is_read_too() -> None:
    def fetch(path: str) -> bytes:
        if path != Tile(0, 0, 256).path:
            raise LookupError(path)
        return emit_tile(TREE, Tile(0, 0, 256))

    assert RemoteTree(fetch, 200).root() == TREE.root(200)
    with pytest.raises(LogRefused, match="does not serve"):
        RemoteTree(fetch, 300).root()
    with pytest.raises(LogRefused, match="no such subtree"):
        RemoteTree(fetch, 200).subtree(0, 200)
    with pytest.raises(Malformed):
        RemoteTree(lambda _: b"x", 200).root()


@given(sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_the_file_goes_round_and_verifies(one: int, two: int) -> None:
    old, new = sorted((one, two))
    data = file(old, new)
    assert Continuation.parse(data).emit() == data
    grown = verify_continuation(data, note(old), [POLICY])
    assert (grown.old.checkpoint.size, grown.new.checkpoint.size) == (old, new)
    assert list(grown.new.cosigned) == [WITNESS]


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_no_byte_can_be_altered(data: st.DataObject) -> None:
    whole = file(1000, 1234)
    at = data.draw(st.integers(0, len(whole) - 1))
    altered = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    unread = Continuation.parse(whole).note.split(b"\n\n")[1]
    if at >= len(whole) - len(unread):
        return  # in the signature lines, where an unknown key's is skipped as the form demands
    with pytest.raises((Malformed, LogRefused)):
        verify_continuation(altered, note(1000), [POLICY])


@pytest.mark.parametrize(
    ("old", "said"),
    [
        (note(999), "continues a log of 1000"),
        (note(1000, root=bytes(32)), "does not continue"),
        (note(1000, key=PrivateKey(bytes([9]) * 32)), "no signature of a known key"),
        (note(1000, origin="other.example/log"), "no known key of the log"),
        (b"x", "blank line"),
    ],
    ids=["size", "fork", "key", "origin", "nothing"],
)
def test_what_is_not_its_beginning_is_refused(old: bytes, said: str) -> None:
    if said == "no signature of a known key":
        old = old.split("\n— witness".encode())[0] + b"\n"
    with pytest.raises((Malformed, LogRefused), match=said):
        verify_continuation(file(1000, 1234), old, [POLICY])


def test_sizes_and_forms_are_bounded() -> None:
    with pytest.raises(TooLarge):
        Continuation.parse(b"old 1\n\n" + b"x" * CONTINUATION_LIMIT)
    for bad in (b"", b"old 1\n", b"new 1\n\nx", b"old -1\n\nx", b"old 1\nAAAA\n\nx"):
        with pytest.raises(Malformed):
            Continuation.parse(bad)
    with pytest.raises(Malformed, match="at most 63"):
        Continuation.parse(b"old 1\n" + b"A" * 43 + b"=\n" * 64 + b"\nx")
