"""The sequencer: entries in, a signed and published log out, whatever happens in between.

Order of every batch, and what is true if we crash after each step:

1. stage the batch      nothing has changed; the staged batch is ignored and overwritten
2. sign, swap the lock  the batch IS in the log; recovery finds it staged and applies it
3. write the tiles      the same; writing a tile again is harmless
4. publish checkpoint   everything is visible; only the staged copy is left over
5. drop the staged copy everything is done

Recovery after a crash and recovery after a failed write are the same function.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from scheduler.log.batches import Ticket, batches
from scheduler.log.cosigners import Cosigner
from scheduler.log.errors import ClockWentBack, LogMissing
from scheduler.log.records import LockRecord, StagedBatch
from scheduler.log.recovery import LOCK, PUBLISHED, STAGED, State, apply, create_in, recover
from scheduler.log.storage import PUBLIC, DirectoryStore, LogStore
from scheduler.log.witnessing import Seat, Waiting
from trust.clock import Clock
from trust.errors import LogRefused, Malformed
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.note import LogKey, Note
from trust.log.proof import LogProof
from trust.log.tiles import CHECKPOINT_PATH, Tile
from trust.log.tree import leaf_hash

_COSIGNED = "cosigned"


class LogWriter:
    """A log that this process alone writes. Make it with `create`, then `open`; thread-safe."""

    def __init__(
        self,
        store: LogStore,
        key: PrivateKey,
        origin: str,
        clock: Clock,
        cosigners: Sequence[Cosigner] = (),
    ) -> None:
        self._store = store
        self._key = key
        self._log = LogKey(origin, key.public)
        self._clock = clock
        self._seats = [Seat(cosigner, clock) for cosigner in cosigners]
        if len({seat.key.public for seat in self._seats}) != len(self._seats):
            raise Malformed("two of the log's witnesses have the same key")
        # Appends wait here in order; whoever gets `_lock` sequences all of them at once.
        self._queue: deque[Ticket] = deque()
        # Guards `_state`, `_failed` and every write; held across disk writes, never across
        # a question to a witness.
        self._lock = threading.Lock()
        # Held while witnesses are asked, so that they are asked one checkpoint at a time.
        # Taken before `_lock`, never inside it.
        self._asking = threading.Lock()
        # Set from the first write of a commit until all are done: memory may then differ from
        # the disk, and the next call recovers from the disk before doing anything.
        self._failed = False
        self._state: State = self._recovered()
        self._cosigned = self._newest_cosigned()

    @classmethod
    def create(cls, directory: Path, key: PrivateKey, origin: str, clock: Clock) -> None:
        """Make an empty, signed log in `directory`. Raises LogExists, LogBusy, StorageFailed."""
        store = DirectoryStore(directory)
        try:
            create_in(store, key, origin, clock)
        finally:
            store.close()

    @classmethod
    def open(
        cls,
        directory: Path,
        key: PrivateKey,
        origin: str,
        clock: Clock,
        cosigners: Sequence[Cosigner] = (),
    ) -> LogWriter:
        """The log in `directory`, recovered.

        Raises LogMissing, LogBusy, LogDamaged, LogRolledBack, StorageFailed.
        """
        if not directory.is_dir():
            raise LogMissing(
                f"there is no log in {directory}",
                remedy="create it first, or check that its disk is mounted",
            )
        store = DirectoryStore(directory)
        try:
            return cls(store, key, origin, clock, cosigners)
        except BaseException:
            store.close()
            raise

    @classmethod
    def accept_clock(cls, directory: Path, key: PrivateKey, origin: str, clock: Clock) -> None:
        """Let a log go on whose last checkpoint was signed while the clock was ahead.

        An operator's act after the clock was set right: only the private time of the lock
        record changes, no checkpoint carries it. Raises what `open` raises.
        """
        writer = cls.open(directory, key, origin, clock)
        try:
            writer.restart_time()
        finally:
            writer.close()

    @property
    def key(self) -> LogKey:
        """The key that verifies this log's checkpoints; its name is the origin."""
        return self._log

    @property
    def size(self) -> int:
        """How many entries the newest signed checkpoint covers."""
        return self._state.checkpoint.size

    def holds(self, entry: bytes) -> bool:
        """Whether the newest signed checkpoint covers this entry."""
        return leaf_hash(entry) in self._state.index

    def close(self) -> None:
        """Let another process open the log."""
        self._store.close()

    def append(self, entries: Sequence[bytes]) -> list[int]:
        """The index of each entry, old or new, when all are durable, signed and published.

        An entry that the log already holds keeps its index: repeating an append whose answer
        was lost is always right. Witnesses are asked too, but not waited for beyond their
        time limit: see `waiting`. Raises TooLarge, ClockWentBack, StorageFailed, LogDamaged,
        LogRolledBack, RecordMoved.
        """
        ticket = Ticket(entries)
        self._queue.append(ticket)
        with self._lock:
            if not ticket.done:
                self._sequence_waiting()
        if ticket.error is not None:
            raise ticket.error
        self._ask_witnesses(lambda seat: not seat.rests)
        return ticket.indexes

    def tick(self) -> None:
        """Finish an interrupted commit, and ask again every witness that is waited for."""
        with self._lock:
            self._ensure_recovered()
        self._ask_witnesses(lambda _: True)

    def checkpoint(self) -> bytes:
        """The newest published note, with the cosignatures obtained so far."""
        with self._lock:
            self._ensure_recovered()
            return self._state.note.emit()

    def prove(self, index: int) -> bytes:
        """A `.tlog-proof` for the entry at `index`. Raises LogRefused.

        It is under the newest checkpoint that all the witnesses cosigned if that covers the
        entry, otherwise under the newest one with the cosignatures it has.
        """
        with self._lock:
            self._ensure_recovered()
            note = self._state.note
            if self._cosigned and index < Checkpoint.parse(self._cosigned.text).size:
                note = self._cosigned
            size = Checkpoint.parse(note.text).size
            hashes = tuple(self._state.tree.inclusion(index, size))
            return LogProof(index, hashes, note.emit()).emit()

    def waiting(self) -> tuple[Waiting, ...]:
        """The witnesses whose cosignature of the newest checkpoint is missing, and why."""
        return tuple(seat.waiting for seat in self._seats if seat.waiting)

    def fetch(self, path: str) -> bytes:
        """What the log serves at `path`. Raises LookupError."""
        if path != CHECKPOINT_PATH:
            try:
                Tile.parse(path)  # any other name could lead out of the served directory
            except Malformed as error:
                raise LookupError(path) from error
        data = self._store.read(f"{PUBLIC}/{path}")
        if data is None:
            raise LookupError(path)
        return data

    def _sequence_waiting(self) -> None:
        """Commit every append that waits, as one batch."""
        tickets = [self._queue.popleft() for _ in range(len(self._queue))]
        try:
            self._ensure_recovered()
            known = self._state.index
            fresh = dict.fromkeys(
                entry
                for ticket in tickets
                for entry, leaf in zip(ticket.entries, ticket.leaves, strict=True)
                if leaf not in known
            )
            for batch in batches(list(fresh)):
                self._commit(batch)
            for ticket in tickets:
                ticket.indexes = [self._state.index[leaf] for leaf in ticket.leaves]
                ticket.done = True
        except BaseException as error:  # noqa: BLE001 - each waiting append raises it itself
            for ticket in tickets:
                ticket.error = error
                ticket.done = True

    def _commit(self, entries: Sequence[bytes]) -> None:
        state = self._state
        now = int(self._clock.now().timestamp())
        if now < state.record.time:
            raise ClockWentBack(
                f"the clock is {state.record.time - now} s before the log's last checkpoint",
                remedy="set the clock right; if it was ahead then and is right now, accept it once "
                "(LogWriter.accept_clock); the entries were not logged, submit them again",
            )
        since = state.checkpoint.size
        # 1. Entries and, through them, tiles are durable before anything is signed.
        self._store.write(STAGED, StagedBatch(since, tuple(entries)).emit())
        # If we crash here: the lock record does not know the batch, recovery ignores it, the
        # submitter has no answer and repeats.
        self._failed = True
        checkpoint = state.extended(entries)
        note = checkpoint.signed(self._key)
        record = LockRecord(since, now, note.emit())
        # 2. The point of no return: from here on the batch is the log's only continuation.
        self._store.swap(LOCK, state.record.emit(), record.emit())
        # If we crash here: recovery finds the batch staged and finishes steps 3 to 5. The new
        # checkpoint has not left this process, so nobody can ask for tiles that are not there.
        apply(self._store, state, since, entries)
        # If we crash here: recovery writes the same tiles again.
        self._store.write(PUBLISHED, note.emit())
        # If we crash here: recovery drops the staged copy.
        self._store.remove(STAGED)
        self._state = state.committed(record, checkpoint, note)
        self._failed = False

    def restart_time(self) -> None:
        """Take the present second for the one of the last checkpoint: see `accept_clock`."""
        with self._lock:
            old = self._state.record
            new = LockRecord(old.since, int(self._clock.now().timestamp()), old.note)
            self._failed = True
            self._store.swap(LOCK, old.emit(), new.emit())
            self._state.record = new
            self._failed = False

    def _recovered(self) -> State:
        return recover(self._store, self._log, [seat.key for seat in self._seats])

    def _ensure_recovered(self) -> None:
        if self._failed:
            self._state = self._recovered()
            self._failed = False

    def _ask_witnesses(self, due: Callable[[Seat], bool]) -> None:
        if not self._seats:
            return
        with self._asking:
            with self._lock:
                self._ensure_recovered()
                note, size = self._state.note, self._state.checkpoint.size
            signers = {(line.name, line.key_id) for line in note.signatures}
            missing = [s for s in self._seats if (s.key.name, s.key.key_id) not in signers]
            for seat in missing:
                if due(seat):
                    added = seat.collect(note, size, lambda old: self._consistency(old, size))
                    note = note.with_signatures(added)
            with self._lock:
                self._ensure_recovered()
                self._publish_cosigned(note)

    def _consistency(self, old: int, new: int) -> list[bytes]:
        with self._lock:
            self._ensure_recovered()
            return self._state.tree.consistency(old, new)

    def _publish_cosigned(self, note: Note) -> None:
        complete = self._complete(note)
        if complete and note != self._cosigned:
            # If we crash around here: cosignatures are asked again, witnesses give them again.
            self._store.write(_COSIGNED, note.emit())
            self._cosigned = note
        if note.text == self._state.note.text and note != self._state.note:
            self._store.write(PUBLISHED, note.emit())
            self._state.note = note

    def _complete(self, note: Note) -> bool:
        signers = {(line.name, line.key_id) for line in note.signatures}
        return all((seat.key.name, seat.key.key_id) in signers for seat in self._seats)

    def _newest_cosigned(self) -> Note | None:
        """The newest note that all the present witnesses cosigned, if one is kept."""
        if not self._seats:
            return None
        if self._complete(self._state.note):
            return self._state.note
        data = self._store.read(_COSIGNED)
        if data is None:
            return None
        try:
            note = Note.parse(data)
            kept = Checkpoint.parse(note.text)
            if self._complete(note) and kept.root == self._state.tree.root(kept.size):
                return note
        except (Malformed, LogRefused):
            pass  # a convenience copy: without it proofs go under the newest checkpoint
        return None
