"""A trustee's wiring; their folder is described in governance.program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from durable.hygiene import harden
from governance import drafts, held_root
from governance.batches import sources
from governance.trustee import link
from governance.trustee.memory import TRUSTEE, Memory
from governance.trustee.summons import Judge
from governance.trustee.trustee import Trustee
from trust import dsse, schema
from trust.clock import Clock, SystemClock
from trust.documents.custody import ShareReturned
from trust.entropy import SYSTEM
from trust.ids import CampaignId, Digest
from trust.problem import Problem


@dataclass(frozen=True)
class Outcome:
    """What came of one summons."""

    opening: str  # "<campaign> round <n>", "" where not even that could be read
    contributed: int
    threshold: int
    refusal: Problem | None  # the share stays here, and why


@contextlib.contextmanager
def open_trustee(
    folder: Path, root_raw: bytes, address: str | None, clock: Clock
) -> Iterator[Trustee]:
    """A trustee's program on its folder, hardened; `address` is the scheduler's public site."""
    harden()
    trusted = held_root.judge(folder, root_raw)
    trusted.require_current(clock.now())
    key = TRUSTEE.key(folder)
    with contextlib.closing(Memory(folder, trusted.document.territory)) as memory:
        held_root.keep(folder, root_raw)
        history = sources.history_at(trusted, address or "")
        standing = sources.standing_of(trusted, memory, clock)
        yield Trustee(key, memory, Judge(trusted, history, standing), clock, SYSTEM)


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
                answer = link.give(url, given)
            except Problem as problem:
                outcomes.append(Outcome("", 0, 0, problem))
                continue
            said = schema.decode(ShareReturned, dsse.Envelope.parse(given.returned).payload)
            name = f"{said.campaign} round {said.round}"
            outcomes.append(Outcome(name, answer.contributed, answer.threshold, None))
    return outcomes


def status(folder: Path) -> list[tuple[CampaignId, int]]:
    """The rounds that this trustee gave their share for."""
    territory = held_root.held(folder).document.territory
    with contextlib.closing(Memory(folder, territory)) as memory:
        return [(given.campaign, given.round) for given in memory.history()]
