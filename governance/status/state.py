"""The status server's folder: its last status, and that one server alone publishes from it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from durable.errors import StorageFailed
from durable.files import make_directory
from governance.errors import StateRefused
from trust import dsse, schema
from trust.documents.governance import Status
from trust.documents.root import Duty
from trust.errors import Malformed
from trust.keys import PrivateKey
from trust.root import TrustedRoot

STATUS_FILE = "status.json"
_LOCK_FILE = "serving.lock"


def require_status_key(trusted: TrustedRoot, key: PrivateKey) -> None:
    """Raise StateRefused unless `key` alone may sign statuses under this root."""
    holders = trusted.keys(Duty.STATUS)
    if key.public not in holders.keys or holders.threshold != 1:
        raise StateRefused(
            f"key {key.public.keyid} may not sign statuses alone under this territory root",
            remedy="give the key whose .pub the root names with --status-key",
        )


def last_status(folder: Path, trusted: TrustedRoot) -> Status:
    """The status last published from here. Raises StateRefused or SignatureInvalid."""
    raw = _last_bytes(folder)
    if raw is None:
        raise StateRefused(
            f"{folder} has published nothing yet", remedy="start `cadastre status serve`"
        )
    return trusted.verify(Status, raw, Duty.STATUS).document


def last_number(folder: Path) -> int:
    """The number of the status last published from here, 0 before the first.

    Its signature is not asked for: after a rotation it may be of the key before, and the number
    only guards this folder against its own older copies. Raises StateRefused.
    """
    raw = _last_bytes(folder)
    if raw is None:
        return 0
    try:
        return schema.decode(Status, dsse.Envelope.parse(raw).payload).number
    except Malformed as error:
        raise StateRefused(
            f"{folder / STATUS_FILE} is damaged: {error.sentence}",
            remedy="restore the newest copy of the whole folder",
        ) from error


def _last_bytes(folder: Path) -> bytes | None:
    path = folder / STATUS_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageFailed(f"could not read {path}: {error.strerror}") from error


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """Hold the folder as its one server. Raises StateRefused.

    Of two servers each would make the other's status a replay. The command line needs no lock:
    it only adds suspensions.
    """
    make_directory(folder, mode=0o700)
    try:
        descriptor = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFailed.writing(folder / _LOCK_FILE, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateRefused(
                f"another status server publishes from {folder}", remedy="stop it first"
            ) from error
        yield
    finally:
        os.close(descriptor)
