"""The helper's folder and wiring.

helper.key     the private key of its duty (0600)
helper.key.pub its public half, for the territory root
root.json      the root it serves under
helper.sqlite  campaigns' keys, sealed seeds, answers
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from durable.files import make_directory
from durable.keyfile import read_key, write_key
from governance import drafts, held_root
from governance.batches.history import History
from governance.batches.standing import MAXIMUM_STATUS_BYTES, Standing
from governance.helper.errors import HelperStateRefused
from governance.helper.helper import Helper
from governance.helper.memory import FILE_NAME, Memory
from governance.helper.office import Office
from governance.helper.server import HelperServer
from governance.hygiene import harden
from governance.serving import parse_address, until_stopped
from trust.clock import Clock, SystemClock
from trust.documents.root import Duty
from trust.entropy import SYSTEM
from trust.ids import Digest
from trust.keys import PrivateKey, PublicKey
from trust.log.policy import Policy
from trust.root import TrustedRoot
from wire import site

KEY_FILE = "helper.key"


def create(folder: Path) -> PublicKey:
    """A new helper's key. Raises HelperStateRefused when the folder has one."""
    if (folder / KEY_FILE).exists():
        raise HelperStateRefused(
            f"{folder} holds a helper already", remedy="give another folder: keys are not replaced"
        )
    make_directory(folder, mode=0o700)
    key = PrivateKey.generate(SYSTEM)
    write_key(folder / KEY_FILE, key)
    return key.public


@contextlib.contextmanager
def open_helper(folder: Path, root_raw: bytes, address: str, clock: Clock) -> Iterator[Helper]:
    """Everything but the socket; what is wrong is found before anything is written.

    `address` is the scheduler's public site, from which log and objects are read.
    """
    trusted = held_root.judge(folder, root_raw)
    trusted.require_current(clock.now())
    key = read_key(folder / KEY_FILE)
    _require_helper_key(trusted, key)
    memory = Memory(folder, trusted.document.territory)
    try:
        held_root.keep(folder, root_raw)
        below = address.rstrip("/")

        def bundle(digest: Digest) -> bytes | None:
            name = digest.removeprefix("sha256:")
            return site.fetch(f"{below}/objects/sha256/{name[:2]}/{name}")

        yield Helper(
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
    harden()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    place = parse_address(listen)
    with open_helper(folder, drafts.read_file(root_file), address, SystemClock()) as helper:
        helper.expire()  # what ended while nothing ran goes before the first question
        server = HelperServer(place, helper)
        sys.stderr.write(f"helper on {server.url}\n")
        sys.stderr.flush()
        until_stopped(server)
    return 0


def status(folder: Path) -> dict[str, Any]:
    """What a helper holds: counts, never a campaign's secret."""
    trusted = held_root.held(folder)
    if not (folder / FILE_NAME).exists():
        raise HelperStateRefused(
            f"{folder} was never served from", remedy="start `cadastre helper serve`"
        )
    memory = Memory(folder, trusted.document.territory)
    try:
        return {"territory": trusted.document.territory, **memory.counts()}
    finally:
        memory.close()


def _require_helper_key(trusted: TrustedRoot, key: PrivateKey) -> None:
    holders = trusted.keys(Duty.HELPER)
    if key.public not in holders.keys or holders.threshold != 1:
        raise HelperStateRefused(
            f"key {key.public.keyid} may not act as helper alone under this territory root",
            remedy="give the key whose .pub the root names with --helper-key",
        )
