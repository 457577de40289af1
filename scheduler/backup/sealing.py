"""The scheduler's private keys under a passphrase: scrypt, then AES-256-GCM over all of them.

Without the passphrase a backup holds no key. With it, whoever has both can sign as this scheduler:
the file of the passphrase lies elsewhere, or the backup is as dear as the keys.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from scheduler.errors import BackupRefused
from trust.entropy import Entropy

_MAGIC = b"cadastre-sealed-keys-v1\n"
_SALT, _NONCE = 16, 12
_COST, _BLOCK, _LANES = 2**16, 8, 1  # 64 MiB for a moment
LEAST_CHARACTERS = 16
NAMES = ("authority.pem", "log", "log.pub", "orders", "orders.pub")


def key_files(folder: Path) -> list[Path]:
    """The files of keys in a state directory."""
    return [path for name in NAMES if (path := folder / "keys" / name).exists()]


def passphrase_in(path: Path) -> bytes:
    """The passphrase in a file, without the line's end. Raises BackupRefused."""
    try:
        found = path.read_bytes().strip()
    except OSError as error:
        raise BackupRefused(
            f"the passphrase in {path} cannot be read: {error.strerror}",
            remedy="name a file that this user may read",
        ) from error
    if len(found) < LEAST_CHARACTERS:
        raise BackupRefused(
            f"a passphrase has {LEAST_CHARACTERS} characters or more",
            remedy="draw one: `openssl rand -base64 24`",
        )
    return found


def seal(keys: Mapping[str, bytes], passphrase: bytes, entropy: Entropy) -> bytes:
    """All of `keys`, by name."""
    salt, nonce = entropy(_SALT), entropy(_NONCE)
    plain = json.dumps({name: base64.b64encode(key).decode() for name, key in keys.items()})
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, plain.encode(), _MAGIC)
    return _MAGIC + salt + nonce + sealed


def unseal(data: bytes, passphrase: bytes) -> dict[str, bytes]:
    """The keys. Raises BackupRefused for another passphrase or altered bytes."""
    head, rest = data[: len(_MAGIC)], data[len(_MAGIC) :]
    salt, nonce, sealed = rest[:_SALT], rest[_SALT : _SALT + _NONCE], rest[_SALT + _NONCE :]
    try:
        plain = AESGCM(_key(passphrase, salt)).decrypt(nonce, sealed, head)
        found = {str(name): base64.b64decode(key) for name, key in json.loads(plain).items()}
    except (InvalidTag, ValueError) as error:
        raise _unopened() from error
    if head != _MAGIC or not set(found) <= set(NAMES):
        raise _unopened()
    return found


def _unopened() -> BackupRefused:
    return BackupRefused(
        "the sealed keys do not open",
        remedy="give the passphrase that the backup was taken with",
    )


def _key(passphrase: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_COST, r=_BLOCK, p=_LANES).derive(passphrase)
