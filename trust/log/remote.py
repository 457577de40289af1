"""A log's tree as its tiles tell it: a few of them are enough for any root or proof.

Nothing here is verified. What follows from the tiles is, by whoever holds a signed root.
"""

from __future__ import annotations

from trust.errors import LogRefused
from trust.log.lines import HASH_BYTES
from trust.log.replay import Fetch, served
from trust.log.tiles import LEVEL_LIMIT, TILE_HEIGHT, TILE_WIDTH, Tile, parse_tile
from trust.log.tree import Subtrees, node_hash


class RemoteTree(Subtrees):
    """The tree of the first `size` entries of the log behind `fetch`; tiles are asked once each.

    Every answer may raise LogRefused or Malformed, for a tile that is not served or is none.
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}

    @property
    def size(self) -> int:
        return self._size

    def subtree(self, level: int, index: int) -> bytes:
        height, rest = divmod(level, TILE_HEIGHT)
        first, count = index << rest, 1 << rest
        if height > LEVEL_LIMIT or first + count > self._size >> (height * TILE_HEIGHT):
            raise LogRefused(f"a log of {self._size} entries has no such subtree")
        number, at = divmod(first, TILE_WIDTH)
        hashes = self._tile(height, number)
        row = [
            hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES] for place in range(at, at + count)
        ]
        while len(row) > 1:
            row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    def _tile(self, height: int, number: int) -> bytes:
        known = self._tiles.get((height, number))
        if known is None:
            there = (self._size >> (height * TILE_HEIGHT)) - number * TILE_WIDTH
            given, known = served(self._fetch, Tile(height, number, min(there, TILE_WIDTH)))
            parse_tile(known, given.width)
            self._tiles[height, number] = known
        return known
