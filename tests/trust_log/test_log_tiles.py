"""Tile paths and sizes, entry bundles, entry lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.errors import LogRefused, Malformed, TooLarge
from trust.ids import Digest
from trust.log.entry import LINE_LIMIT, Kind, LogEntry
from trust.log.tiles import (
    ENTRY_LIMIT,
    TILE_WIDTH,
    Tile,
    emit_bundle,
    emit_tile,
    entry_bundles,
    hash_tiles,
    parse_bundle,
    parse_tile,
)
from trust.log.tree import Tree, leaf_hash

pytestmark = pytest.mark.base

tiles = st.builds(
    Tile,
    st.one_of(st.none(), st.integers(0, 63)),
    st.integers(0, 2**62),
    st.integers(1, TILE_WIDTH),
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1234067, 256), "tile/0/x001/x234/067"),  # the specification's example
        (Tile(0, 0, 1), "tile/0/000.p/1"),
        (Tile(63, 999, 255), "tile/63/999.p/255"),
        (Tile(None, 1000, 256), "tile/entries/x001/000"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@given(tiles)
def test_paths_round_trip(tile: Tile) -> None:
    assert Tile.parse(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/../000",
        "tile/entries/000\n",
        "/tile/0/000",
        "tile/0/\u0660\u0660\u0660",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(Malformed):
        Tile.parse(path)


@given(st.text(max_size=40))
def test_hostile_paths_are_only_ever_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Tile.parse("tile/" + text + "!")


def test_tiles_of_the_specification_s_sizes() -> None:
    made = list(hash_tiles(70_000))
    assert sum(tile.level == 0 and tile.width == 256 for tile in made) == 273
    assert [t for t in made if t.width < 256] == [
        Tile(0, 273, 112),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert len(made) == 277
    assert list(hash_tiles(256)) == [Tile(0, 0, 256), Tile(1, 0, 1)]
    assert list(hash_tiles(0)) == list(entry_bundles(0)) == []


@given(st.integers(0, 70_000), st.integers(0, 3_000))
def test_growth_needs_exactly_the_tiles_that_were_not_there(since: int, more: int) -> None:
    size = since + more
    for listed in (hash_tiles, entry_bundles):
        assert set(listed(size, since)) == set(listed(size)) - set(listed(since))


def test_a_log_does_not_shrink() -> None:
    with pytest.raises(LogRefused):
        list(hash_tiles(3, 4))


def test_tiles_hold_the_hashes_of_their_level() -> None:
    tree = Tree(leaf_hash(bytes([n % 256])) for n in range(600))
    assert parse_tile(emit_tile(tree, Tile(0, 2, 88)), 88)[0] == tree.subtree(0, 512)
    level_one = parse_tile(emit_tile(tree, Tile(1, 0, 2)), 2)
    assert level_one == [tree.subtree(8, 0), tree.subtree(8, 1)]
    assert level_one[0] == tree.root(256)
    with pytest.raises(Malformed):
        parse_tile(bytes(33), 1)


@given(st.lists(st.binary(max_size=40), max_size=256))
def test_bundles_round_trip(entries: list[bytes]) -> None:
    data = emit_bundle(entries)
    assert parse_bundle(data, len(entries)) == entries
    with pytest.raises(Malformed):
        parse_bundle(data, len(entries) + 1)
    with pytest.raises(Malformed):
        parse_bundle(data + b"\0", len(entries))


@given(st.binary(max_size=200), st.integers(0, 256))
def test_hostile_bundles_are_only_ever_malformed(data: bytes, count: int) -> None:
    try:
        entries = parse_bundle(data, count)
    except Malformed:
        return
    assert emit_bundle(entries) == data


def test_the_largest_entry_fits_and_one_byte_more_does_not() -> None:
    assert parse_bundle(emit_bundle([b"a" * ENTRY_LIMIT]), 1) == [b"a" * ENTRY_LIMIT]
    with pytest.raises(TooLarge, match="65535"):
        emit_bundle([b"a" * (ENTRY_LIMIT + 1)])


@pytest.mark.parametrize("kind", Kind)
def test_entry_lines_round_trip(kind: Kind) -> None:
    entry = LogEntry.of(kind, b"envelope")
    line = entry.emit()
    assert line == f"cadastre/v1 {kind.value} {Digest.of(b'envelope')}\n".encode()
    assert len(line) <= LINE_LIMIT
    assert LogEntry.parse(line) == entry


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"cadastre/v1 plan sha256:" + b"0" * 64,
        b"cadastre/v2 plan sha256:" + b"0" * 64 + b"\n",
        b"cadastre/v1 plans sha256:" + b"0" * 64 + b"\n",
        b"cadastre/v1 plan sha256:" + b"A" * 64 + b"\n",
        b"cadastre/v1  plan sha256:" + b"0" * 64 + b"\n",
        b"cadastre/v1 plan sha256:" + b"0" * 64 + b"\n\n",
        b"cadastre/v1 plan sha256:" + b"0" * 63 + b"\xe9\n",
        b"x" * 200,
    ],
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(Malformed):
        LogEntry.parse(line)


@given(st.binary(max_size=140))
def test_hostile_lines_are_only_ever_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        LogEntry.parse(data)
