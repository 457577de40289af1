"""From what is stored to a consistent log: after a start, a crash or a failed write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.log.errors import LogDamaged, LogExists, LogMissing, LogRolledBack
from scheduler.log.records import LockRecord, StagedBatch
from scheduler.log.storage import PUBLIC, LogStore
from trust.clock import Clock
from trust.errors import LogRefused, Malformed
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey, Note
from trust.log.tiles import (
    TILE_WIDTH,
    Tile,
    emit_bundle,
    emit_tile,
    entry_bundles,
    hash_tiles,
    parse_bundle,
    parse_tile,
)
from trust.log.tree import EMPTY_ROOT, Tree, leaf_hash

LOCK = "state"
STAGED = "staged"
PUBLISHED = f"{PUBLIC}/checkpoint"

_RESTORE = "stop, and restore the whole log directory from its newest backup"


@dataclass
class State:
    """The log in memory, equal to the disk whenever no commit is under way.

    `note` is the published one (the record's, with cosignatures); `tail` the entries of the
    last, partial bundle; `index` the first place of every leaf hash.
    """

    record: LockRecord
    checkpoint: Checkpoint
    note: Note
    tree: Tree
    tail: list[bytes]
    index: dict[bytes, int]

    def extended(self, entries: Sequence[bytes]) -> Checkpoint:
        """Add entries to the tree and the index; the checkpoint of the result, unsigned."""
        for entry in entries:
            leaf = leaf_hash(entry)
            self.index.setdefault(leaf, self.tree.append(leaf))
        return Checkpoint(self.checkpoint.origin, self.tree.size, self.tree.root())

    def committed(self, record: LockRecord, checkpoint: Checkpoint, note: Note) -> State:
        """The state once all of a commit is stored."""
        return State(record, checkpoint, note, self.tree, self.tail, self.index)


def apply(store: LogStore, state: State, since: int, entries: Sequence[bytes]) -> None:
    """Write the tiles by which `state.tree`, already extended, outgrew `since` entries.

    `state.tail` holds the entries of the bundle that was partial at `since`, and afterwards
    those of the one that is partial now. Raises LogDamaged, StorageFailed.
    """
    size = state.tree.size
    row = [*state.tail, *entries]
    start = since - len(state.tail)
    for bundle in entry_bundles(size, since):
        at = bundle.index * TILE_WIDTH - start
        _write_once(store, bundle, emit_bundle(row[at : at + bundle.width]))
    for tile in hash_tiles(size, since):
        _write_once(store, tile, emit_tile(state.tree, tile))
    state.tail = row[len(row) - size % TILE_WIDTH :]


def _write_once(store: LogStore, tile: Tile, data: bytes) -> None:
    path = f"{PUBLIC}/{tile.path}"
    stored = store.read(path)
    if stored is not None and stored != data:
        # A tile of a given path is the same in every state of one log: another content means
        # that a different continuation was once written here.
        raise LogRolledBack(f"{tile.path} holds another log's hashes", remedy=_RESTORE)
    store.write(path, data)


def recover(store: LogStore, log: LogKey, cosigners: Sequence[CosignerKey] = ()) -> State:
    """The log as its lock record says, with everything else made to agree.

    Raises LogMissing, LogDamaged, LogRolledBack, StorageFailed.
    """
    data = store.read(LOCK)
    if data is None:
        raise LogMissing(
            f"there is no log {log.name} here",
            remedy="create it first; if it existed, restore its directory from the newest backup",
        )
    record = LockRecord.parse(data)
    head = _signed(record.note, log, "the lock record").checkpoint
    published = _published(store, log, cosigners, head)
    batch = _staged(store, record, head)
    base = record.since if batch else head.size
    state = State(record, head, Note.parse(record.note), Tree(), [], {})
    _load(store, state, base)
    if batch:
        state.extended(batch.entries)
    if (state.tree.size, state.tree.root()) != (head.size, head.root):
        raise LogDamaged("the stored tiles do not lead to the log's signed root", remedy=_RESTORE)
    if batch:
        apply(store, state, base, batch.entries)
    if published is None or published.text != state.note.text:
        store.write(PUBLISHED, record.note)
    else:
        state.note = published  # it may carry cosignatures, which the record never does
    if batch:
        store.remove(STAGED)
    return state


def _published(
    store: LogStore, log: LogKey, cosigners: Sequence[CosignerKey], head: Checkpoint
) -> Note | None:
    data = store.read(PUBLISHED)
    if data is None:
        if head.size:
            raise LogDamaged("the published checkpoint is missing", remedy=_RESTORE)
        return None
    published = _signed(data, log, "the published checkpoint", cosigners).checkpoint
    if published.size > head.size:
        raise LogRolledBack(
            f"{published.size} entries were published, the lock record knows {head.size}: it "
            "was restored from an old copy",
            remedy=_RESTORE,
        )
    if published.size == head.size and published.root != head.root:
        raise LogRolledBack("two different logs of one size were signed here", remedy=_RESTORE)
    return Note.parse(data)


def _signed(
    data: bytes, log: LogKey, what: str, cosigners: Sequence[CosignerKey] = ()
) -> SignedCheckpoint:
    try:
        return open_checkpoint(data, [log], cosigners)
    except (Malformed, LogRefused) as error:
        raise LogDamaged(
            f"{what} of {log.name} does not verify: {error.sentence}",
            remedy="check that the log's directory and key belong together; " + _RESTORE,
        ) from error


def _staged(store: LogStore, record: LockRecord, head: Checkpoint) -> StagedBatch | None:
    """The staged batch if it is the one that made the lock record."""
    data = store.read(STAGED)
    if data is None:
        return None
    batch = StagedBatch.parse(data)
    # A batch that was staged but never committed continues head.size, not record.since.
    if batch.since == record.since and batch.since + len(batch.entries) == head.size:
        return batch
    return None


def _load(store: LogStore, state: State, size: int) -> None:
    """Read tree, index and last bundle of the log's first `size` entries into `state`."""
    for tile in hash_tiles(size):
        if tile.level != 0:
            break
        for leaf in _parsed(store, tile):
            state.index.setdefault(leaf, state.tree.append(leaf))
    if size % TILE_WIDTH == 0:
        return
    *_, last = entry_bundles(size)
    try:
        state.tail = parse_bundle(_read(store, last), last.width)
    except Malformed as error:
        raise LogDamaged(f"{last.path} can't be read", remedy=_RESTORE) from error
    for at, entry in enumerate(state.tail, last.index * TILE_WIDTH):
        if leaf_hash(entry) != state.tree.subtree(0, at):
            raise LogDamaged(f"{last.path} does not match its hashes", remedy=_RESTORE)


def _parsed(store: LogStore, tile: Tile) -> list[bytes]:
    try:
        return parse_tile(_read(store, tile), tile.width)
    except Malformed as error:
        raise LogDamaged(f"{tile.path} can't be read", remedy=_RESTORE) from error


def _read(store: LogStore, tile: Tile) -> bytes:
    data = store.read(f"{PUBLIC}/{tile.path}")
    if data is None:
        raise LogDamaged(f"{tile.path} is missing", remedy=_RESTORE)
    return data


def create_in(store: LogStore, key: PrivateKey, origin: str, clock: Clock) -> None:
    """Make an empty log in `store`. Raises LogExists, StorageFailed."""
    if store.read(LOCK) is not None:
        raise LogExists(
            f"the log {origin} exists already", remedy="open it, or choose another directory"
        )
    if store.read(PUBLISHED) is not None:
        # A published log without its lock record is a lost record, not a new log.
        raise LogExists(
            "a published log lies here without its lock record",
            remedy="restore the whole log directory from its newest backup",
        )
    note = Checkpoint(origin, 0, EMPTY_ROOT).signed(key).emit()
    record = LockRecord(0, int(clock.now().timestamp()), note)
    store.swap(LOCK, None, record.emit())
    # If we crash here: the log exists, opening it publishes its checkpoint.
    store.write(PUBLISHED, note)
