"""The status server's folder: the root it serves under, its registry, its last status."""

from __future__ import annotations

from pathlib import Path

from durable.files import make_directory, write_atomic
from governance.errors import StateRefused
from trust import dsse, root
from trust.documents.root import Duty
from trust.keys import PrivateKey
from trust.root import TrustedRoot

ROOT_FILE = "root.json"
STATUS_FILE = "status.json"


def adopt_root(folder: Path, raw: bytes) -> TrustedRoot:
    """Take the root that the operator hands in; later ones must succeed the one held.

    The first is pinned by the operator's own hand; a root of the same bytes is fine.
    Raises RootRefused or SignatureInvalid.
    """
    make_directory(folder, mode=0o700)
    held = folder / ROOT_FILE
    if not held.exists() or held.read_bytes() == raw:
        trusted = root.trust_pinned(raw, dsse.Envelope.parse(raw).digest)
    else:
        trusted = root.rotate(held_root(folder), raw)
    write_atomic(held, raw)
    return trusted


def held_root(folder: Path) -> TrustedRoot:
    """The root adopted before. Raises StateRefused when there is none."""
    held = folder / ROOT_FILE
    try:
        raw = held.read_bytes()
    except OSError as error:
        raise StateRefused(
            f"{folder} holds no territory root",
            remedy="give --root root.json once, or start `cadastre status serve` first",
        ) from error
    return root.trust_pinned(raw, dsse.Envelope.parse(raw).digest)


def require_status_key(trusted: TrustedRoot, key: PrivateKey) -> None:
    """Raise StateRefused unless `key` alone may sign statuses under this root."""
    holders = trusted.keys(Duty.STATUS)
    if key.public not in holders.keys or holders.threshold != 1:
        raise StateRefused(
            f"key {key.public.keyid} may not sign statuses alone under this territory root",
            remedy="give the key whose .pub the root names with --status-key",
        )
