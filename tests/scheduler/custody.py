"""A real keyholder and five trustees beside the scheduler of the tests; workers that encrypt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from helping import TERRITORY

from governance.batches.history import History
from governance.batches.standing import Standing
from governance.keyholder.errors import CeremonyAwaited, SharesAwaited
from governance.keyholder.keyholder import Keyholder
from governance.keyholder.memory import Memory
from governance.keyholder.office import Denied, Office
from governance.trustee.memory import Memory as TrusteeMemory
from governance.trustee.summons import Judge
from governance.trustee.trustee import Trustee
from protection.ckks import masks, packing, residues, scheme
from protection.ckks.profile import LIBRARY, SOMME
from protection.ckks.residues import Residues
from protection.scope import Binding
from protection.seeds import Seed, seal
from scheduler.errors import KeyholderDenied, KeyholderUnavailable
from scheduler.site import Site
from trust import schema
from trust.documents import signed
from trust.documents.aggregation import HelperKey
from trust.documents.campaign import Order
from trust.documents.custody import EpochKey
from trust.documents.reporting import Partial
from trust.documents.rules import Protection
from trust.dsse import Envelope
from trust.entropy import seeded
from trust.ids import CampaignId, Digest, ReportId
from trust.log.policy import Policy
from trust.problem import Problem
from wire.custody import Contribution, SummonsRequest

TRUSTEES = 5


@dataclass
class Custody:
    """The scheduler's port to a keyholder in this process, and the trustees behind it."""

    world: Any
    folder: Path
    down: bool = False
    asked: list[str] = field(default_factory=list)
    contributions: list[Contribution] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As after a crash of everybody: from the disks."""
        desk = self.world.desk
        memory = Memory(self.folder / "keyholder", TERRITORY)
        self.keyholder = Keyholder(
            Office(
                root=desk.root,
                key=self.world.keys["keyholder"],
                memory=memory,
                history=self._history(),
                standing=self._standing(memory),
                bundle=lambda digest: self._site(f"objects/sha256/{digest[7:9]}/{digest[7:]}"),
                clock=self.world.clock,
                entropy=seeded(b"keyholder"),
            )
        )
        self.trustees = [self._trustee(number) for number in range(TRUSTEES)]

    def _trustee(self, number: int) -> Trustee:
        memory = TrusteeMemory(self.folder / f"trustee{number}", TERRITORY)
        judge = Judge(self.world.desk.root, self._history(), self._standing(memory))
        name = f"trustee{number}"
        entropy = seeded(name.encode())
        return Trustee(self.world.keys[name], memory, judge, self.world.clock, entropy)

    def _history(self) -> History:
        return History(Policy.parse(self.world.desk.root.document.log_policy.encode()), self._site)

    def _standing(self, memory: Any) -> Standing:
        return Standing(
            self.world.desk.root, memory, lambda _: self.world.status["now"], self.world.clock
        )

    def _site(self, path: str) -> bytes | None:
        """What the scheduler shows to everybody, and nothing else."""
        page = Site(self.world.desk, [], list).page("/" + path)
        return None if page is None else page.data

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
        self.asked.append(name)
        if self.down:
            raise KeyholderUnavailable("it is down", remedy="wait")
        question = schema.decode(type(request), schema.encode(request))
        try:
            return getattr(self.keyholder, name)(question)
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
    **changes: Any,
) -> Digest:
    """Make `worker`'s statement for `order` a masked ciphertext under the epoch's key."""
    world = worker.world
    rules = world.bundle.manifest.rules()
    shown = [Envelope.parse(exhibit.envelope) for exhibit in worker.exhibits]
    helper = next(
        schema.decode(HelperKey, e.payload) for e in shown if e.payload_type == HelperKey.TYPE
    )
    epoch = next(
        schema.decode(EpochKey, e.payload) for e in shown if e.payload_type == EpochKey.TYPE
    )
    context = world.desk.blobs.get(epoch.public) if public is None else public
    seed = Seed.draw(seeded(worker.name.encode() + order.unit.encode()))
    fresh = scheme.Encryptor(SOMME, context).encrypt(packing.pack(SOMME, rules, steps_of(worker)))
    blob = residues.write(masks.masked(forge(fresh), seed)) if blob is None else blob
    partial = Partial(
        territory=TERRITORY,
        campaign=order.campaign,
        round=order.round,
        unit=order.unit,
        worker=worker.name,
        report=ReportId.draw(world.desk.entropy),
        bundle=order.bundle,
        plan=order.plan,
        parameters=order.parameters,
        capsules=len(worker.capsules),
        contributors=len(worker.capsules),
        values=world.desk.blobs.put(blob),
        protection=Protection.ENCRYPTED,
        variances={"counts": "0"},
        rho="0.1",
        image=worker.image,
        level="L3",
        made_at=world.clock.now(),
    )
    sealed = seal(seed, X25519PublicKey.from_public_bytes(helper.key), Binding.of(partial))
    partial = replace(partial, **{"sealed": Digest.of(sealed), **changes})
    worker.statements[order.unit] = signed.sign(partial, [worker.key]).envelope.raw
    worker.sealed[order.unit] = sealed
    return partial.values


def can_encrypt(worker: Any) -> None:
    """Its broker has what ciphertexts are made with."""
    worker.libraries = (*worker.libraries, LIBRARY)
