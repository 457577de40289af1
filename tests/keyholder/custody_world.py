"""A territory with a keyholder, five trustees and real ciphertexts, for the keyholder's tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from leader import Leader, Station, logged
from numpy.typing import NDArray
from worker_territory import IMAGE, NAME, Territory

from governance.batches.custody import dealing_of, epoch_of
from governance.batches.history import History
from governance.batches.standing import Standing
from governance.helper.masking import sum_masks
from governance.keyholder.errors import CeremonyAwaited
from governance.keyholder.keyholder import Keyholder
from governance.keyholder.memory import Memory
from governance.keyholder.office import Denied, Office
from governance.trustee.memory import Memory as TrusteeMemory
from governance.trustee.summons import Judge
from governance.trustee.trustee import Trustee
from jobs.aggregate import decode_partial
from protection import accounting, custody
from protection.batch import Batch, BatchMember
from protection.ckks import masks, packing, residues, scheme
from protection.ckks.addition import ResidueSum
from protection.ckks.profile import SOMME, Profile
from protection.ckks.residues import Residues
from protection.custody import EntrustedKey, Leg
from protection.scope import Binding
from protection.seeds import Seed, seal
from trust import dsse, schema
from trust.documents import signed
from trust.documents.aggregation import (
    AggregateShare,
    BatchCommitment,
    BatchQuestion,
    HelperKey,
    Side,
)
from trust.documents.campaign import Plan
from trust.documents.custody import AggregateOpened, EpochKey, KeyholderRefusal
from trust.documents.reporting import Partial
from trust.documents.root import Duty, DutyKeys, Root
from trust.documents.rules import Protection
from trust.entropy import seeded
from trust.ids import Digest, ReportId, UnitId
from trust.keys import PrivateKey
from trust.log.entry import Kind
from trust.log.policy import Policy
from trust.policy import Exhibit
from wire.aggregation import CommitAnswer, EngageRequest, LoggedDocument
from wire.custody import (
    EndOfEpoch,
    OpeningAnswer,
    OpeningPreparation,
    OpeningRequest,
    SummonsRequest,
    content_of,
)

Steps = dict[str, NDArray[np.int64]]
THRESHOLD, TRUSTEES = 3, 5


@dataclass
class TrustedTerritory(Territory):
    """With the two duties that a key needs."""

    def sign_root(self, **changes: Any) -> bytes:
        self.keyholder_key = PrivateKey.generate(seeded(b"keyholder"))
        self.trustee_keys = [PrivateKey.generate(seeded(b"trustee%d" % n)) for n in range(TRUSTEES)]
        raw = super().sign_root(**changes)
        document = schema.decode(Root, dsse.Envelope.parse(raw).payload)
        duties = dict(document.duties)
        duties[Duty.KEYHOLDER] = DutyKeys((self.keyholder_key.public,), 1)
        duties[Duty.TRUSTEE] = DutyKeys(tuple(k.public for k in self.trustee_keys), THRESHOLD)
        return signed.sign(replace(document, duties=duties), [self.root_key]).envelope.raw


@dataclass
class Report:
    """One worker's report: what the leader gets of it, and the seed that the helper opens."""

    partial: bytes
    ciphertext: bytes
    seed: Seed


@dataclass
class World(Leader):
    """A leader, a helper's signature, and everybody of the custody."""

    profile: Profile = SOMME
    _trustees: dict[str, Trustee] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.use(minimum_workers=3, minimum_operators=2)

    def use(self, **changes: Any) -> None:
        """Vote again, with `changes` in every rule."""
        self.rules = tuple(
            replace(
                rule,
                **{
                    "protection": Protection.ENCRYPTED,
                    "maximum_contributors": 3000,
                    **changes,
                },
            )
            for rule in self.rules
        )
        self.authorisation = self._authorise(self.rules)

    @property
    def policy(self) -> Policy:
        return Policy.parse(self.territory.root.document.log_policy.encode())

    def standing(self, memory: Any) -> Standing:
        return Standing(self.territory.root, memory, lambda _url: self.status_raw, self.clock)

    def keyholder(self, name: str = "keyholder", entropy: bytes = b"keyholder") -> Keyholder:
        """A keyholder on the state folder `name`."""
        territory: Any = self.territory
        memory = Memory(self.folder / name, NAME)
        return Keyholder(
            Office(
                self.territory.root,
                territory.keyholder_key,
                memory,
                History(self.policy, self.site),
                self.standing(memory),
                lambda digest: self.bundle.raw if digest == self.bundle.digest else None,
                self.clock,
                seeded(entropy),
            )
        )

    def trustee(self, number: int, suffix: str = "") -> Trustee:
        """Trustee `number` (0 to 4), on a state of their own."""
        name = f"trustee{number}{suffix}"
        if name not in self._trustees:
            territory: Any = self.territory
            memory = TrusteeMemory(self.folder / name, NAME)
            judge = Judge(
                self.territory.root, History(self.policy, self.site), self.standing(memory)
            )
            self._trustees[name] = Trustee(
                territory.trustee_keys[number], memory, judge, self.clock, seeded(name.encode())
            )
        return self._trustees[name]

    def restart_trustees(self) -> None:
        """Every trustee's program starts again on its folder."""
        for trustee in self._trustees.values():
            trustee.memory.close()
        self._trustees.clear()

    def plan_for(self, story: Story, /, **changes: Any) -> Exhibit:
        document = Plan(
            territory=NAME,
            campaign=self.campaign,
            round=1,
            bundle=self.bundle.digest,
            authorisation=self.vote,
            parameters=Digest.of(b"{}"),
            issued_at=self.territory.now,
            deadline=self.territory.now + timedelta(hours=1),
            helper=Digest.of(story.certificate),
            epoch=Digest.of(story.key),
        )
        return self.log(Kind.PLAN, replace(document, **changes), [self.territory.orders_key])

    def trustees(self) -> list[bytes]:
        return [self.trustee(number).certificate() for number in range(TRUSTEES)]

    def ended_epoch(self) -> EndOfEpoch:
        return EndOfEpoch(self.ended().ended)


@dataclass
class Story:
    """A campaign up to the point where its batch can be opened."""

    world: World
    keyholder: Keyholder
    weights: tuple[int, ...] = (1, 2, 3)

    def __post_init__(self) -> None:
        world = self.world
        self.key = self.ceremony()
        self.epoch = world.log_raw(Kind.EPOCH_KEY, self.key)
        self.document = world.territory.root.verify(EpochKey, self.key, Duty.KEYHOLDER).document
        self.public = self.keyholder.engage(self.engagement()).public
        self.encryptor = scheme.Encryptor(world.profile, self.public)
        self.helper_secret, self.certificate = _helper_key(world)
        world.certificate = self.certificate
        world.territory.logged(Kind.HELPER_KEY, self.certificate)
        self.plan = world.plan_for(self)
        self.reports = [
            self.report(station, world.steps(weight))
            for station, weight in zip(world.stations, self.weights, strict=False)
        ]

    def engagement(self) -> EngageRequest:
        return self.world.engagement()

    def ceremony(self) -> bytes:
        world = self.world
        with contextlib.suppress(CeremonyAwaited):
            self.keyholder.engage(self.engagement())
        return self.keyholder.ceremony(world.campaign, world.trustees())

    def report(
        self,
        station: Station,
        steps: Steps,
        /,
        *,
        forge: Callable[[Residues], Residues] = lambda honest: honest,
        **changes: Any,
    ) -> Report:
        """One worker's encrypted partial, masked under a seed sealed to the helper."""
        world = self.world
        document = world.territory.root.verify(Plan, self.plan.envelope, Duty.ORDERS).document
        seed = Seed.draw(seeded(b"seed" + station.worker.encode()))
        fresh = self.encryptor.encrypt(packing.pack(world.profile, world.rules, steps))
        ciphertext = residues.write(masks.masked(forge(fresh), seed))
        partial = Partial(
            territory=NAME,
            campaign=document.campaign,
            round=document.round,
            unit=UnitId.draw(seeded(station.worker.encode())),
            worker=station.worker,
            report=ReportId.draw(seeded(station.worker.encode())),
            bundle=document.bundle,
            plan=Digest.of(self.plan.envelope),
            parameters=document.parameters,
            capsules=station.contributors,
            contributors=station.contributors,
            values=Digest.of(ciphertext),
            protection=Protection.ENCRYPTED,
            variances={rule.output: "0" for rule in world.rules},
            rho="0.1",
            image=IMAGE,
            level="L2",
            made_at=world.territory.now,
        )
        partial = replace(partial, **changes)
        sealed = seal(
            seed, X25519PublicKey.from_public_bytes(self.helper_secret), Binding.of(partial)
        )
        partial = replace(partial, sealed=Digest.of(sealed))
        raw = signed.sign(partial, [station.key]).envelope.raw
        return Report(raw, ciphertext, seed)

    def preparation(
        self, reports: Sequence[Report] | None = None, **changes: LoggedDocument
    ) -> OpeningPreparation:
        """The leader's signed question; `changes` are of what it shows."""
        reports = self.reports if reports is None else reports
        world = self.world
        parts = (
            changes.get("plan", logged(self.plan)),
            changes.get("epoch", logged(self.epoch)),
            tuple(report.partial for report in reports),
            tuple(logged(s.enrolment) for s in world.stations),
        )
        plan = world.territory.root.verify(Plan, self.plan.envelope, Duty.ORDERS).document
        asked = BatchQuestion(NAME, plan.campaign, plan.round, content_of(*parts))
        question = signed.sign(asked, [world.territory.orders_key]).envelope.raw
        return OpeningPreparation(question, *parts)

    def batch(self, reports: Sequence[Report], /, **changes: Any) -> tuple[Exhibit, Batch]:
        world = self.world
        keys = {s.key.public for s in world.stations}
        partials = [signed.verify(Partial, r.partial, keys) for r in reports]
        lines = Batch.of(BatchMember.of(p.document, p.digest, p.document.sealed) for p in partials)
        world.keep(lines.encode())
        plan = world.territory.root.verify(Plan, self.plan.envelope, Duty.ORDERS).document
        document = BatchCommitment(
            territory=NAME,
            campaign=plan.campaign,
            round=plan.round,
            plan=Digest.of(self.plan.envelope),
            parameters=plan.parameters,
            helper=Digest.of(self.certificate),
            batch=lines.digest,
            partials=lines.reports,
            contributors_rounded=lines.contributors_rounded,
            committed_at=world.territory.now,
        )
        exhibit = world.log(Kind.BATCH, replace(document, **changes), [world.territory.orders_key])
        return exhibit, lines

    def total(self, reports: Sequence[Report]) -> bytes:
        """What the scheduler does: residues added with numpy, no key."""
        total = ResidueSum(self.world.profile)
        for report in reports:
            total.add(residues.parse(report.ciphertext, self.world.profile))
        return residues.write(total.total())

    def share(self, batch: Exhibit, side: Side, blob: bytes, /, **changes: Any) -> bytes:
        """One aggregator's signed half."""
        world = self.world
        said = world.territory.root.verify(BatchCommitment, batch.envelope, Duty.ORDERS).document
        document = AggregateShare(
            territory=NAME,
            campaign=said.campaign,
            round=said.round,
            plan=said.plan,
            parameters=said.parameters,
            batch=said.batch,
            side=side,
            values=Digest.of(blob),
            variances={rule.output: "0" for rule in world.rules},
            made_at=said.committed_at,
        )
        key = world.territory.orders_key if side is Side.LEADER else world.territory.helper_key
        return signed.sign(replace(document, **changes), [key]).envelope.raw

    def opening(
        self,
        reports: Sequence[Report] | None = None,
        *,
        total: bytes | None = None,
        blinding: bytes | None = None,
        leader: dict[str, Any] | None = None,
        helper: dict[str, Any] | None = None,
        batch: tuple[Exhibit, Batch] | None = None,
    ) -> OpeningRequest:
        reports = self.reports if reports is None else reports
        exhibit, lines = batch or self.batch(reports)
        total = self.total(reports) if total is None else total
        if blinding is None:
            blinding = sum_masks(self.world.profile, [r.seed for r in reports])
        mine = self.share(exhibit, Side.LEADER, total, **(leader or {}))
        theirs = self.share(exhibit, Side.HELPER, blinding, **(helper or {}))
        return OpeningRequest(
            batch=logged(exhibit),
            lines=lines.encode(),
            leader=logged(self.world.log_raw(Kind.SHARE, mine)),
            sum=total,
            helper=CommitAnswer(theirs, blinding),
        )

    def contribute(self, numbers: Sequence[int], keyholder: Keyholder | None = None) -> list[int]:
        """Trustees look for a summons and answer it; how many shares there were after each."""
        keyholder = keyholder or self.keyholder
        counts: list[int] = []
        for number in numbers:
            trustee = self.world.trustee(number)
            wanted = keyholder.summons(SummonsRequest(Digest.of(trustee.certificate())))
            counts += [
                keyholder.contribute(trustee.contribute(summons)).contributed
                for summons in wanted.openings
            ]
        return counts

    def values(self, answer: OpeningAnswer) -> tuple[AggregateOpened, Steps]:
        document = self.world.territory.root.verify(
            AggregateOpened, answer.opened, Duty.KEYHOLDER
        ).document
        assert document.values == Digest.of(answer.values)
        return document, decode_partial(self.world.rules, answer.values)

    def require_noised(self, steps: Steps, exact: int) -> None:
        """`steps` are `exact` everywhere, but for one full noise."""
        for rule in self.world.rules:
            error = steps[rule.output] - exact
            assert np.abs(error).max() > 0
            assert np.abs(error).max() <= accounting.simultaneous_band(
                accounting.noise_of(rule), 1, error.size
            )


def _helper_key(world: World) -> tuple[bytes, bytes]:
    public = X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    certificate = HelperKey(
        territory=NAME,
        campaign=world.campaign,
        bundle=world.bundle.digest,
        authorisation=world.vote,
        key=public,
        made_at=world.territory.now,
        not_after=world.territory.now.replace(year=2027),
    )
    raw = signed.sign(certificate, [world.territory.helper_key]).envelope.raw
    return public, raw


def denied(world: World, question: Callable[[], object]) -> str:
    """The code of the signed refusal that `question` ends with."""
    with pytest.raises(Denied) as caught:
        question()
    root = world.territory.root
    refusal = root.verify(KeyholderRefusal, caught.value.envelope, Duty.KEYHOLDER).document
    assert refusal.code == caught.value.problem.code
    assert refusal.sentence
    return refusal.code


def secret_of(story: Story) -> bytes:
    """The epoch's secret key, by three trustees who come together outside every rule."""
    world, document = story.world, story.document
    memory = story.keyholder._office.memory
    epoch, entrusted = memory.epoch(world.campaign), memory.entrusted(world.campaign)
    assert epoch is not None
    assert epoch.wrapped is not None
    shares = []
    for number in range(THRESHOLD):
        identity = world.trustee(number).memory.identity()
        assert identity is not None
        mine = Digest.of(identity.certificate)
        place = document.trustees.index(mine)
        shares.append(
            custody.open_share(
                entrusted[place].sealed or b"",
                epoch_of(document),
                dealing_of(document),
                X25519PrivateKey.from_private_bytes(identity.secret),
                trustee=mine,
                leg=Leg.ENTRUSTED,
            )
        )
    sealed = tuple(item.sealed or b"" for item in entrusted)
    return custody.recover(
        EntrustedKey(
            epoch_of(document), dealing_of(document), epoch.wrapped, sealed, document.trustees
        ),
        shares,
    )
