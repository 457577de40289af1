"""The keyholder's wiring; its folder is described in governance.program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from durable.hygiene import harden
from governance import drafts, held_root
from governance.keyholder.keyholder import Keyholder
from governance.keyholder.memory import Memory
from governance.keyholder.office import Denied, Office
from governance.keyholder.schema import KEYHOLDER
from governance.keyholder.server import KeyholderServer
from governance.serving import parse_address, start_logging, until_stopped
from trust.clock import Clock, SystemClock
from trust.ids import CampaignId


@contextmanager
def open_keyholder(
    folder: Path, root_raw: bytes, address: str, clock: Clock
) -> Iterator[Keyholder]:
    """Everything but the socket; as `Office.open`.

    The process is hardened first: what it will hold in memory is for nobody else.
    """
    harden()
    with Office.open(Memory, folder, root_raw, address, clock) as office:
        yield Keyholder(office)


def serve(folder: Path, listen: str, root_file: Path, address: str) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean stop."""
    start_logging()
    place = parse_address(listen)
    with open_keyholder(folder, drafts.read_file(root_file), address, SystemClock()) as keyholder:
        keyholder.expire()  # what ended while nothing ran goes before the first question
        server = KeyholderServer(place, keyholder)
        until_stopped(server, f"keyholder on {server.url}")
    return 0


def ceremony(
    folder: Path,
    root_file: Path,
    address: str,
    campaign: CampaignId,
    trustees: Sequence[Path],
) -> bytes:
    """Hold one campaign's key ceremony; answers the EpochKey envelope.

    In a process of its own, which ends with the key that it made. Raises BatchDenied and what
    `Keyholder.ceremony` raises.
    """
    raw = drafts.read_file(root_file)
    with open_keyholder(folder, raw, address, SystemClock()) as keyholder:
        try:
            envelopes = [drafts.read_file(path) for path in trustees]
            return keyholder.ceremony(campaign, envelopes)
        except Denied as denied:
            raise denied.problem from denied


def retire(folder: Path, root_file: Path, address: str, campaign: CampaignId) -> bytes:
    """Destroy what the keyholder has of a campaign's key; answers the EpochRetired envelope."""
    raw = drafts.read_file(root_file)
    with open_keyholder(folder, raw, address, SystemClock()) as keyholder:
        try:
            return keyholder.retire(campaign)
        except Denied as denied:
            raise denied.problem from denied


def status(folder: Path) -> dict[str, Any]:
    """What a keyholder holds: counts, and the campaigns that wait for their ceremony."""
    territory = held_root.held(folder).document.territory
    KEYHOLDER.require_served(folder)
    with closing(Memory(folder, territory)) as memory:
        return {
            "territory": territory,
            **memory.counts(),
            "waiting for their ceremony": [str(campaign) for campaign in memory.awaiting()],
        }
