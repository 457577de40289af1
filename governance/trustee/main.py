"""A trustee's folder and wiring.

trustee.key      the private key of their duty (0600)
trustee.key.pub  its public half, for the territory root
root.json        the root they act under
trustee.sqlite   the key that shares are sealed to, and for what the share was given
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from durable.files import make_directory
from durable.keyfile import read_key, write_key
from governance import drafts, held_root
from governance.batches.history import History
from governance.batches.standing import MAXIMUM_STATUS_BYTES, Standing
from governance.hygiene import harden
from governance.trustee import link
from governance.trustee.errors import TrusteeStateRefused
from governance.trustee.memory import Memory
from governance.trustee.summons import Judge
from governance.trustee.trustee import Trustee
from trust import dsse, schema
from trust.clock import Clock, SystemClock
from trust.documents.custody import ShareReturned
from trust.entropy import SYSTEM
from trust.ids import CampaignId, Digest
from trust.keys import PrivateKey, PublicKey
from trust.log.policy import Policy
from trust.problem import Problem
from wire import site

KEY_FILE = "trustee.key"


@dataclass(frozen=True)
class Outcome:
    """What came of one summons."""

    opening: str  # "<campaign> round <n>", "" where not even that could be read
    contributed: int
    threshold: int
    refusal: Problem | None  # the share stays here, and why


def create(folder: Path) -> PublicKey:
    """A new trustee's key. Raises TrusteeStateRefused when the folder has one."""
    if (folder / KEY_FILE).exists():
        raise TrusteeStateRefused(
            f"{folder} holds a trustee already", remedy="give another folder: keys are not replaced"
        )
    make_directory(folder, mode=0o700)
    key = PrivateKey.generate(SYSTEM)
    write_key(folder / KEY_FILE, key)
    return key.public


@contextlib.contextmanager
def open_trustee(
    folder: Path, root_raw: bytes, address: str | None, clock: Clock
) -> Iterator[Trustee]:
    """A trustee's program on its folder, hardened; `address` is the scheduler's public site."""
    harden()
    trusted = held_root.judge(folder, root_raw)
    trusted.require_current(clock.now())
    key = read_key(folder / KEY_FILE)
    memory = Memory(folder, trusted.document.territory)
    try:
        held_root.keep(folder, root_raw)
        below = (address or "").rstrip("/")
        history = History(
            Policy.parse(trusted.document.log_policy.encode()),
            lambda path: site.fetch(f"{below}/{path}"),
        )
        standing = Standing(
            trusted, memory, lambda url: site.fetch(url, limit=MAXIMUM_STATUS_BYTES), clock
        )
        yield Trustee(key, memory, Judge(trusted, history, standing), clock, SYSTEM)
    finally:
        memory.close()


def certify(folder: Path, root_file: Path, clock: Clock | None = None) -> bytes:
    """The TrusteeKey envelope to send to the keyholder, once the root names this trustee."""
    raw = drafts.read_file(root_file)
    with open_trustee(folder, raw, None, clock or SystemClock()) as trustee:
        return trustee.certificate()


def contribute(
    folder: Path, root_file: Path, address: str, keyholder: str, clock: Clock | None = None
) -> list[Outcome]:
    """Answer every summons that deserves it; what does not is told, and the others go on."""
    raw, url = drafts.read_file(root_file), keyholder.rstrip("/")
    outcomes = []
    with open_trustee(folder, raw, address, clock or SystemClock()) as trustee:
        for summons in link.wanted(url, Digest.of(trustee.certificate())):
            try:
                given = trustee.contribute(summons)
            except Problem as problem:
                outcomes.append(Outcome("", 0, 0, problem))
                continue
            answer = link.give(url, given)
            said = schema.decode(ShareReturned, dsse.Envelope.parse(given.returned).payload)
            name = f"{said.campaign} round {said.round}"
            outcomes.append(Outcome(name, answer.contributed, answer.threshold, None))
    return outcomes


def status(folder: Path) -> list[tuple[CampaignId, int]]:
    """The rounds that this trustee gave their share for."""
    trusted = held_root.held(folder)
    memory = Memory(folder, trusted.document.territory)
    try:
        return [(given.campaign, given.round) for given in memory.history()]
    finally:
        memory.close()
