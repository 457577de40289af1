"""Private keys on disk: one line of text, readable by their owner only.

`cadastre-key-v1 ed25519 <base64 seed>`; the public half is written beside it as `<name>.pub`.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from durable.errors import KeyFileRefused
from durable.files import write_new
from trust.keys import PrivateKey

_MAGIC = "cadastre-key-v1 ed25519 "
_LONGEST = 256  # bytes; a key file has 69


def write_key(path: Path, key: PrivateKey) -> None:
    """Write `key` to `path` (0600) and its public half to `<path>.pub`. Never overwrites."""
    text = _MAGIC + base64.b64encode(key.seed).decode() + "\n"
    public = path.with_name(path.name + ".pub")
    # `<name>.pub` may be a key that somebody else sent: it is not ours to replace either.
    _require_free(public)
    _require_free(path)
    try:
        write_new(path, text.encode(), mode=0o600)
        # If we crash here: the key is there without its public half, which it can give again.
        write_new(public, f"{key.public}\n".encode())
    except FileExistsError as error:
        raise _taken(Path(error.filename2 or path)) from error


def read_key(path: Path) -> PrivateKey:
    """The key in `path`. Raises KeyFileRefused, also when others may read the file."""
    try:
        # One descriptor for both questions: a name may point elsewhere a moment later.
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            text = stream.read(_LONGEST + 1).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileRefused(
            f"could not read the key file {path}",
            remedy="check the path, and that this user may read the file",
        ) from error
    if status.st_mode & 0o077:
        raise KeyFileRefused(
            f"{path} can be read by other users",
            remedy=f"chmod 600 {path}, and consider the key seen",
        )
    if len(text) > _LONGEST:
        raise KeyFileRefused(f"{path} is damaged: a key file has at most {_LONGEST} bytes")
    if not text.startswith(_MAGIC):
        raise KeyFileRefused(
            f"{path} is not a Cadastre private key",
            remedy="give the file that `cadastre college key` wrote, without .pub",
        )
    try:
        seed = base64.b64decode(text.removeprefix(_MAGIC).strip(), validate=True)
    except binascii.Error as error:
        raise KeyFileRefused(f"{path} is damaged: its body is not base64") from error
    if len(seed) != 32:
        raise KeyFileRefused(f"{path} is damaged: a seed has 32 bytes")
    return PrivateKey(seed)


def _require_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise _taken(path)


def _taken(path: Path) -> KeyFileRefused:
    return KeyFileRefused(
        f"{path} exists already", remedy="choose another name: keys are never overwritten"
    )
