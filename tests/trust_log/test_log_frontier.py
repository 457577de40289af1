"""The right edge of a tree knows the root that the whole tree has."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.errors import Malformed
from trust.log.frontier import Frontier
from trust.log.tree import Tree, leaf_hash

pytestmark = pytest.mark.base


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=60, deadline=None)
def test_it_goes_on_from_anywhere(before: int, more: int) -> None:
    tree, edge = Tree(), Frontier()
    for number in range(before):
        leaf = leaf_hash(number.to_bytes(4, "big"))
        tree.append(leaf)
        edge.append(leaf)
    edge = Frontier(edge.size, edge.hashes)  # as if it had been stored
    apart = edge.copy()
    for number in range(more):
        leaf = leaf_hash(number.to_bytes(5, "big"))
        tree.append(leaf)
        edge.append(leaf)
    assert (edge.size, edge.root()) == (tree.size, tree.root())
    assert (apart.size, apart.root()) == (before, tree.root(before))


@pytest.mark.parametrize(
    ("size", "hashes"),
    [(1, []), (0, [bytes(32)]), (3, [bytes(32)]), (2, [bytes(31)]), (-1, []), (2**64, [bytes(32)])],
)
def test_an_edge_that_no_tree_has_is_refused(size: int, hashes: list[bytes]) -> None:
    with pytest.raises(Malformed):
        Frontier(size, hashes)
