"""The log: a cosigned checkpoint, and every tile exactly what its entries make of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from audit.checks.layout import CHECKPOINT
from audit.errors import AuditFailure
from audit.evidence import Evidence
from audit.policy import AuditPolicy
from trust import clock
from trust.log.checkpoint import VerifiedCheckpoint, open_checkpoint
from trust.log.cosignature import CosignerKey
from trust.log.entry import Kind, LogEntry
from trust.log.note import Note
from trust.log.policy import Policy
from trust.log.replay import ReplayedLog, check_log
from trust.log.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Tile,
    emit_bundle,
    emit_tile,
    entry_bundles,
    hash_tiles,
)

# Hashing this many leaves takes a second or two; a log of more is replayed by a larger machine.
MAXIMUM_ENTRIES = 5_000_000


def checkpoint(
    evidence: Evidence, policy: Policy, auditor: AuditPolicy | None
) -> tuple[VerifiedCheckpoint, str]:
    """The checkpoint: signed by the log, cosigned by the quorum, without foreign signatures."""
    raw = evidence.read(CHECKPOINT)
    verified = policy.verify(raw)
    _require_known(raw, [policy], "the checkpoint")
    for witness in () if auditor is None else auditor.witnesses:
        if witness not in verified.cosigned:
            raise AuditFailure(
                f"the pinned witness {witness.name} has not cosigned",
                remedy="ask the witness's keeper; until it cosigned, trust no release",
            )
    if auditor is not None and auditor.log is not None and verified.log != auditor.log:
        raise AuditFailure(
            f"another log than the pinned {auditor.log.name} signed",
            remedy="compare the policy's log line with the key that the log's operator published",
        )
    size = verified.checkpoint.size
    if size > MAXIMUM_ENTRIES:
        raise AuditFailure(
            f"the log has {size} entries, this program replays {MAXIMUM_ENTRIES}",
            remedy="audit with a release of Cadastre that replays longer logs",
        )
    cosigned = ", ".join(sorted(_dated(key, at) for key, at in verified.cosigned.items()))
    return verified, f"{size} entries of {verified.checkpoint.origin}, cosigned by {cosigned}"


def tiles(
    evidence: Evidence, policy: Policy, present: Collection[str], head: VerifiedCheckpoint
) -> tuple[ReplayedLog, str]:
    """The whole tree rebuilt from its entries; no tile missing, altered or beyond the end."""
    replayed = check_log(lambda path: evidence.read(f"log/{path}"), policy)
    # The pins were asked of `head`; whoever writes the folder may exchange it meanwhile.
    if replayed.checkpoint.note != head.note:
        raise AuditFailure(
            "the checkpoint changed while it was read",
            remedy="let nothing write into the folder, then audit again",
        )
    size = replayed.checkpoint.checkpoint.size
    for tile in (*entry_bundles(size), *hash_tiles(size)):
        if tile.path not in present:
            raise AuditFailure(f"{tile.path} is missing")
    for path in present:
        # Partial tiles of earlier sizes may have been kept: they are prefixes of today's.
        if evidence.read(f"log/{path}") != _expected(replayed, Tile.parse(path)):
            raise AuditFailure(f"{path} does not hold what the log's entries make of it")
    return replayed, f"{len(present)} tiles lead to the signed root"


def history(
    evidence: Evidence, policies: Sequence[Policy], paths: Sequence[str], replayed: ReplayedLog
) -> str:
    """Earlier checkpoints: each signed by the log, each a prefix of what it shows now.

    `policies` are those of every root: a log or a witness may have changed its key since.
    """
    sizes = []
    keys = list({log.key for policy in policies for log in policy.logs})
    cosigners = list({w.key for policy in policies for w in policy.witnesses.values()})
    for path in paths:
        raw = evidence.read(path)
        old = open_checkpoint(raw, keys, cosigners).checkpoint
        _require_known(raw, policies, path)
        if old.origin != replayed.checkpoint.checkpoint.origin:
            raise AuditFailure(f"{path} is of another log, {old.origin}")
        if old.size > replayed.tree.size or replayed.tree.root(old.size) != old.root:
            raise AuditFailure(f"the log does not continue {path} of {old.size} entries")
        sizes.append(old.size)
    shown = ", ".join(map(str, sorted(sizes)[-5:]))
    return f"{len(sizes)} earlier checkpoints are prefixes ({shown})" if sizes else "none kept"


def entries(replayed: ReplayedLog) -> tuple[tuple[LogEntry, ...], str]:
    """Every entry in our form, none twice, the territory root first."""
    parsed = tuple(LogEntry.parse(entry) for entry in replayed.entries)
    if not parsed or parsed[0].kind is not Kind.ROOT:
        raise AuditFailure("the log does not begin with a territory root")
    if len(set(parsed)) != len(parsed):
        raise AuditFailure("an entry is in the log twice")
    kinds = {kind: sum(entry.kind is kind for entry in parsed) for kind in Kind}
    return parsed, ", ".join(f"{count} {kind.value}" for kind, count in kinds.items() if count)


def _require_known(raw: bytes, policies: Iterable[Policy], what: str) -> None:
    """Raise AuditFailure for a signature that no key of a policy made, or a repeated one.

    A verifier must skip unknown signatures; in evidence they would be bytes that nobody checks.
    """
    known = set()
    for policy in policies:
        known |= {(log.key.name, log.key.key_id) for log in policy.logs}
        known |= {(witness.key.name, witness.key.key_id) for witness in policy.witnesses.values()}
    lines = [(line.name, line.key_id) for line in Note.parse(raw).signatures]
    if not known.issuperset(lines) or len(set(lines)) != len(lines):
        raise AuditFailure(f"{what} bears a signature of an unknown key, or two of one key")


def _dated(key: CosignerKey, seconds: int) -> str:
    try:
        return f"{key.name} at {clock.to_text(datetime.fromtimestamp(seconds, UTC))}"
    except (ValueError, OverflowError, OSError):
        # Nothing rests on a witness's time: an impossible one is shown, and stops no audit.
        return f"{key.name} at second {seconds}"


def _expected(replayed: ReplayedLog, tile: Tile) -> bytes:
    size = (
        replayed.tree.size
        if tile.level is None
        else (replayed.tree.size >> (TILE_HEIGHT * tile.level))
    )
    start = tile.index * TILE_WIDTH
    if start + tile.width > size:
        raise AuditFailure(f"{tile.path} reaches beyond the {replayed.tree.size} signed entries")
    if tile.level is None:
        return emit_bundle(replayed.entries[start : start + tile.width])
    return emit_tile(replayed.tree, tile)
