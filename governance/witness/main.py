"""A witness's folder: its key, the logs it follows, and the memory of what it cosigned.

witness.key    the private key (0600)
witness.vkey   its public half, for the territory root
logs/          one vkey file per followed log
memory/        what was cosigned last; losing it would let a log show a second face
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from durable.files import make_directory, write_atomic
from durable.keyfile import read_key, write_key
from governance import drafts
from governance.errors import GovernanceError
from governance.offer import Offer
from governance.serving import parse_address, until_stopped
from governance.witness.memory import WitnessMemory, origin_id
from governance.witness.server import WitnessServer
from governance.witness.witness import Witness
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from trust.errors import TrustError
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey
from trust.problem import Kind

K = TypeVar("K")

_VKEY_BYTES = 4096
_KEY, _VKEY, _LOGS, _MEMORY = "witness.key", "witness.vkey", "logs", "memory"


class WitnessStateRefused(GovernanceError):
    """A witness's folder that is missing, taken, or follows no log."""

    code = "witness-state-refused"
    kind = Kind.CONFLICT


def create(folder: Path, name: str) -> CosignerKey:
    """A new witness: its key and an empty memory. Raises WitnessStateRefused."""
    if (folder / _VKEY).exists():
        raise WitnessStateRefused(
            f"{folder} holds a witness already", remedy="give another folder: keys are not replaced"
        )
    key = PrivateKey.generate(SYSTEM)
    public = CosignerKey(name, key.public)  # refuses a bad name before anything is written
    make_directory(folder, mode=0o700)
    make_directory(folder / _LOGS)
    write_key(folder / _KEY, key)
    WitnessMemory.create(folder / _MEMORY)
    # Last: a folder without it is not yet a witness, and whoever reads it finds all the rest.
    write_atomic(folder / _VKEY, f"{public}\n".encode())
    return public


def follow(folder: Path, offer_file: Path) -> LogKey:
    """Cosign the log of a scheduler's offer from the next start on. Raises WitnessStateRefused.

    A log's key is never replaced: whoever sent a second offer would take the log's place.
    """
    _public(folder)
    log = Offer.parse(drafts.read_file(offer_file)).log_key
    path = folder / _LOGS / f"{origin_id(log.name)}.vkey"
    if path.exists():
        if _log(path) != log:
            raise WitnessStateRefused(
                f"the log {log.name} is followed already, under another key",
                remedy="ask the log's operator; a log with a new key has a new name",
            )
        return log
    write_atomic(path, f"{log}\n".encode())
    return log


def followed(folder: Path) -> list[LogKey]:
    """The logs to cosign. Raises WitnessStateRefused when there are none, or one is damaged."""
    # Only whole files: a kill while following may have left a temporary one.
    logs = [_log(path) for path in sorted((folder / _LOGS).glob("*.vkey"))]
    if not logs:
        raise WitnessStateRefused(
            f"the witness in {folder} follows no log",
            remedy="run `cadastre witness follow --state … --log-vkey-from offer.json` first",
        )
    return logs


def serve(folder: Path, listen: str) -> int:
    """Answer a log's requests until SIGTERM or SIGINT; 0 after a clean stop."""
    public = _public(folder)
    logs = followed(folder)
    key = read_key(folder / _KEY)
    if key.public != public.public:
        raise WitnessStateRefused(
            f"{folder / _KEY} is not the key in {folder / _VKEY}: no policy would count it",
            remedy="restore both from one backup",
        )
    address = parse_address(listen)
    memory = WitnessMemory(folder / _MEMORY)
    try:
        witness = Witness(public.name, key, logs, memory, SystemClock())
        server = WitnessServer(address, witness)
        origins = ", ".join(log.name for log in logs)
        until_stopped(server, f"witness {public.name} of {origins} on {server.url}")
    finally:
        memory.close()
    return 0


def _public(folder: Path) -> CosignerKey:
    path = folder / _VKEY
    if not path.exists():
        raise WitnessStateRefused(
            f"{folder} holds no witness", remedy="run `cadastre witness init --state … --name …`"
        )
    return _read(path, CosignerKey.parse)


def _log(path: Path) -> LogKey:
    return _read(path, LogKey.parse)


def _read(path: Path, parse: Callable[[str], K]) -> K:
    try:
        return parse(drafts.read_file(path, _VKEY_BYTES).decode("ascii").strip())
    except (UnicodeDecodeError, TrustError) as error:
        raise WitnessStateRefused(
            f"{path} is no verifier key", remedy="restore the file, or follow the log again"
        ) from error
