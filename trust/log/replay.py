"""A whole static log checked from outside: what an auditor does, and what our own tests do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from trust.errors import LogRefused
from trust.log.checkpoint import VerifiedCheckpoint
from trust.log.policy import Policy
from trust.log.tiles import (
    CHECKPOINT_PATH,
    TILE_WIDTH,
    Tile,
    emit_tile,
    entry_bundles,
    hash_tiles,
    parse_bundle,
    parse_tile,
)
from trust.log.tree import Tree, leaf_hash

Fetch = Callable[[str], bytes]
"""Gives the bytes at a path below the log's prefix; raises LookupError or OSError if absent."""

_SEAL = object()


@dataclass(frozen=True)
class ReplayedLog:
    """A log of which every entry and every tile was checked. Made by `check_log` only."""

    checkpoint: VerifiedCheckpoint
    entries: tuple[bytes, ...]
    tree: Tree
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("a replayed log is made by check_log, never by hand")


def check_log(
    fetch: Fetch, policy: Policy, earlier: VerifiedCheckpoint | None = None
) -> ReplayedLog:
    """Verify everything that a static log serves and return its entries in order.

    Checks the checkpoint under `policy`, every entry bundle against the root, every hash tile
    against the entries, and that the state of `earlier` is a prefix.
    Raises Malformed, TooLarge, LogRefused.
    """
    checkpoint = policy.verify(_fetched(fetch, CHECKPOINT_PATH))
    head = checkpoint.checkpoint
    entries: list[bytes] = []
    tree = Tree()
    for bundle in entry_bundles(head.size):
        for entry in _entries(fetch, bundle):
            entries.append(entry)
            tree.append(leaf_hash(entry))
    if tree.root() != head.root:
        raise LogRefused(
            f"the {head.size} entries of {head.origin} do not lead to the root it signed",
            remedy="an entry was altered, added or removed after it was signed",
        )
    for tile in hash_tiles(head.size):
        if _hashes(fetch, tile) != emit_tile(tree, tile):
            raise LogRefused(
                f"{tile.path} of {head.origin} does not hold the hashes of the log's entries"
            )
    if earlier is not None:
        _check_continues(tree, checkpoint, earlier)
    return ReplayedLog(checkpoint, tuple(entries), tree, _SEAL)


def _check_continues(
    tree: Tree, checkpoint: VerifiedCheckpoint, earlier: VerifiedCheckpoint
) -> None:
    old, new = earlier.checkpoint, checkpoint.checkpoint
    if old.origin != new.origin:
        raise LogRefused(f"the earlier checkpoint is of {old.origin}, this log is {new.origin}")
    if old.size > new.size:
        raise LogRefused(
            f"the log {new.origin} shrank from {old.size} to {new.size} entries",
            remedy="keep the earlier checkpoint: it proves that entries were withheld",
        )
    if tree.root(old.size) != old.root:
        raise LogRefused(
            f"the log {new.origin} does not continue its earlier state of {old.size} entries",
            remedy="the log was rewritten or shows two faces: keep both checkpoints as evidence",
        )


def _entries(fetch: Fetch, bundle: Tile) -> list[bytes]:
    given, data = served(fetch, bundle)
    return parse_bundle(data, given.width)[: bundle.width]


def _hashes(fetch: Fetch, tile: Tile) -> bytes:
    given, data = served(fetch, tile)
    return b"".join(parse_tile(data, given.width)[: tile.width])


def served(fetch: Fetch, tile: Tile) -> tuple[Tile, bytes]:
    """The bytes of `tile`, or of the full tile that has replaced it, and which of the two.

    Raises LogRefused.
    """
    try:
        return tile, _fetched(fetch, tile.path)
    except LogRefused:
        if tile.width == TILE_WIDTH:
            raise
        # tlog-tiles: a partial tile may be deleted once the full one is served.
        try:
            return tile.full, _fetched(fetch, tile.full.path)
        except LogRefused:
            pass
        raise


def _fetched(fetch: Fetch, path: str) -> bytes:
    try:
        return fetch(path)
    except (LookupError, OSError) as error:
        raise LogRefused(
            f"the log does not serve {path}", remedy="fetch the missing file from its publisher"
        ) from error
