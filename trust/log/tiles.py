"""C2SP tlog-tiles: the static files that hold a log's tree and entries, and their paths.

A hash tile of level L holds up to 256 hashes, each the root of 256^L entries; an entry bundle
holds up to 256 entries, each behind its big-endian 16-bit length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trust.errors import LogRefused, Malformed, TooLarge
from trust.log.lines import HASH_BYTES, SIZE_LIMIT
from trust.log.tree import Tree

TILE_HEIGHT = 8  # tree levels in one tile
TILE_WIDTH = 1 << TILE_HEIGHT
LEVEL_LIMIT = 63  # the largest level the path syntax allows
ENTRY_LIMIT = 65_535  # bytes; the length field has 16 bits
CHECKPOINT_PATH = "checkpoint"
BUNDLE_LIMIT = TILE_WIDTH * (2 + ENTRY_LIMIT)  # bytes of the largest entry bundle

_PATH = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, order=True)
class Tile:
    """Which tile: `level` is None for an entry bundle; `width` 1 to 256, 256 being full."""

    level: int | None
    index: int
    width: int

    @property
    def path(self) -> str:
        """Where it is served, relative to the log's prefix."""
        groups = [f"{self.index % 1000:03d}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile:
        """The tile served at `path`. Raises Malformed."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise Malformed(f"{path[:120]!r} is not the path of a tile")
        level, groups, width = match.groups()
        tile = cls(
            None if level == "entries" else int(level),
            int(groups.replace("x", "").replace("/", "")),
            int(width) if width else TILE_WIDTH,
        )
        if tile.path != path or (tile.level or 0) > LEVEL_LIMIT or tile.width > TILE_WIDTH:
            raise Malformed(f"{path[:120]!r} is not the canonical path of a tile")
        return tile

    @property
    def full(self) -> Tile:
        """The full tile that replaces this one once the log has grown."""
        return Tile(self.level, self.index, TILE_WIDTH)


def hash_tiles(size: int, since: int = 0) -> Iterator[Tile]:
    """The hash tiles that a log of `size` entries has and one of `since` entries had not."""
    _check_sizes(since, size)
    level = 0
    while size > 0:
        yield from _row(level, size, since)
        size >>= TILE_HEIGHT
        since >>= TILE_HEIGHT
        level += 1


def entry_bundles(size: int, since: int = 0) -> Iterator[Tile]:
    """The entry bundles that a log of `size` entries has and one of `since` entries had not."""
    _check_sizes(since, size)
    yield from _row(None, size, since)


def _row(level: int | None, size: int, since: int) -> Iterator[Tile]:
    if size == since:
        return
    for index in range(since // TILE_WIDTH, size // TILE_WIDTH):
        yield Tile(level, index, TILE_WIDTH)
    if size % TILE_WIDTH:
        yield Tile(level, size // TILE_WIDTH, size % TILE_WIDTH)


def _check_sizes(since: int, size: int) -> None:
    if not 0 <= since <= size <= SIZE_LIMIT:
        raise LogRefused(f"a log can't grow from {since} to {size} entries")


def emit_tile(tree: Tree, tile: Tile) -> bytes:
    """The bytes of a hash tile of `tree`."""
    assert tile.level is not None, "entry bundles are made from entries"
    start = tile.index * TILE_WIDTH
    return tree.subtrees(tile.level * TILE_HEIGHT, start, start + tile.width)


def parse_tile(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile of exactly `width`. Raises Malformed."""
    if len(data) != width * HASH_BYTES:
        raise Malformed(f"a tile of width {width} has {width * HASH_BYTES} bytes, not {len(data)}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def check_entry(entry: bytes) -> bytes:
    """`entry` when a bundle can hold it. Raises TooLarge."""
    if len(entry) > ENTRY_LIMIT:
        raise TooLarge(
            f"a log entry has at most {ENTRY_LIMIT} bytes, not {len(entry)}",
            remedy="log the hash of the document instead of the document",
        )
    return entry


def emit_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each behind its 16-bit length. Raises TooLarge."""
    return b"".join(len(check_entry(entry)).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, count: int) -> list[bytes]:
    """The entries of a bundle that holds exactly `count`. Raises Malformed, TooLarge."""
    if len(data) > BUNDLE_LIMIT:
        raise TooLarge(f"an entry bundle has at most {BUNDLE_LIMIT} bytes, not {len(data)}")
    entries = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise Malformed("an entry bundle ends inside an entry")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != count:
        raise Malformed(f"an entry bundle of width {count} holds {len(entries)} entries")
    return entries
