"""Putting a backup back: into an empty folder, and only where the log goes on from there.

A log that was restored from an old copy would grow a second history: rounds opened and released
twice, entries that people hold proofs of gone. So the witnesses are asked what they have cosigned.
Where they know no more than the backup does, nothing that matters was signed since, and the
scheduler goes on. Where they know more, the territory is founded anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from durable.files import make_directory, sync_directory, write_atomic
from scheduler.backup import sealing
from scheduler.backup.archive import PRIVATE, SEALED_KEYS, Manifest, unpack
from scheduler.database import open_database
from scheduler.errors import BackupOutlived, BackupRefused
from scheduler.log.cosigners import Cosigner, cosigners_of
from scheduler.log.errors import CosignerConflict, CosignerError
from scheduler.log.recovery import recover
from scheduler.log.storage import DirectoryStore
from scheduler.meters import Meters
from scheduler.service import outbox
from scheduler.state import State
from trust.clock import Clock
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.tree import leaf_hash


@dataclass(frozen=True)
class Restored:
    """What was put back. `witnesses` are those that know no more than the backup."""

    manifest: Manifest
    witnesses: tuple[str, ...]
    with_keys: bool


def restore(
    path: Path,
    folder: Path,
    clock: Clock,
    *,
    passphrase: bytes | None = None,
    ask: Callable[[Policy], Sequence[Cosigner]] = cosigners_of,
) -> Restored:
    """Make `folder` of the backup in `path`; nothing stays of it when anything is not in order.

    Raises BackupRefused, BackupOutlived, and what reading database, roots and log raises.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BackupRefused(
            f"{folder} is not empty", remedy="move what lies there away: it may be the newer one"
        )
    partial = folder.with_name(f".{folder.name}.restoring")
    if partial.exists():
        shutil.rmtree(partial)  # of a restore that broke off
    make_directory(partial, 0o700)
    try:
        manifest = unpack(path, partial)
        with_keys = _keys(partial, passphrase)
        asked = _verify(State(partial), manifest, clock, ask)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
        sync_directory(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Restored(manifest, asked, with_keys)


def _keys(folder: Path, passphrase: bytes | None) -> bool:
    """Put sealed keys where they belong. Raises BackupRefused."""
    sealed = folder / SEALED_KEYS
    if not sealed.exists():
        if passphrase is not None:
            raise BackupRefused(
                "this backup holds no keys",
                remedy="leave the passphrase out, and put the folder `keys` back from where it is",
            )
        return False
    if passphrase is not None:
        make_directory(folder / "keys", 0o700)
        for name, key in sealing.unseal(sealed.read_bytes(), passphrase).items():
            write_atomic(folder / "keys" / name, key, mode=PRIVATE)
    sealed.unlink()
    return passphrase is not None


def _verify(
    state: State, manifest: Manifest, clock: Clock, ask: Callable[[Policy], Sequence[Cosigner]]
) -> tuple[str, ...]:
    """Everything that a start would find, and what only the witnesses know; who they were."""
    trusted = state.trusted_root()
    policy = Policy.parse(trusted.document.log_policy.encode())
    key = next((log.key for log in policy.logs if log.key.name == state.origin), None)
    if key is None or state.configuration().territory != manifest.territory:
        raise BackupRefused("the root in the backup does not list its log")
    log = _Stored(state, key, [witness.key for witness in policy.witnesses.values()])
    if (log.size, log.root) != (manifest.log_size, manifest.log_root):
        raise BackupRefused("the log is not the one that the manifest names")
    # What an older release backed up is brought to today's tables: nobody else has it open.
    store = open_database(state, clock, Meters(), upgrade=True)
    try:
        outbox.require_one_moment(store, log)
    finally:
        store.close()
    if not log.size:
        return ()
    return _agreed(ask(policy), log.size, log.note)


def _agreed(witnesses: Sequence[Cosigner], size: int, note: bytes) -> tuple[str, ...]:
    """Names of the witnesses, all of which know `size` entries or fewer.

    Raises BackupOutlived for one that knows more, BackupRefused for one that does not answer: it
    may be the one that does.
    """
    for witness in witnesses:
        try:
            witness.cosign(size, (), note)
        except CosignerConflict as error:
            if error.size > size:
                raise BackupOutlived(
                    f"{witness.key.name} has cosigned {error.size} entries, the backup has {size}: "
                    f"{error.size - size} were logged after it was taken",
                ) from error
        except CosignerError as error:
            raise BackupRefused(
                f"what was logged since is not known: {error.sentence}",
                remedy="bring that witness up, then try again: nothing was restored",
            ) from error
    return tuple(witness.key.name for witness in witnesses)


class _Stored:
    """The log as it lies there, recovered as a start would; it signs nothing."""

    def __init__(self, state: State, key: LogKey, witnesses: Sequence[CosignerKey]) -> None:
        store = DirectoryStore(state.log)
        try:
            found = recover(store, key, witnesses)
        finally:
            store.close()
        self.size, self.root = found.checkpoint.size, found.checkpoint.root.hex()
        self.note = found.record.note
        self._index = found.index

    def holds(self, entry: bytes) -> bool:
        """Whether the log has this entry."""
        return leaf_hash(entry) in self._index
