"""The status server's wiring: folder, keys, registry, publisher, socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from durable.keyfile import read_key
from governance import drafts, held_root
from governance.errors import StateRefused
from governance.serving import parse_address, start_logging, until_stopped
from governance.status import state
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from governance.status.server import StatusServer
from trust.clock import Clock, SystemClock
from trust.documents.governance import Status, Suspension
from trust.documents.root import Duty
from trust.entropy import SYSTEM


@dataclass(frozen=True)
class Programme:
    """One territory's registry and publisher, their folder held."""

    territory: str
    registry: Registry
    publisher: Publisher


@contextmanager
def open_programme(
    folder: Path, key_file: Path, root_file: Path, clock: Clock, *, number_above: int | None = None
) -> Iterator[Programme]:
    """Everything but the socket; what is wrong is found before anything is written.

    `number_above` is what an operator gives who lost the newest copy of the folder: the highest
    status number that any worker saw. Without it a registry older than its own last status does
    not open.
    """
    raw = drafts.read_file(root_file)
    trusted = held_root.judge(folder, raw)
    key = read_key(key_file)
    state.require_status_key(trusted, key)
    territory = trusted.document.territory
    last = state.last_number(folder)
    with state.serving(folder):
        registry = Registry(folder, territory, SYSTEM)
        try:
            if number_above is not None:
                registry.numbers.raise_above(number_above)
            registry.numbers.require(last)
            held_root.keep(folder, raw)
            yield Programme(
                territory,
                registry,
                Publisher(registry, territory, key, folder / state.STATUS_FILE, clock),
            )
        finally:
            registry.close()


def serve(
    folder: Path, key_file: Path, listen: str, root_file: Path, number_above: int | None = None
) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean stop."""
    start_logging()
    address = parse_address(listen)
    clock = SystemClock()
    with open_programme(folder, key_file, root_file, clock, number_above=number_above) as programme:
        server = StatusServer(address, programme.registry, programme.publisher, clock)
        until_stopped(server, f"status of {programme.territory} on {server.url}/status.json")
    return 0


def suspend(folder: Path, raw: bytes, root_raw: bytes | None) -> tuple[bool, Suspension]:
    """Record a suspension signed by the college's threshold; a running server sees it at once."""
    trusted = held_root.held(folder) if root_raw is None else held_root.judge(folder, root_raw)
    suspension = trusted.verify(Suspension, raw, Duty.COLLEGE)
    if suspension.document.territory != trusted.document.territory:
        raise StateRefused(
            f"the suspension is for {suspension.document.territory[:80]}, the root of "
            f"{trusted.document.territory}",
            remedy="hand it to the status server of its own territory",
        )
    registry = Registry(folder, trusted.document.territory, SYSTEM)
    try:
        added = registry.suspend(suspension)
    finally:
        registry.close()
    if root_raw is not None:
        held_root.keep(folder, root_raw)
    return added, suspension.document


def last_status(folder: Path) -> Status:
    """The status last published here, verified under the held root."""
    return state.last_status(folder, held_root.held(folder))
