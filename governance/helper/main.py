"""The helper's wiring; its folder is described in governance.program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from durable.hygiene import harden
from governance import drafts, held_root
from governance.helper.helper import Helper
from governance.helper.memory import Memory
from governance.helper.office import Office
from governance.helper.schema import HELPER
from governance.helper.server import HelperServer
from governance.serving import parse_address, start_logging, until_stopped
from trust.clock import Clock, SystemClock


@contextmanager
def open_helper(folder: Path, root_raw: bytes, address: str, clock: Clock) -> Iterator[Helper]:
    """Everything but the socket; as `Office.open`."""
    with Office.open(Memory, folder, root_raw, address, clock) as office:
        yield Helper(office)


def serve(folder: Path, listen: str, root_file: Path, address: str) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean stop."""
    harden()
    start_logging()
    place = parse_address(listen)
    with open_helper(folder, drafts.read_file(root_file), address, SystemClock()) as helper:
        helper.expire()  # what ended while nothing ran goes before the first question
        server = HelperServer(place, helper)
        until_stopped(server, f"helper on {server.url}")
    return 0


def status(folder: Path) -> dict[str, Any]:
    """What a helper holds: counts, never a campaign's secret."""
    territory = held_root.held(folder).document.territory
    HELPER.require_served(folder)
    with closing(Memory(folder, territory)) as memory:
        return {"territory": territory, **memory.counts()}
