"""How fast an audit replays: a log of signed documents made in memory, and the clock on it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from audit.checks.layout import CHECKPOINT, LOG_POLICY
from audit.errors import AuditFailure
from audit.evidence import Evidence
from audit.replay import audit
from trust.documents import signed
from trust.documents.membership import Enrolled
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import Entropy
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.entry import Kind, LogEntry
from trust.log.note import LogKey
from trust.log.tiles import emit_bundle, emit_tile, entry_bundles, hash_tiles
from trust.log.tree import Tree, leaf_hash

_TERRITORY = "speed.example"
_LOG = f"log.{_TERRITORY}"
_WITNESS = "witness.example"


class MemoryEvidence:
    """Evidence held as {path: bytes}."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def files(self) -> frozenset[str]:
        return frozenset(self._files)

    def read(self, path: str) -> bytes:
        return self._files[path]


def synthetic(entries: int, entropy: Entropy, now: datetime) -> MemoryEvidence:
    """A territory whose log holds a root and `entries` - 1 enrolments, each really signed."""
    orders, log, witness = (PrivateKey.generate(entropy) for _ in range(3))
    root = _root(entropy, now, orders, log, witness)
    lines = [LogEntry(Kind.ROOT, root.digest).emit()]
    files = {"policy/root-1.json": root.envelope.raw, LOG_POLICY: root.document.log_policy.encode()}
    for _ in range(entries - 1):
        key = PrivateKey.generate(entropy).public
        document = Enrolled(_TERRITORY, key.worker_id, key, "operator", "site", now)
        envelope = signed.sign(document, [orders])
        name = envelope.digest.removeprefix("sha256:")
        files[f"objects/sha256/{name[:2]}/{name}"] = envelope.envelope.raw
        lines.append(LogEntry(Kind.ENROLMENT, envelope.digest).emit())
    tree = Tree(leaf_hash(line) for line in lines)
    note = Checkpoint(_LOG, tree.size, tree.root()).signed(log)
    cosigned = cosign(note.text, _WITNESS, witness, int(now.timestamp()))
    files[CHECKPOINT] = note.with_signatures([cosigned]).emit()
    for tile in hash_tiles(tree.size):
        files[f"log/{tile.path}"] = emit_tile(tree, tile)
    for tile in entry_bundles(tree.size):
        start = tile.index * 256
        files[f"log/{tile.path}"] = emit_bundle(lines[start : start + tile.width])
    return MemoryEvidence(files)


def entries_per_second(evidence: Evidence) -> float:
    """Log entries fully audited per second. Raises AuditFailure when the audit fails."""
    started = time.perf_counter()
    verdict = audit(evidence)
    seconds = time.perf_counter() - started
    if not verdict.ok:
        raise AuditFailure(
            f"the audit failed at {', '.join(verdict.journal.failed)}",
            remedy="run `cadastre audit verify` on that evidence: only what holds can be timed",
        )
    return verdict.entries / seconds


def _root(
    entropy: Entropy, now: datetime, orders: PrivateKey, log: PrivateKey, witness: PrivateKey
) -> signed.Signed[Root]:
    keys = [PrivateKey.generate(entropy) for _ in range(3)]
    policy = (
        f"log {LogKey(_LOG, log.public)}\n"
        f"witness w {CosignerKey(_WITNESS, witness.public)}\n"
        "quorum w\n"
    )
    duties = {
        duty: DutyKeys((key.public,), 1)
        for duty, key in zip(
            (Duty.ROOT, Duty.COLLEGE, Duty.STATUS, Duty.ORDERS), [*keys, orders], strict=True
        )
    }
    root = Root(
        territory=_TERRITORY,
        version=1,
        issued_at=now,
        expires_at=now + timedelta(days=1),
        duties=duties,
        authority=b"",
        log_policy=policy,
        status_url="",
    )
    return signed.sign(root, [keys[0]])
