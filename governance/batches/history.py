"""One process's own view of the log: every entry read by itself, every checkpoint continued.

What the leader exhibits proves only that a document is in the log. That it is the *first* batch
of its round takes the entries between. A helper or keyholder that was restored from an old backup
learns here what it had answered: the batch that it committed to then is in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from governance.batches.errors import HistoryUnreadable, NotLogged
from trust.errors import TrustError
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.proof import verify_proof
from trust.log.tiles import TILE_WIDTH, Tile, entry_bundles, parse_bundle
from trust.log.tree import Tree, leaf_hash
from trust.problem import Problem

Fetch = Callable[[str], bytes | None]
"""The bytes at a path below the log's site; None when there are none. Raises a Problem."""

# A territory that logs a thousand entries a day takes three years to get there.
MAXIMUM_ENTRIES = 1_000_000
CHECKPOINT = "log/checkpoint"
# What must be the first of its round (the leader's word for which reports, and for their sum),
# the keys that rounds are counted from, and the notices that such a key is gone.
_REMEMBERED = frozenset(
    {
        Kind.BATCH,
        Kind.SHARE,
        Kind.HELPER_KEY,
        Kind.KEY_DESTROYED,
        Kind.EPOCH_KEY,
        Kind.EPOCH_RETIRED,
    }
)


@dataclass(frozen=True)
class Included:
    """An entry that a witnessed checkpoint holds at `index`."""

    index: int
    checkpoint: Checkpoint


class History:
    """The log as read so far; grows only, and only along one history."""

    def __init__(self, policy: Policy, fetch: Fetch) -> None:
        """`fetch` reads below the scheduler's site: `log/tile/...` and `objects/sha256/...`."""
        self._policy = policy
        self._fetch = fetch
        self._tree = Tree()
        self._agreed: Checkpoint | None = None  # the largest that the entries led to
        self._found: list[tuple[int, LogEntry]] = []

    def require(self, kind: Kind, envelope: bytes, proof: bytes) -> Included:
        """Where `envelope` stands in the witnessed log. Raises NotLogged."""
        if self._policy.quorum is None:
            raise NotLogged(
                "the root's log policy asks for no witness quorum",
                remedy="the territory needs at least one witness in its root",
            )
        if len(self._policy.logs) != 1:
            # "First of its round" means nothing across two logs: each could hold a first one.
            raise NotLogged(
                f"the root's log policy names {len(self._policy.logs)} logs, this process follows "
                "exactly one",
                remedy="draft the next root with the territory's one log",
            )
        try:
            entry = LogEntry.of(kind, envelope).emit()
            verified = verify_proof(proof, entry, self._policy)
        except TrustError as error:
            raise NotLogged(
                f"the {kind.value} is not proven to be in the log: {error.sentence}",
                remedy="the leader waits until the witnesses have cosigned, and asks again",
            ) from error
        return Included(verified.index, verified.checkpoint.checkpoint)

    def published(self) -> Checkpoint:
        """The witnessed checkpoint that the site shows now, or a later one that is known.

        For what nobody exhibits: who asks shows the proofs that suit them, which may be old.
        Raises HistoryUnreadable.
        """
        note = self._read(CHECKPOINT)
        if note is None:
            raise _unreadable(CHECKPOINT)
        try:
            shown = self._policy.verify(note).checkpoint
        except TrustError as error:
            raise _unreadable(CHECKPOINT, error) from error
        known = self._agreed
        return shown if known is None or known.size < shown.size else known

    def first(self, kind: Kind, envelope: bytes, upto: Checkpoint) -> int | None:
        """Where `envelope` stands first within `upto`, None where it does not.

        A log takes the same bytes again, and who exhibits a proof chooses among their places.
        Raises HistoryUnreadable, NotLogged as `logged`.
        """
        self._grow(upto)
        wanted = LogEntry.of(kind, envelope)
        places = (index for index, entry in self._found if entry == wanted and index < upto.size)
        return min(places, default=None)

    def logged(self, kind: Kind, upto: Checkpoint, since: int) -> list[tuple[int, bytes]]:
        """What of `kind` was logged from entry `since` on, within `upto`: (index, envelope).

        Of the remembered kinds, that is.

        Raises HistoryUnreadable, or NotLogged where the log shows another history than before.
        """
        self._grow(upto)
        return [
            (index, self._object(entry.digest))
            for index, entry in self._found
            if entry.kind is kind and since <= index < upto.size
        ]

    def _grow(self, upto: Checkpoint) -> None:
        if upto.size > MAXIMUM_ENTRIES:
            raise HistoryUnreadable(
                f"the log has {upto.size} entries, this program reads {MAXIMUM_ENTRIES}",
                remedy="update this program",
            )
        known = self._agreed
        # After a start from nothing the log is read at least as far as it was before.
        end = upto.size if known is None else max(upto.size, known.size)
        for entry in self._entries(self._tree.size, end):
            index = self._tree.append(leaf_hash(entry))
            try:
                parsed = LogEntry.parse(entry)
            except TrustError:
                continue  # a kind of a later release: none of ours
            if parsed.kind in _REMEMBERED:
                self._found.append((index, parsed))
        if self._tree.root(upto.size) != upto.root or (
            known is not None and self._tree.root(known.size) != known.root
        ):
            # What was read may be wrong from any entry on: read it all again next time.
            self._tree, self._found = Tree(), []
            raise NotLogged(
                f"the log's {upto.size} entries do not lead to the root that was signed",
                remedy="the log shows two faces: keep the checkpoint and tell the cooperative",
            )
        if known is None or known.size < upto.size:
            self._agreed = upto

    def _entries(self, start: int, end: int) -> list[bytes]:
        entries: list[bytes] = []
        if start >= end:
            return entries
        for tile in entry_bundles(end, start):
            served, data = self._tile(tile)
            try:
                found = parse_bundle(data, served.width)[: tile.width]
            except TrustError as error:
                raise _unreadable(tile.path, error) from error
            entries += found[max(0, start - tile.index * TILE_WIDTH) :]
        return entries

    def _tile(self, tile: Tile) -> tuple[Tile, bytes]:
        # A partial tile may be gone once the full one is served.
        for wanted in (tile, tile.full):
            data = self._read(f"log/{wanted.path}")
            if data is not None:
                return wanted, data
        raise _unreadable(tile.path)

    def _object(self, digest: Digest) -> bytes:
        name = digest.removeprefix("sha256:")
        data = self._read(f"objects/sha256/{name[:2]}/{name}")
        if data is None or Digest.of(data) != digest:
            # Fail closed: the one that is withheld might be the batch of this very round.
            raise _unreadable(digest)
        return data

    def _read(self, path: str) -> bytes | None:
        try:
            return self._fetch(path)
        except Problem as problem:
            raise _unreadable(path, problem) from problem


def _unreadable(what: str, cause: Problem | None = None) -> HistoryUnreadable:
    why = "" if cause is None else f": {cause.sentence}"
    return HistoryUnreadable(
        f"the log's site does not give {what}{why}",
        remedy="check --site and the scheduler; nothing is opened until the log can be read",
    )
