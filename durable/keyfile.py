"""Private keys on disk: one line of text, readable by their owner only.

`cadastre-key-v1 ed25519 <base64 seed>`; the public half is written beside it as `<name>.pub`.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from durable.errors import KeyFileRefused
from durable.files import write_atomic
from trust.keys import PrivateKey

_MAGIC = "cadastre-key-v1 ed25519 "


def write_key(path: Path, key: PrivateKey) -> None:
    """Write `key` to `path` (0600) and its public half to `<path>.pub`. Never overwrites."""
    if path.exists():
        raise KeyFileRefused(
            f"{path} exists already", remedy="choose another name: keys are never overwritten"
        )
    text = _MAGIC + base64.b64encode(key.seed).decode() + "\n"
    write_atomic(path, text.encode(), mode=0o600)
    write_atomic(path.with_name(path.name + ".pub"), f"{key.public}\n".encode())


def read_key(path: Path) -> PrivateKey:
    """The key in `path`. Raises KeyFileRefused, also when others may read the file."""
    try:
        status = path.stat()
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileRefused(f"could not read the key file {path}") from error
    if status.st_mode & 0o077:
        raise KeyFileRefused(
            f"{path} can be read by other users",
            remedy=f"chmod 600 {path}, and consider the key seen",
        )
    if not text.startswith(_MAGIC):
        raise KeyFileRefused(f"{path} is not a Cadastre private key")
    try:
        seed = base64.b64decode(text.removeprefix(_MAGIC).strip(), validate=True)
    except binascii.Error as error:
        raise KeyFileRefused(f"{path} is damaged: its body is not base64") from error
    if len(seed) != 32:
        raise KeyFileRefused(f"{path} is damaged: a seed has 32 bytes")
    return PrivateKey(seed)
