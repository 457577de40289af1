"""The status server's wiring: folder, keys, registry, publisher, socket."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from durable.keyfile import read_key
from governance import drafts
from governance.errors import StateRefused
from governance.serving import parse_address, until_stopped
from governance.status import state
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from governance.status.server import StatusServer
from trust.clock import SystemClock
from trust.documents.governance import Status, Suspension
from trust.documents.root import Duty
from trust.entropy import SYSTEM


def serve(folder: Path, key_file: Path, listen: str, root_file: Path) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    trusted = state.adopt_root(folder, drafts.read_file(root_file))
    key = read_key(key_file)
    state.require_status_key(trusted, key)
    territory = trusted.document.territory
    clock = SystemClock()
    registry = Registry(folder, territory, SYSTEM)
    publisher = Publisher(registry, territory, key, folder / state.STATUS_FILE, clock)
    server = StatusServer(parse_address(listen), registry, publisher, clock)
    host, port = server.server_address[:2]
    sys.stderr.write(f"status of {territory} on http://{host!s}:{port}/status.json\n")
    sys.stderr.flush()
    try:
        until_stopped(server)
    finally:
        registry.close()
    return 0


def suspend(folder: Path, raw: bytes, root_raw: bytes | None) -> tuple[bool, Suspension]:
    """Record a suspension signed by the college's threshold; a running server sees it at once."""
    trusted = state.held_root(folder) if root_raw is None else state.adopt_root(folder, root_raw)
    suspension = trusted.verify(Suspension, raw, Duty.COLLEGE)
    registry = Registry(folder, trusted.document.territory, SYSTEM)
    try:
        added = registry.suspend(suspension)
    finally:
        registry.close()
    return added, suspension.document


def last_status(folder: Path) -> Status:
    """The status last published here, verified under the held root."""
    path = folder / state.STATUS_FILE
    if not path.exists():
        raise StateRefused(
            f"{folder} has published nothing yet", remedy="start `cadastre status serve`"
        )
    return state.held_root(folder).verify(Status, path.read_bytes(), Duty.STATUS).document
