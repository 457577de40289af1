"""A witness's folder: its key, the logs it follows, and the memory of what it cosigned.

witness.key    the private key (0600)
witness.vkey   its public half, for the territory root
logs/          one vkey file per followed log
memory/        what was cosigned last; losing it would let a log show a second face
"""

from __future__ import annotations

import sys
from pathlib import Path

from durable.files import make_directory, write_atomic
from durable.keyfile import read_key, write_key
from governance import drafts
from governance.ceremony.offer import Offer
from governance.errors import GovernanceError
from governance.serving import parse_address, until_stopped
from governance.witness.memory import WitnessMemory, origin_id
from governance.witness.server import WitnessServer
from governance.witness.witness import Witness
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey
from trust.problem import Kind

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
    """Cosign the log of a scheduler's offer from the next start on."""
    _name(folder)
    log = Offer.parse(drafts.read_file(offer_file)).log_key
    write_atomic(folder / _LOGS / f"{origin_id(log.name)}.vkey", f"{log}\n".encode())
    return log


def serve(folder: Path, listen: str) -> int:
    """Answer a log's requests until SIGTERM or SIGINT; 0 after a clean stop."""
    name = _name(folder)
    logs = [LogKey.parse(path.read_text().strip()) for path in sorted((folder / _LOGS).iterdir())]
    if not logs:
        raise WitnessStateRefused(
            f"the witness in {folder} follows no log",
            remedy="run `cadastre witness follow --state … --log-vkey-from offer.json` first",
        )
    address = parse_address(listen)
    memory = WitnessMemory(folder / _MEMORY)
    try:
        witness = Witness(name, read_key(folder / _KEY), logs, memory, SystemClock())
        server = WitnessServer(address, witness)
        origins = ", ".join(log.name for log in logs)
        sys.stderr.write(f"witness {name} of {origins} on {server.url}\n")
        sys.stderr.flush()
        until_stopped(server)
    finally:
        memory.close()
    return 0


def _name(folder: Path) -> str:
    path = folder / _VKEY
    if not path.exists():
        raise WitnessStateRefused(
            f"{folder} holds no witness", remedy="run `cadastre witness init --state … --name …`"
        )
    return CosignerKey.parse(path.read_text().strip()).name
