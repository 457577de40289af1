"""`cadastre scheduler` about copies: backup, restore, and databases of older releases."""

from __future__ import annotations

import argparse
from pathlib import Path

from scheduler.cli import state_option
from terminal.arguments import Verbs, leaf


def add_copies(verbs: Verbs) -> None:
    """Backups, and databases of other versions."""
    backup = leaf(
        verbs,
        "backup",
        _backup,
        summary="write the state into one file, also while the scheduler runs",
        example="cadastre scheduler backup --state S --out /backup/2026-11-30.tar",
    )
    state_option(backup)
    backup.add_argument("--out", type=Path, required=True, help="a file that does not exist")
    backup.add_argument(
        "--keys-passphrase",
        type=Path,
        metavar="FILE",
        help="also the private keys, sealed under the passphrase in FILE; without it, no key",
    )

    upgrade = leaf(
        verbs,
        "upgrade",
        _upgrade,
        summary="bring the database of an older release to this one's tables, scheduler stopped",
        example="cadastre scheduler upgrade --state S --backup /backup/before.tar",
    )
    state_option(upgrade)
    upgrade.add_argument(
        "--backup", type=Path, required=True, help="written first: the way back to the old release"
    )

    restore = leaf(
        verbs,
        "restore",
        _restore,
        summary="put a backup into an empty folder, if the log did not go on since",
        example="cadastre scheduler restore /backup/2026-11-30.tar --state S",
    )
    restore.add_argument("backup", type=Path, help="what `scheduler backup` wrote")
    state_option(restore)
    restore.add_argument(
        "--keys-passphrase", type=Path, metavar="FILE", help="opens the keys in it"
    )


def _backup(arguments: argparse.Namespace) -> int:
    from scheduler.backup.sealing import passphrase_in
    from scheduler.backup.taking import take
    from scheduler.state import State
    from terminal.output import Output
    from trust.clock import SystemClock
    from trust.entropy import SYSTEM

    phrase = arguments.keys_passphrase and passphrase_in(arguments.keys_passphrase)
    manifest = take(State(arguments.state), arguments.out, SystemClock(), SYSTEM, passphrase=phrase)
    Output(as_json=arguments.json).record(
        {
            "backup": str(arguments.out),
            "territory": manifest.territory,
            "log entries": manifest.log_size,
            "files": len(manifest.files),
            "bytes": sum(size for size, _ in manifest.files.values()),
            "keys": "sealed" if phrase else "not in it: keep a copy of the folder `keys` apart",
        }
    )
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from scheduler.backup.restoring import restore
    from scheduler.backup.sealing import passphrase_in
    from terminal.output import Output
    from trust.clock import SystemClock, to_text

    phrase = arguments.keys_passphrase and passphrase_in(arguments.keys_passphrase)
    done = restore(arguments.backup, arguments.state, SystemClock(), passphrase=phrase)
    keys = "" if done.with_keys else "put the folder `keys` back, then "
    Output(as_json=arguments.json).record(
        {
            "state": str(arguments.state),
            "territory": done.manifest.territory,
            "taken": to_text(done.manifest.taken_at),
            "log entries": done.manifest.log_size,
            "witnesses agree": " ".join(done.witnesses) or "none are asked",
            "next": f"{keys}cadastre scheduler serve --state {arguments.state}",
        }
    )
    return 0


def _upgrade(arguments: argparse.Namespace) -> int:
    from scheduler.state import State
    from scheduler.upgrading import upgrade
    from terminal.output import Output
    from trust.clock import SystemClock
    from trust.entropy import SYSTEM

    done = upgrade(State(arguments.state), arguments.backup, SystemClock(), SYSTEM)
    Output(as_json=arguments.json).record(
        {
            "from": done.old,
            "to": done.new,
            "backup": str(arguments.backup) if done.changed else "not taken: nothing to do",
            "next": f"cadastre scheduler serve --state {arguments.state}",
        }
    )
    return 0
