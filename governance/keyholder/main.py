"""The keyholder's folder and wiring.

keyholder.key     the private key of its duty (0600)
keyholder.key.pub its public half, for the territory root
root.json         the root it serves under
keyholder.sqlite  wrapped keys, sealed shares, answers
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from durable.files import make_directory
from durable.keyfile import read_key, write_key
from governance import drafts, held_root
from governance.batches.history import History
from governance.batches.standing import MAXIMUM_STATUS_BYTES, Standing
from governance.hygiene import harden
from governance.keyholder.errors import KeyholderStateRefused
from governance.keyholder.keyholder import Keyholder
from governance.keyholder.memory import Memory
from governance.keyholder.office import Denied, Office
from governance.keyholder.schema import FILE_NAME
from governance.keyholder.server import KeyholderServer
from governance.serving import parse_address, until_stopped
from protection.ckks.profile import SOMME, Profile
from trust.clock import Clock, SystemClock
from trust.documents.root import Duty
from trust.entropy import SYSTEM
from trust.ids import CampaignId, Digest
from trust.keys import PrivateKey, PublicKey
from trust.log.policy import Policy
from trust.root import TrustedRoot
from wire import site

KEY_FILE = "keyholder.key"


def create(folder: Path) -> PublicKey:
    """A new keyholder's key. Raises KeyholderStateRefused when the folder has one."""
    if (folder / KEY_FILE).exists():
        raise KeyholderStateRefused(
            f"{folder} holds a keyholder already",
            remedy="give another folder: keys are not replaced",
        )
    make_directory(folder, mode=0o700)
    key = PrivateKey.generate(SYSTEM)
    write_key(folder / KEY_FILE, key)
    return key.public


@contextlib.contextmanager
def open_keyholder(
    folder: Path, root_raw: bytes, address: str, clock: Clock
) -> Iterator[Keyholder]:
    """Everything but the socket; what is wrong is found before anything is written.

    `address` is the scheduler's public site, from which log and objects are read. The process
    is hardened first: what it will hold in memory is for nobody else.
    """
    harden()
    trusted = held_root.judge(folder, root_raw)
    trusted.require_current(clock.now())
    key = read_key(folder / KEY_FILE)
    _require_keyholder_key(trusted, key)
    memory = Memory(folder, trusted.document.territory)
    try:
        held_root.keep(folder, root_raw)
        below = address.rstrip("/")

        def bundle(digest: Digest) -> bytes | None:
            name = digest.removeprefix("sha256:")
            return site.fetch(f"{below}/objects/sha256/{name[:2]}/{name}")

        yield Keyholder(
            Office(
                root=trusted,
                key=key,
                memory=memory,
                history=History(
                    Policy.parse(trusted.document.log_policy.encode()),
                    lambda path: site.fetch(f"{below}/{path}"),
                ),
                standing=Standing(
                    trusted,
                    memory,
                    lambda url: site.fetch(url, limit=MAXIMUM_STATUS_BYTES),
                    clock,
                ),
                bundle=bundle,
                clock=clock,
                entropy=SYSTEM,
            )
        )
    finally:
        memory.close()


def serve(folder: Path, listen: str, root_file: Path, address: str) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    place = parse_address(listen)
    with open_keyholder(folder, drafts.read_file(root_file), address, SystemClock()) as keyholder:
        server = KeyholderServer(place, keyholder)
        sys.stderr.write(f"keyholder on {server.url}\n")
        sys.stderr.flush()
        until_stopped(server)
    return 0


def ceremony(
    folder: Path,
    root_file: Path,
    address: str,
    campaign: CampaignId,
    trustees: Sequence[Path],
    *,
    profile: Profile = SOMME,
) -> bytes:
    """Hold one campaign's key ceremony; answers the EpochKey envelope.

    In a process of its own, which ends with the key that it made. Raises BatchDenied and what
    `Keyholder.ceremony` raises.
    """
    raw = drafts.read_file(root_file)
    with open_keyholder(folder, raw, address, SystemClock()) as keyholder:
        try:
            envelopes = [drafts.read_file(path) for path in trustees]
            return keyholder.ceremony(campaign, envelopes, profile)
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
    trusted = held_root.held(folder)
    if not (folder / FILE_NAME).exists():
        raise KeyholderStateRefused(
            f"{folder} was never served from", remedy="start `cadastre keyholder serve`"
        )
    memory = Memory(folder, trusted.document.territory)
    try:
        return {
            "territory": trusted.document.territory,
            **memory.counts(),
            "waiting for their ceremony": [str(campaign) for campaign in memory.awaiting()],
        }
    finally:
        memory.close()


def _require_keyholder_key(trusted: TrustedRoot, key: PrivateKey) -> None:
    holders = trusted.keys(Duty.KEYHOLDER)
    if key.public not in holders.keys or holders.threshold != 1:
        raise KeyholderStateRefused(
            f"key {key.public.keyid} may not act as keyholder alone under this territory root",
            remedy="give the key whose .pub the root names for the duty keyholder",
        )
