"""A real keyholder and five trustees beside the scheduler of the tests; workers that encrypt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import helping
import numpy as np
from helping import TERRITORY, Port, exhibited, seed_of, state
from sqlmodel import select

from governance.keyholder.errors import CeremonyAwaited, SharesAwaited
from governance.keyholder.keyholder import Keyholder
from governance.keyholder.memory import Memory
from governance.keyholder.office import Denied, Office
from governance.trustee.memory import Memory as TrusteeMemory
from governance.trustee.summons import Judge
from governance.trustee.trustee import Trustee
from protection.ckks import masks, packing, residues, scheme
from protection.ckks.profile import LIBRARY, profile_named
from protection.ckks.residues import Residues
from scheduler.errors import KeyholderDenied, KeyholderUnavailable
from scheduler.store.tables import BlobRow
from trust.documents.campaign import Order
from trust.documents.custody import EpochKey
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.entropy import seeded
from trust.ids import CampaignId, Digest
from trust.log.entry import Kind
from trust.problem import Problem
from wire.custody import Contribution, SummonsRequest

TRUSTEES = 5


@dataclass
class Custody(Port):
    """The scheduler's port to a keyholder in this process, and the trustees behind it."""

    contributions: list[Contribution] = field(default_factory=list)

    def restart(self) -> None:
        """As after a crash of everybody: from the disks."""
        memory = Memory(self.folder / "keyholder", TERRITORY)
        self.keyholder = Keyholder(self.office(Office, "keyholder", memory))
        self.trustees = [self._trustee(number) for number in range(TRUSTEES)]

    def _trustee(self, number: int) -> Trustee:
        memory = TrusteeMemory(self.folder / f"trustee{number}", TERRITORY)
        judge = Judge(self.world.desk.root, self.history(), self.standing(memory))
        name = f"trustee{number}"
        entropy = seeded(name.encode())
        return Trustee(self.world.keys[name], memory, judge, self.world.clock, entropy)

    def ceremony(self, campaign: str) -> bytes:
        """What the operator does, with the files that the trustees sent."""
        certificates = [trustee.certificate() for trustee in self.trustees]
        return self.keyholder.ceremony(CampaignId(campaign), certificates)

    def contribute(self, numbers: Sequence[int]) -> int:
        """Trustees look for summonses and answer them; how many shares were counted."""
        count = 0
        for number in numbers:
            trustee = self.trustees[number]
            asked = SummonsRequest(Digest.of(trustee.certificate()))
            for summons in self.keyholder.summons(asked).openings:
                given = trustee.contribute(summons)
                self.contributions.append(given)
                self.keyholder.contribute(given)
                count += 1
        return count

    def engage(self, request: Any) -> Any:
        return self._ask("engage", request)

    def prepare(self, request: Any) -> bytes:
        return self._ask("prepare", request)

    def open(self, request: Any) -> Any:
        return self._ask("open", request)

    def end(self, request: Any) -> bytes:
        return self._ask("end", request)

    def _ask(self, name: str, request: Any) -> Any:
        try:
            return self.put(self.keyholder, name, request, KeyholderUnavailable)
        except Denied as denied:
            raise KeyholderDenied(denied.envelope, denied.retired) from denied
        except (CeremonyAwaited, SharesAwaited) as problem:
            raise KeyholderUnavailable(problem.sentence, awaits=problem.code) from problem
        except Problem as problem:
            raise KeyholderUnavailable(problem.sentence) from problem


def steps_of(worker: Any) -> dict[str, np.ndarray]:
    """What one worker's guard lets through: within the bound of each of its contributors."""
    return {"counts": np.array([len(worker.capsules), 1, -1], np.int64)}


def encrypt(
    worker: Any,
    order: Order,
    *,
    forge: Callable[[Residues], Residues] = lambda honest: honest,
    public: bytes | None = None,
    blob: bytes | None = None,
    steps: dict[str, np.ndarray] | None = None,
    **changes: Any,
) -> Digest:
    """Make `worker`'s statement for `order` a masked ciphertext under the epoch's key."""
    world = worker.world
    rules, epoch = world.bundle.manifest.rules(), exhibited(worker, EpochKey)
    context = world.desk.blobs.get(epoch.public) if public is None else public
    profile = profile_named(epoch.profile)
    slots = packing.pack(profile, rules, steps_of(worker) if steps is None else steps)
    fresh = scheme.Encryptor(profile, context).encrypt(slots)
    masked = residues.write(masks.masked(forge(fresh), seed_of(worker, order)))
    blob = masked if blob is None else blob
    return state(worker, order, blob, Protection.ENCRYPTED, **changes)


def can_encrypt(worker: Any) -> None:
    """Its broker has what ciphertexts are made with."""
    worker.libraries = (*worker.libraries, LIBRARY)


class Scene(helping.Scene):
    """A world with helper, keyholder and trustees, three hosts of three operators, a concluder."""

    protection = Protection.ENCRYPTED

    def __init__(self, world, tmp_path: Path) -> None:
        super().__init__(world, tmp_path)
        self.custody = Custody(world, tmp_path)
        self.connect()

    def equip(self, worker: Any) -> None:
        can_encrypt(worker)

    def connect(self) -> None:
        self.world.desk.helper, self.world.desk.keyholder = self.helper, self.custody

    def restart_scheduler(self) -> None:
        self.world.reopen()
        self.connect()

    async def engaged(self) -> str:
        """A campaign whose ceremony was held and whose round is planned."""
        campaign = await self.world.start()
        await self.world.turn()
        self.custody.ceremony(campaign)
        await self.settle(2)
        return campaign

    async def reported(self, **changes) -> str:
        """A campaign whose every host has reported; `changes` are the first one's."""
        await self.found()
        campaign = await self.engaged()
        for worker in self.hosts:
            (order,) = (await worker.exchange()).orders
            encrypt(worker, order, **(changes if worker is self.hosts[0] else {}))
            (receipt,) = (await worker.exchange([worker.report(order)])).acknowledgements
            assert receipt.accepted, receipt
        return campaign

    async def awaited(self, **changes) -> str:
        """A campaign whose opening waits for trustees."""
        campaign = await self.reported(**changes)
        await self.settle()
        row = (await self.world.view(campaign)).row
        assert (row.state, row.reason) == ("running", "waiting-for-trustees"), row
        return campaign

    async def opened(self) -> str:
        campaign = await self.awaited()
        assert self.custody.contribute([0, 2, 4]) == 3
        await self.settle()
        return campaign

    async def standing(self, campaign: str) -> tuple[str, str]:
        row = (await self.world.view(campaign)).row
        return row.state, row.reason

    def one(self, kind: Kind, cls, duty: Duty):
        (raw,) = self.documents(kind)
        return self.world.desk.root.verify(cls, raw, duty)

    def public(self) -> set[str]:
        def read(tx):
            query = select(BlobRow.digest).where(BlobRow.public == True)  # noqa: E712
            return set(tx.session.exec(query).all())

        return self.world.desk.store.run("read-public", read)
