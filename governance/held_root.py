"""The territory root in a server's folder: pinned by the operator's hand, then only succeeded."""

from __future__ import annotations

from pathlib import Path

from durable.files import make_directory, write_atomic
from governance.errors import RootMissing
from trust import dsse, root
from trust.root import TrustedRoot

FILE_NAME = "root.json"


def judge(folder: Path, raw: bytes) -> TrustedRoot:
    """The root that the operator hands in, if this folder may take it; nothing is written.

    The first is pinned by the operator's own hand; later ones must succeed the one held, or be
    the same bytes. Raises RootRefused or SignatureInvalid.
    """
    path = folder / FILE_NAME
    if not path.exists() or path.read_bytes() == raw:
        return root.trust_pinned(raw, dsse.Envelope.parse(raw).digest)
    return root.rotate(held(folder), raw)


def keep(folder: Path, raw: bytes) -> None:
    """Serve under `raw` from now on: once everything else about it was found right."""
    make_directory(folder, mode=0o700)
    write_atomic(folder / FILE_NAME, raw)


def held(folder: Path) -> TrustedRoot:
    """The root kept before. Raises RootMissing when there is none."""
    try:
        raw = (folder / FILE_NAME).read_bytes()
    except OSError as error:
        raise RootMissing(
            f"{folder} holds no territory root",
            remedy="give --root root.json: the server keeps it from its first start on",
        ) from error
    return root.trust_pinned(raw, dsse.Envelope.parse(raw).digest)
