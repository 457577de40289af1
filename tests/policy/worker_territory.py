"""A whole territory's signatures in one object, for tests of what a worker believes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from trust import certificates, clock
from trust.documents import signed
from trust.documents.aggregation import HelperKey
from trust.documents.campaign import Order, OrderBatch, Plan, UnitKind
from trust.documents.custody import EpochKey
from trust.documents.governance import Authorisation, Status, Suspended
from trust.documents.membership import BundleStatement
from trust.documents.root import Duty, DutyKeys, Root
from trust.documents.rules import (
    Bound,
    Mechanism,
    Norm,
    PrivacyUnit,
    Protection,
    ReleaseRules,
)
from trust.entropy import Entropy, seeded
from trust.ids import (
    AttemptId,
    AuthorisationId,
    CampaignId,
    Digest,
    FencingToken,
    KeyEpochId,
    UnitId,
    WorkerId,
)
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.entry import Kind, LogEntry
from trust.log.note import LogKey
from trust.log.proof import LogProof
from trust.log.tree import Tree, leaf_hash
from trust.policy import BundleFacts, Exhibit, RunRequest, Served
from trust.root import TrustedRoot, trust_pinned

NAME = "plaine-commune.example"
ORIGIN = "log.plaine-commune.example"
NOON = clock.from_text("2026-11-22T12:00:00Z")
IMAGE = Digest.of(b"runtime image")
FLOWS = ReleaseRules(
    output="flows",
    shape=(9, 9, 6),
    dtype="int64",
    step="1",
    norm=Norm.L2,
    bound="1",
    unit=PrivacyUnit.OWNER,
    protection=Protection.CLEAR,
    mechanism=Mechanism.DISCRETE_GAUSSIAN,
    rho="0.1",
    minimum_contributors=20,
    maximum_contributors=1_000_000,
    minimum_capsules=20,
    minimum_workers=1,
    minimum_operators=1,
    suppress_below=20,
)
FACTS = BundleFacts(
    bundle=Digest.of(b"the bundle"),
    manifest=Digest.of(b"the manifest"),
    rules=(FLOWS,),
    tables={"commute": ("home_sector", "work_sector")},
    bounds={"hour": Bound("integer", "0", "23", ())},
    rounds=1,
    charge=Fraction(1, 10),
)
PARAMETERS = b'{"hour":8}'


def facts_under(protection: Protection) -> BundleFacts:
    """The same bundle under another protection."""
    return replace(FACTS, rules=tuple(replace(rule, protection=protection) for rule in FACTS.rules))


@dataclass
class Territory:
    """Every key of a territory and what they sign; `now` is when everything was made."""

    now: datetime = NOON
    status_url: str = "http://127.0.0.1:9/status.json"
    entropy: Entropy = field(default_factory=lambda: seeded(b"territory"))

    def __post_init__(self) -> None:
        def key() -> PrivateKey:
            return PrivateKey.generate(self.entropy)

        self.root_key, self.orders_key, self.status_key, self.registry_key = (
            key(),
            key(),
            key(),
            key(),
        )
        self.college = [key(), key(), key()]
        self.log_key, self.witness_key, self.author = key(), key(), key()
        self.helper_key, self.keyholder_key = key(), key()
        self.authority_key = certificates.new_key()
        self.authority = certificates.make_authority(self.authority_key, NAME, self.now)
        self.log: list[bytes] = []
        self.raw_root = self.sign_root()
        self.root: TrustedRoot = trust_pinned(self.raw_root, Digest.of(self.raw_root))

    def sign_root(self, **changes: Any) -> bytes:
        """The root's envelope, with fields replaced."""
        log = LogKey(ORIGIN, self.log_key.public)
        witness = CosignerKey("witness.example", self.witness_key.public)
        document = Root(
            territory=NAME,
            version=1,
            issued_at=self.now - timedelta(days=1),
            expires_at=self.now + timedelta(days=365),
            duties={
                Duty.ROOT: DutyKeys((self.root_key.public,), 1),
                Duty.COLLEGE: DutyKeys(tuple(k.public for k in self.college), 2),
                Duty.STATUS: DutyKeys((self.status_key.public,), 1),
                Duty.ORDERS: DutyKeys((self.orders_key.public,), 1),
                Duty.REGISTRY: DutyKeys((self.registry_key.public,), 1),
                Duty.HELPER: DutyKeys((self.helper_key.public,), 1),
                Duty.KEYHOLDER: DutyKeys((self.keyholder_key.public,), 1),
            },
            authority=certificates.to_der(self.authority),
            log_policy=f"log {log}\nwitness w {witness}\nquorum w\n",
            status_url=self.status_url,
        )
        return signed.sign(replace(document, **changes), [self.root_key]).envelope.raw

    def logged(self, kind: Kind, envelope: bytes, *, witnessed: bool = True) -> Exhibit:
        """`envelope` with the proof that it is in the log."""
        self.log.append(LogEntry.of(kind, envelope).emit())
        tree = Tree(leaf_hash(entry) for entry in self.log)
        index, note = len(self.log) - 1, self.checkpoint(witnessed=witnessed)
        return Exhibit(envelope, LogProof(index, tuple(tree.inclusion(index)), note).emit())

    def checkpoint(self, *, witnessed: bool = True) -> bytes:
        """The log's present checkpoint."""
        tree = Tree(leaf_hash(entry) for entry in self.log)
        note = Checkpoint(ORIGIN, tree.size, tree.root()).signed(self.log_key)
        if witnessed:
            note = note.with_signatures(
                [cosign(note.text, "witness.example", self.witness_key, 1_700_000_000)]
            )
        return note.emit()

    def authorisation(
        self, facts: BundleFacts = FACTS, keys: list[PrivateKey] | None = None, **changes: Any
    ) -> Exhibit:
        """A logged vote for `facts`."""
        document = Authorisation(
            id=AuthorisationId.draw(seeded(b"vote")),
            territory=NAME,
            bundle=facts.bundle,
            manifest=facts.manifest,
            title="Commuting flows",
            purpose="mobility planning",
            tables=facts.tables,
            rules=facts.rules,
            bounds=facts.bounds,
            images=(IMAGE,),
            rho_budget="1",
            campaigns=4,
            not_before=self.now - timedelta(hours=1),
            not_after=self.now + timedelta(days=30),
        )
        signing = self.college[:2] if keys is None else keys
        envelope = signed.sign(replace(document, **changes), signing).envelope.raw
        return self.logged(Kind.AUTHORISATION, envelope)

    def statement(self, facts: BundleFacts = FACTS, **changes: Any) -> bytes:
        """The author's word for `facts`."""
        document = BundleStatement(
            bundle=facts.bundle,
            manifest=facts.manifest,
            name="commute_flows",
            version="1.0.0",
            author=self.author.public,
            signed_at=self.now,
        )
        return signed.sign(replace(document, **changes), [self.author]).envelope.raw

    def plan(
        self,
        facts: BundleFacts = FACTS,
        parameters: bytes = PARAMETERS,
        key: PrivateKey | None = None,
        **changes: Any,
    ) -> Exhibit:
        """A logged plan for round 1."""
        document = Plan(
            territory=NAME,
            campaign=CampaignId.draw(seeded(b"campaign")),
            round=1,
            bundle=facts.bundle,
            authorisation=AuthorisationId.draw(seeded(b"vote")),
            parameters=Digest.of(parameters),
            issued_at=self.now,
            deadline=self.now + timedelta(minutes=10),
        )
        envelope = signed.sign(replace(document, **changes), [key or self.orders_key]).envelope.raw
        return self.logged(Kind.PLAN, envelope)

    def helper(self, key: PrivateKey | None = None, **changes: Any) -> Exhibit:
        """The helper's logged key for the campaign of `plan`."""
        document = HelperKey(
            territory=NAME,
            campaign=CampaignId.draw(seeded(b"campaign")),
            bundle=FACTS.bundle,
            authorisation=AuthorisationId.draw(seeded(b"vote")),
            key=bytes(range(32)),
            made_at=self.now,
            not_after=self.now + timedelta(days=7),
        )
        envelope = signed.sign(replace(document, **changes), [key or self.helper_key]).envelope.raw
        return self.logged(Kind.HELPER_KEY, envelope)

    def shared_request(self, helper: Exhibit | None = None, **changes: Any) -> RunRequest:
        """A request under `shared` for which every policy holds, with fields replaced."""
        facts = facts_under(Protection.SHARED)
        helper = helper or self.helper()
        values: dict[str, Any] = {
            "plan": self.plan(helper=Digest.of(helper.envelope)),
            "authorisation": self.authorisation(facts),
            "facts": facts,
            "helper": helper,
        }
        return self.request(**values | changes)

    def epoch(self, key: PrivateKey | None = None, **changes: Any) -> Exhibit:
        """The keyholder's logged key for the campaign of `plan`."""
        document = EpochKey(
            territory=NAME,
            campaign=CampaignId.draw(seeded(b"campaign")),
            bundle=FACTS.bundle,
            authorisation=AuthorisationId.draw(seeded(b"vote")),
            epoch=KeyEpochId.draw(seeded(b"epoch")),
            profile="somme",
            public=Digest.of(b"public key"),
            threshold=1,
            trustees=(Digest.of(b"trustee"),),
            sealed=(Digest.of(b"sealed share"),),
            shares=(bytes(32),),
            secret=bytes(32),
            wrapped=Digest.of(b"wrapped key"),
            made_at=self.now,
            not_after=self.now + timedelta(days=7),
        )
        signing = key or self.keyholder_key
        envelope = signed.sign(replace(document, **changes), [signing]).envelope.raw
        return self.logged(Kind.EPOCH_KEY, envelope)

    def encrypted_request(self, epoch: Exhibit | None = None, **changes: Any) -> RunRequest:
        """A request under `encrypted` for which every policy holds, with fields replaced."""
        facts = facts_under(Protection.ENCRYPTED)
        helper, epoch = self.helper(), epoch or self.epoch()
        values: dict[str, Any] = {
            "plan": self.plan(helper=Digest.of(helper.envelope), epoch=Digest.of(epoch.envelope)),
            "authorisation": self.authorisation(facts),
            "facts": facts,
            "helper": helper,
            "epoch": epoch,
        }
        return self.request(**values | changes)

    def order(self, plan: Exhibit, /, **changes: Any) -> Order:
        """One attempt at one contribute unit under `plan`."""
        document = self.root.verify(Plan, plan.envelope, Duty.ORDERS).document
        order = Order(
            unit=UnitId.draw(self.entropy),
            attempt=AttemptId.draw(self.entropy),
            number=1,
            token=FencingToken.draw(self.entropy),
            kind=UnitKind.CONTRIBUTE,
            campaign=document.campaign,
            round=document.round,
            bundle=document.bundle,
            authorisation=document.authorisation,
            plan=Digest.of(plan.envelope),
            parameters=document.parameters,
            aggregate=None,
            lease_seconds=300,
        )
        return replace(order, **changes)

    def orders(
        self,
        worker: WorkerId,
        orders: tuple[Order, ...] = (),
        *,
        answers: int = 1,
        key: PrivateKey | None = None,
        **changes: Any,
    ) -> bytes:
        """A signed order batch."""
        document = OrderBatch(
            territory=NAME,
            worker=worker,
            answers=answers,
            issued_at=self.now,
            orders=orders,
            cancellations=(),
            acknowledgements=(),
            waiting=(),
        )
        return signed.sign(replace(document, **changes), [key or self.orders_key]).envelope.raw

    def status(
        self,
        number: int = 1,
        *,
        age: timedelta = timedelta(minutes=1),
        suspended: tuple[AuthorisationId, ...] = (),
        key: PrivateKey | None = None,
        **changes: Any,
    ) -> bytes:
        """A signed governance status."""
        document = Status(
            territory=NAME,
            number=number,
            issued_at=self.now - age,
            expires_at=self.now - age + timedelta(hours=24),
            suspensions=tuple(Suspended(vote, "found to be harmful") for vote in suspended),
            revoked=(),
            live_consents={},
        )
        return signed.sign(replace(document, **changes), [key or self.status_key]).envelope.raw

    def verified_status(self, number: int = 1, **changes: Any) -> signed.Signed[Status]:
        """The same, verified."""
        return self.root.verify(Status, self.status(number, **changes), Duty.STATUS)

    def request(self, **changes: Any) -> RunRequest:
        """A request for which every policy holds, with fields replaced."""
        worker = WorkerId.draw(seeded(b"worker"))
        plan = changes.pop("plan", None) or self.plan()
        order = changes.pop("order", None) or self.order(plan)
        values: dict[str, Any] = {
            "root": self.root,
            "worker": worker,
            "now": self.now,
            "boottime": 105.0,
            "received_at": 100.0,
            "orders": self.orders(worker, (order,)),
            "answers": 1,
            "order": order,
            "plan": plan,
            "authorisation": None,
            "statement": self.statement(),
            "facts": FACTS,
            "parameters": PARAMETERS,
            "image": IMAGE,
            "known_plan": None,
            "served": Served(),
            "status": self.verified_status(),
            "status_number": 1,
        }
        values |= changes
        values["authorisation"] = values["authorisation"] or self.authorisation()
        return RunRequest(**values)
