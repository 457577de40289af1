"""The Merkle tree against published vectors, and its proofs against every tampering."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.errors import LogRefused
from trust.log.tree import (
    EMPTY_ROOT,
    PROOF_LIMIT,
    Tree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

pytestmark = pytest.mark.base

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "tlog_vec.json").read_text())

# The tree of the Certificate Transparency reference tests: eight entries and three roots.
CT_ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
CT_ENTRIES.append("606162636465666768696a6b6c6d6e6f")
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}

TREE = Tree(leaf_hash(number.to_bytes(4, "big")) for number in range(1100))
sizes = st.integers(1, TREE.size)


def _b64(text: str) -> bytes:
    return base64.b64decode(text)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def test_roots_are_those_of_certificate_transparency() -> None:
    tree = Tree()
    assert tree.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for count, entry in enumerate(CT_ENTRIES, 1):
        assert tree.append(leaf_hash(bytes.fromhex(entry))) == count - 1
        if count in CT_ROOTS:
            assert tree.root().hex() == CT_ROOTS[count]


@pytest.mark.parametrize("case", VECTORS["incl"], ids=lambda case: f"{case['m']}-{case['n']}")
def test_published_inclusion_proofs_verify(case: dict[str, Any]) -> None:
    proof = [_b64(step) for step in case["proof"]]
    verify_inclusion(_b64(case["leaf"]), case["m"], case["n"], proof, _b64(case["root"]))


@pytest.mark.parametrize("case", VECTORS["cons"], ids=lambda case: f"{case['m']}-{case['n']}")
def test_published_consistency_proofs_verify(case: dict[str, Any]) -> None:
    proof = [_b64(step) for step in case["proof"]]
    verify_consistency(case["m"], _b64(case["r1"]), case["n"], _b64(case["r2"]), proof)


@given(st.integers(0, 200))
def test_root_of_every_size_is_the_definition(size: int) -> None:
    leaves = [TREE.subtree(0, index) for index in range(size)]
    assert TREE.root(size) == naive_root(leaves) == Tree(leaves).root()


@given(sizes, st.data())
def test_inclusion_proofs_round_trip(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = TREE.inclusion(index, size)
    verify_inclusion(TREE.subtree(0, index), index, size, proof, TREE.root(size))


@given(sizes, st.data())
def test_consistency_proofs_round_trip(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, new))
    proof = TREE.consistency(old, new)
    verify_consistency(old, TREE.root(old), new, TREE.root(new), proof)


def test_every_pair_of_small_sizes_verifies_and_no_other_index_does() -> None:
    for size in range(1, 20):
        root = TREE.root(size)
        for old in range(size + 1):
            verify_consistency(old, TREE.root(old), size, root, TREE.consistency(old, size))
        for index in range(size):
            proof = TREE.inclusion(index, size)
            for other in range(size + 2):
                if other == index:
                    verify_inclusion(TREE.subtree(0, index), index, size, proof, root)
                    continue
                with pytest.raises(LogRefused):
                    verify_inclusion(TREE.subtree(0, index), other, size, proof, root)


def _flips(proof: list[bytes]) -> list[list[bytes]]:
    """Every proof that differs from `proof` by one bit, one missing or one added hash."""
    changed = []
    for at, step in enumerate(proof):
        for bit in range(256):
            flipped = (int.from_bytes(step, "big") ^ (1 << bit)).to_bytes(32, "big")
            changed.append([*proof[:at], flipped, *proof[at + 1 :]])
        changed.append([*proof[:at], *proof[at + 1 :]])
        changed.append([*proof[:at], step[:-1], *proof[at + 1 :]])
    changed.extend([*proof[:at], b"\0" * 32, *proof[at:]] for at in range(len(proof) + 1))
    return changed


@pytest.mark.parametrize(("index", "size"), [(0, 1), (4, 7), (6, 7), (300, 1000)])
def test_no_inclusion_proof_survives_a_flip_or_truncation(index: int, size: int) -> None:
    leaf, root = TREE.subtree(0, index), TREE.root(size)
    for proof in _flips(TREE.inclusion(index, size)):
        with pytest.raises(LogRefused):
            verify_inclusion(leaf, index, size, proof, root)


@pytest.mark.parametrize(("old", "new"), [(0, 5), (1, 2), (3, 7), (4, 8), (7, 7), (300, 1000)])
def test_no_consistency_proof_survives_a_flip_or_truncation(old: int, new: int) -> None:
    for proof in _flips(TREE.consistency(old, new)):
        with pytest.raises(LogRefused):
            verify_consistency(old, TREE.root(old), new, TREE.root(new), proof)


@given(sizes, st.integers(0, 255), st.booleans(), st.data())
@settings(max_examples=200)
def test_another_root_or_leaf_is_refused(
    size: int, bit: int, at_leaf: bool, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    flip = (1 << bit).to_bytes(32, "big")
    leaf, root = TREE.subtree(0, index), TREE.root(size)
    if at_leaf:
        leaf = bytes(a ^ b for a, b in zip(leaf, flip, strict=True))
    else:
        root = bytes(a ^ b for a, b in zip(root, flip, strict=True))
    with pytest.raises(LogRefused):
        verify_inclusion(leaf, index, size, TREE.inclusion(index, size), root)


@pytest.mark.parametrize("old", [0, 1, 3, 4, 7])
def test_another_old_or_new_root_is_refused(old: int) -> None:
    wrong = b"\7" * 32
    proof = TREE.consistency(old, 7)
    with pytest.raises(LogRefused):
        verify_consistency(old, wrong, 7, TREE.root(7), proof)
    if old:
        with pytest.raises(LogRefused):
            verify_consistency(old, TREE.root(old), 7, wrong, proof)


def test_a_proof_longer_than_its_tree_is_refused_even_when_it_hashes_to_the_root() -> None:
    """A dishonest log signs a size of one over the root of two: no leaf must fit both."""
    with pytest.raises(LogRefused, match="too long"):
        verify_inclusion(TREE.subtree(0, 1), 0, 1, [TREE.subtree(0, 0)], TREE.root(2))
    proof = [*TREE.consistency(3, 4), TREE.root(2)]
    new_root = node_hash(TREE.root(2), TREE.root(4))
    with pytest.raises(LogRefused, match="too long"):
        verify_consistency(3, TREE.root(3), 4, new_root, proof)


def test_two_empty_logs_are_consistent_only_with_the_empty_root() -> None:
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    with pytest.raises(LogRefused):
        verify_consistency(0, EMPTY_ROOT, 0, b"\1" * 32, [])


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0), (0, 2**63), (5, 4)])
def test_impossible_places_are_refused(index: int, size: int) -> None:
    with pytest.raises(LogRefused):
        verify_inclusion(b"\0" * 32, index, size, [], b"\0" * 32)
    with pytest.raises(LogRefused):
        Tree().inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3), (1, 2**63)])
def test_a_log_never_shrinks(old: int, new: int) -> None:
    with pytest.raises(LogRefused):
        verify_consistency(old, b"\0" * 32, new, b"\0" * 32, [])
    with pytest.raises(LogRefused):
        TREE.consistency(old, new)


def test_a_proof_has_at_most_63_hashes() -> None:
    proof = [b"\0" * 32] * (PROOF_LIMIT + 1)
    with pytest.raises(LogRefused, match="at most 63"):
        verify_inclusion(b"\0" * 32, 0, 2**62, proof, b"\0" * 32)
    with pytest.raises(LogRefused, match="at most 63"):
        verify_consistency(1, b"\0" * 32, 2**62, b"\0" * 32, proof)
