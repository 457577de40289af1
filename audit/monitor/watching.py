"""One look at a log: what is new is verified against what is remembered. No network, no disk.

Whoever signs as this log is held to one tree. The source is not believed: entries are hashed,
tiles prove what they can prove, and what they cannot is an alarm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from audit.errors import DownloadFailed
from audit.monitor.alarms import Alarm, AlarmKind, Report
from audit.monitor.memory import Ahead, Memory, Seen, Split
from trust.clock import to_text
from trust.errors import LogRefused, TrustError
from trust.log.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from trust.log.cosignature import CosignerKey
from trust.log.frontier import Frontier
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.remote import RemoteTree
from trust.log.replay import Fetch, served
from trust.log.tiles import TILE_WIDTH, entry_bundles, parse_bundle
from trust.log.tree import leaf_hash, verify_consistency

MOST_ENTRIES = 5_000_000  # new ones in one look
MOST_AHEAD = 64
MOST_SPLITS = 16
STEP_BACK = 5  # seconds that a clock may be set back by without a word


@dataclass(frozen=True)
class Bounds:
    """When silence and clocks become alarms."""

    stale: timedelta = timedelta(hours=24)
    ahead: timedelta = timedelta(minutes=10)  # a cosignature may be so far in the future


@dataclass(frozen=True)
class Shown:
    """A head that somebody else was shown, as a signed note."""

    source: str
    note: bytes


@dataclass
class Look:
    """One look; `policies` are those of every trusted root, the newest first.

    `run` changes `memory` to what is now known, which the caller stores before it tells anybody.
    """

    memory: Memory
    policies: Sequence[Policy]
    fetch: Fetch  # of the log; raises LookupError for what is not served
    now: datetime
    bounds: Bounds = field(default_factory=Bounds)
    alarms: list[Alarm] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _timed: bool = False

    def run(self, note: bytes, others: Sequence[Shown] = ()) -> Report:
        """The log's own head, then everybody else's."""
        self.clock_of_this_machine()
        opened = self._opened(note, "the log's site", alarm=True)
        if opened is not None:
            self._follow(opened, note)
        for other in [*others, *self._were_ahead()]:
            head = self._opened(other.note, other.source, alarm=False)
            if head is not None:
                self._compare(head, other)
        self.silence()
        return self.report()

    def report(self) -> Report:
        """What was found so far, with every split view that was ever seen."""
        known = self.memory.head
        old = [
            Alarm(AlarmKind.SPLIT_VIEW, one.sentence, tuple(one.notes))
            for one in self.memory.splits
        ]
        return Report(
            log=known.origin if known else "",
            size=known.size if known else 0,
            root=known.root.hex() if known else "",
            checked_at=to_text(self.now),
            alarms=tuple(dict.fromkeys([*old, *self.alarms])),
            notes=tuple(self.notes),
        )

    def alarm(self, kind: AlarmKind, sentence: str, *evidence: str) -> None:
        """Add one."""
        self.alarms.append(Alarm(kind, sentence, evidence))

    def clock_of_this_machine(self) -> None:
        """Alarm when it went back since the last look; asked again it says nothing new."""
        if self._timed:
            return
        self._timed = True
        now, before = int(self.now.timestamp()), self.memory.checked_at
        if now < before - STEP_BACK:
            self.alarm(
                AlarmKind.CLOCK,
                f"this machine's clock went back by {before - now} s since the last look: set it "
                "right, silence is measured by it",
            )
        self.memory.checked_at = now

    def silence(self) -> None:
        """Alarm for each witness without a new cosignature for longer than the bound."""
        now, bound = int(self.now.timestamp()), int(self.bounds.stale.total_seconds())
        head = self.memory.head
        known = [CosignerKey.parse(text) for text in self.memory.witnesses]
        for key in _witnesses(self.policies[:1]) if self.policies else known:
            seen = self.memory.witnesses.setdefault(str(key), Seen(since=now))
            last = seen.time or seen.since
            if now - last <= bound:
                continue
            what = f"witness {key.name} has given no new cosignature since {_moment(last)}"
            if not seen.time:
                what = f"witness {key.name} has cosigned nothing since {_moment(last)}"
            elif head and seen.size >= head.size:
                what += ", though it cosigned the newest head: the log stands still or is withheld"
            self.alarm(AlarmKind.STALE_WITNESS, what)
        for ahead in self.memory.ahead:
            if now - ahead.since > bound:
                size, have = _head(ahead.note).size, head.size if head else 0
                self.alarm(
                    AlarmKind.MISSING_RANGE,
                    f"{ahead.source} was shown a head of {size} entries on "
                    f"{_moment(ahead.since)}; the log's site still shows {have}",
                    ahead.note,
                )

    def _opened(self, note: bytes, source: str, *, alarm: bool) -> SignedCheckpoint | None:
        logs = list(_logs(self.policies))
        try:
            opened = open_checkpoint(note, logs, list(_witnesses(self.policies)))
            known = self.memory.head
            if known is not None and opened.checkpoint.origin != known.origin:
                raise LogRefused(f"it is of another log, {opened.checkpoint.origin[:80]!r}")
        except TrustError as error:
            said = f"the checkpoint of {source} is not one of this log: {error.sentence}"
            if alarm:
                self.alarm(AlarmKind.FORGED_HEAD, said, note[:4096].decode("utf-8", "replace"))
            else:
                self.notes.append(said)
            return None
        self._witnessed(opened)
        return opened

    def _witnessed(self, opened: SignedCheckpoint) -> None:
        now, size = int(self.now.timestamp()), opened.checkpoint.size
        for key, time in opened.cosigned.items():
            seen = self.memory.witnesses.setdefault(str(key), Seen(since=now))
            if time > now + int(self.bounds.ahead.total_seconds()):
                self.alarm(
                    AlarmKind.CLOCK,
                    f"witness {key.name} cosigned in the future, at {_moment(time)}: its clock or "
                    "this machine's is wrong",
                )
                time = now  # noqa: PLW2901 - a clock that is ahead buys no later silence
            if size > seen.size and time < seen.time - STEP_BACK:
                self.alarm(
                    AlarmKind.CLOCK,
                    f"the clock of witness {key.name} went back: it cosigned {seen.size} entries "
                    f"at {_moment(seen.time)} and {size} entries at {_moment(time)}",
                )
            seen.size, seen.time = max(size, seen.size), max(time, seen.time)

    def _follow(self, opened: SignedCheckpoint, note: bytes) -> None:
        head, known = opened.checkpoint, self.memory.head
        if known is None or head.size > known.size:
            self._grow(head, note)
        elif head.size < known.size:
            self._went_back(head, known, note)
        elif head.root != known.root:
            self._split(head, note.decode(), known, self.memory.note)
        elif len(note) > len(self.memory.note):
            self.memory.note = note.decode()  # the same head with further cosignatures

    def _grow(self, head: Checkpoint, note: bytes) -> None:
        edge = self.memory.edge
        old = edge.size
        if head.size - old > MOST_ENTRIES:
            raise DownloadFailed(
                f"the log has {head.size - old} new entries, one look takes {MOST_ENTRIES}",
                remedy="begin with a state that another monitor of yours has kept",
            )
        try:
            for leaf in self._leaves(old, head.size):
                edge.append(leaf)
        except TrustError as error:
            self._unfollowed(head, note, f"cannot be fetched: {error.sentence}")
            return
        if edge.root() != head.root:
            self._unfollowed(head, note, "are not those that were signed")
            return
        self._remember(note, edge)

    def _leaves(self, old: int, new: int) -> Iterator[bytes]:
        """The hashes of entries `old` to `new` - 1, of their own bytes."""
        for bundle in entry_bundles(new, old):
            given, data = served(self.fetch, bundle)
            start = bundle.index * TILE_WIDTH
            entries = parse_bundle(data, given.width)[: bundle.width]
            yield from map(leaf_hash, entries[max(old - start, 0) :])

    def _remember(self, note: bytes, edge: Frontier) -> None:
        self.memory.note = note.decode()
        self.memory.frontier = [one.hex() for one in edge.hashes]

    def _unfollowed(self, head: Checkpoint, note: bytes, why: str) -> None:
        """New entries did not lead to the new head: withheld, altered, or of another log."""
        known = self.memory.head
        if known is not None and self._other_past(known, head):
            self._split(head, note.decode(), known, self.memory.note)
            return
        since = known.size if known else 0
        self.alarm(
            AlarmKind.MISSING_RANGE,
            f"entries {since} to {head.size - 1} {why}; this monitor stays at {since} entries",
            note.decode(),
        )

    def _other_past(self, old: Checkpoint, new: Checkpoint) -> bool:
        """Whether the tiles prove that `new` has another beginning than `old`."""
        if old.size == 0:
            return False
        try:
            tree = RemoteTree(self.fetch, new.size)
            root = tree.root(old.size)
            proof = tree.consistency(old.size, new.size)
            verify_consistency(old.size, root, new.size, new.root, proof)
        except TrustError:
            return False  # they prove nothing
        return root != old.root

    def _went_back(self, head: Checkpoint, known: Checkpoint, note: bytes) -> None:
        if self._other_past(head, known):
            self._split(head, note.decode(), known, self.memory.note)
            return
        self.alarm(
            AlarmKind.MISSING_RANGE,
            f"the log's site shows a head of {head.size} entries, after one of {known.size}: "
            f"entries {head.size} to {known.size - 1} are withheld",
            note.decode(),
            self.memory.note,
        )

    def _compare(self, opened: SignedCheckpoint, other: Shown) -> None:
        """A head that somebody else was shown, against the one that this monitor follows."""
        head, known = opened.checkpoint, self.memory.head
        note = other.note.decode()
        if known is None or head.size > known.size:
            self._keep_ahead(note, other.source)
            return
        if head.size == known.size:
            if head.root != known.root:
                self._split(head, note, known, self.memory.note)
            return
        if self._other_past(head, known):
            self._split(head, note, known, self.memory.note)
            return
        try:
            proof = RemoteTree(self.fetch, known.size).consistency(head.size, known.size)
            verify_consistency(head.size, head.root, known.size, known.root, proof)
        except TrustError as error:
            self.alarm(
                AlarmKind.MISSING_RANGE,
                f"the log's tiles do not show that {other.source}'s head of {head.size} entries "
                f"is its own beginning: {error.sentence}",
                note,
            )

    def _keep_ahead(self, note: str, source: str) -> None:
        if all(one.note != note for one in self.memory.ahead):
            now = int(self.now.timestamp())
            self.memory.ahead = [*self.memory.ahead, Ahead(note, source, now)][-MOST_AHEAD:]
        size = _head(note).size
        self.notes.append(f"{source} was shown {size} entries already: compared at a later look")

    def _were_ahead(self) -> list[Shown]:
        known = self.memory.head
        size = known.size if known else 0
        due = [one for one in self.memory.ahead if _head(one.note).size <= size]
        self.memory.ahead = [one for one in self.memory.ahead if one not in due]
        return [Shown(one.source, one.note.encode()) for one in due]

    def _split(self, one: Checkpoint, note: str, other: Checkpoint, kept: str) -> None:
        what = f"two heads of {one.size} entries with different roots"
        if one.size != other.size:
            what = f"a head of {max(one.size, other.size)} entries does not continue one of "
            what += f"{min(one.size, other.size)}"
        sentence = f"{one.origin} shows two faces: {what}; the log signed both, which are kept"
        known = {frozenset(split.notes) for split in self.memory.splits}
        if frozenset((note, kept)) not in known and len(self.memory.splits) < MOST_SPLITS:
            self.memory.splits.append(Split(sentence, [note, kept]))


def origin_name(origin: str) -> str:
    """Under which name a witness serves a log's newest head (c2sp.org/tlog-witness)."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _logs(policies: Sequence[Policy]) -> Iterator[LogKey]:
    yield from dict.fromkeys(log.key for policy in policies for log in policy.logs)


def _witnesses(policies: Sequence[Policy]) -> Iterator[CosignerKey]:
    yield from dict.fromkeys(
        witness.key for policy in policies for witness in policy.witnesses.values()
    )


def _head(note: str) -> Checkpoint:
    memory = Memory("", note)
    head = memory.head
    assert head is not None
    return head


def _moment(seconds: int) -> str:
    try:
        return to_text(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"
