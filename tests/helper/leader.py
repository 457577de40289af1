"""A leader with real workers' reports, for the helper's tests: every document is a real one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from numpy.typing import NDArray
from worker_territory import IMAGE, NAME, Territory

from governance.batches.history import History
from governance.batches.standing import Standing
from governance.helper.helper import Helper
from governance.helper.memory import Memory
from governance.helper.office import Office
from jobs import archive
from jobs.opening import built_in_folder
from protection.batch import Batch, BatchMember
from protection.layout import Layout, Role, Vector
from protection.scope import Binding
from protection.seeds import Seed, seal
from protection.shares import ShareSum, combine, split
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.aggregation import (
    BatchCommitment,
    BatchQuestion,
    CampaignEnded,
    Engagement,
    HelperKey,
)
from trust.documents.campaign import Plan
from trust.documents.governance import Authorisation
from trust.documents.membership import Enrolled
from trust.documents.reporting import Partial
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.entropy import seeded
from trust.ids import AuthorisationId, CampaignId, Digest, ReportId, UnitId, WorkerId
from trust.keys import PrivateKey
from trust.log.entry import Kind
from trust.log.policy import Policy
from trust.log.tiles import TILE_WIDTH, emit_bundle
from trust.policy import Exhibit
from wire.aggregation import (
    CommitAnswer,
    CommitRequest,
    EndRequest,
    EngageRequest,
    LoggedDocument,
    PrepareRequest,
    SealedReport,
    content_of,
)

OPERATORS = ("ville", "departement", "association")
Steps = dict[str, NDArray[np.int64]]


def shared_bundle(folder: Path) -> archive.Bundle:
    """`travel_statistics` with one word of its manifest changed."""
    source = folder / "travel_statistics"
    shutil.copytree(built_in_folder("travel_statistics"), source, dirs_exist_ok=True)
    manifest = source / "bundle.toml"
    text = manifest.read_text().replace('protection = "clear"', 'protection = "shared"')
    manifest.write_text(text)
    return archive.pack_folder(source)


@dataclass
class Station:
    """One enrolled worker."""

    key: PrivateKey
    operator: str
    contributors: int
    enrolment: Exhibit

    @property
    def worker(self) -> WorkerId:
        return self.key.public.worker_id


@dataclass
class Leader:
    """What a scheduler does towards the helper, honest unless a test changes it."""

    territory: Territory
    bundle: archive.Bundle
    folder: Path
    stations: list[Station] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)  # what the site withholds
    statuses: int = 0

    def __post_init__(self) -> None:
        self.clock = ManualClock(self.territory.now)
        self.campaign = CampaignId.draw(seeded(b"campaign"))
        self.vote = AuthorisationId.draw(seeded(b"vote"))
        self.rules = tuple(
            replace(rule, minimum_workers=3, minimum_operators=2)
            for rule in self.bundle.manifest.rules()
        )
        self.authorisation = self._authorise(self.rules)
        self.keep(self.bundle.raw)
        for number, operator in enumerate(OPERATORS):
            self.enrol(operator, 30 + number)
        self.status_raw = self.status()

    def _authorise(self, rules: Any) -> Exhibit:
        document = Authorisation(
            id=self.vote,
            territory=NAME,
            bundle=self.bundle.digest,
            manifest=self.bundle.manifest_digest,
            title="Travel",
            purpose="mobility planning",
            tables={"travel": ("distance",)},
            rules=rules,
            bounds={},
            images=(IMAGE,),
            rho_budget="1",
            campaigns=4,
            not_before=self.territory.now - timedelta(hours=1),
            not_after=self.territory.now + timedelta(days=30),
        )
        return self.log(Kind.AUTHORISATION, document, self.territory.college[:2])

    def log(self, kind: Kind, document: Any, keys: Sequence[PrivateKey]) -> Exhibit:
        raw = signed.sign(document, keys).envelope.raw
        self.keep(raw)
        return self.territory.logged(kind, raw)

    def log_raw(self, kind: Kind, raw: bytes) -> Exhibit:
        self.keep(raw)
        return self.territory.logged(kind, raw)

    def keep(self, raw: bytes) -> Digest:
        digest = Digest.of(raw)
        name = digest.removeprefix("sha256:")
        self.objects[f"objects/sha256/{name[:2]}/{name}"] = raw
        return digest

    def site(self, path: str) -> bytes | None:
        """What the scheduler's site serves."""
        if path in self.hidden:
            return None
        if path == "log/checkpoint":
            return self.territory.checkpoint()
        if not path.startswith("log/tile/entries/"):
            return self.objects.get(path)
        log = self.territory.log
        assert len(log) < TILE_WIDTH
        width = int(path.rpartition("/")[2]) if ".p/" in path else TILE_WIDTH
        return emit_bundle(log[:width]) if width <= len(log) else None

    def status(self, **changes: Any) -> bytes:
        """Governance's present status."""
        self.statuses += 1
        live = {self.bundle.digest: {s.worker: s.contributors for s in self.stations}}
        raw = self.territory.status(self.statuses, age=timedelta(0), live_consents=live, **changes)
        self.status_raw = raw
        return raw

    def helper(self, name: str = "helper", entropy: bytes = b"helper") -> Helper:
        """A helper on the state folder `name`."""
        root = self.territory.root
        memory = Memory(self.folder / name, NAME)
        history = History(Policy.parse(root.document.log_policy.encode()), self.site)
        standing = Standing(root, memory, lambda _url: self.status_raw, self.clock)
        return Helper(
            Office(
                root,
                self.territory.helper_key,
                memory,
                history,
                standing,
                lambda digest: self.bundle.raw if digest == self.bundle.digest else None,
                self.clock,
                seeded(entropy),
            )
        )

    def enrol(self, operator: str, contributors: int) -> Station:
        key = PrivateKey.generate(self.territory.entropy)
        document = Enrolled(
            territory=NAME,
            worker=key.public.worker_id,
            key=key.public,
            operator=operator,
            site="site",
            enrolled_at=self.territory.now,
        )
        exhibit = self.log(Kind.ENROLMENT, document, [self.territory.orders_key])
        station = Station(key, operator, contributors, exhibit)
        self.stations.append(station)
        return station

    def engagement(self, **changes: Any) -> EngageRequest:
        document = Engagement(
            territory=NAME,
            campaign=self.campaign,
            bundle=self.bundle.digest,
            authorisation=self.vote,
            asked_at=self.territory.now,
        )
        raw = signed.sign(replace(document, **changes), [self.territory.orders_key]).envelope.raw
        return EngageRequest(raw, logged(self.authorisation))

    def plan(self, certificate: bytes, /, **changes: Any) -> Exhibit:
        self.certificate = certificate
        self.territory.logged(Kind.HELPER_KEY, certificate)
        document = Plan(
            territory=NAME,
            campaign=self.campaign,
            round=1,
            bundle=self.bundle.digest,
            authorisation=self.vote,
            parameters=Digest.of(b"{}"),
            issued_at=self.territory.now,
            deadline=self.territory.now + timedelta(hours=1),
            helper=Digest.of(certificate),
        )
        return self.log(Kind.PLAN, replace(document, **changes), [self.territory.orders_key])

    @property
    def layout(self) -> Layout:
        return Layout.of(self.rules, 1)

    def report(
        self, plan: Exhibit, station: Station, steps: Steps, /, *, seed: bytes = b"", **changes: Any
    ) -> tuple[SealedReport, Vector]:
        """One worker's sealed report and the leader's share beside it."""
        document = self.territory.root.verify(Plan, plan.envelope, Duty.ORDERS).document
        certified = self.territory.root.verify(HelperKey, self.certificate, Duty.HELPER).document
        secret = Seed.draw(seeded(seed or station.worker.encode()))
        share = split(steps, self.layout, secret)
        partial = Partial(
            territory=NAME,
            campaign=document.campaign,
            round=document.round,
            unit=UnitId.draw(seeded(station.worker.encode())),
            worker=station.worker,
            report=ReportId.draw(seeded(station.worker.encode())),
            bundle=document.bundle,
            plan=Digest.of(plan.envelope),
            parameters=document.parameters,
            capsules=station.contributors,
            contributors=station.contributors,
            values=Digest.of(share.encode()),
            protection=Protection.SHARED,
            variances={rule.output: "0" for rule in self.rules},
            rho="0.1",
            image=IMAGE,
            level="L2",
            made_at=self.territory.now,
        )
        partial = replace(partial, **changes)
        sealed = seal(secret, X25519PublicKey.from_public_bytes(certified.key), Binding.of(partial))
        partial = replace(partial, sealed=Digest.of(sealed))
        raw = signed.sign(partial, [station.key]).envelope.raw
        return SealedReport(raw, sealed), share

    def preparation(
        self,
        plan: Exhibit,
        reports: Sequence[SealedReport],
        enrolments: Sequence[Exhibit] | None = None,
    ) -> PrepareRequest:
        document = self.territory.root.verify(Plan, plan.envelope, Duty.ORDERS).document
        shown = [s.enrolment for s in self.stations] if enrolments is None else enrolments
        parts = logged(plan), tuple(reports), tuple(logged(item) for item in shown)
        question = BatchQuestion(NAME, document.campaign, document.round, content_of(*parts))
        raw = signed.sign(question, [self.territory.orders_key]).envelope.raw
        return PrepareRequest(raw, *parts)

    def commitment(
        self, plan: Exhibit, reports: Sequence[SealedReport], /, **changes: Any
    ) -> CommitRequest:
        document = self.territory.root.verify(Plan, plan.envelope, Duty.ORDERS).document
        lines = Batch.of(
            BatchMember.of(
                signed.verify(Partial, r.partial, {s.key.public for s in self.stations}).document,
                Digest.of(r.partial),
                Digest.of(r.sealed),
            )
            for r in reports
        )
        self.keep(lines.encode())
        batch = BatchCommitment(
            territory=NAME,
            campaign=document.campaign,
            round=document.round,
            plan=Digest.of(plan.envelope),
            parameters=document.parameters,
            helper=Digest.of(self.certificate),
            batch=lines.digest,
            partials=lines.reports,
            contributors_rounded=lines.contributors_rounded,
            committed_at=self.territory.now,
        )
        exhibit = self.log(Kind.BATCH, replace(batch, **changes), [self.territory.orders_key])
        return CommitRequest(logged(exhibit), lines.encode())

    def ended(self) -> EndRequest:
        document = CampaignEnded(NAME, self.campaign, self.territory.now)
        raw = signed.sign(document, [self.territory.orders_key]).envelope.raw
        return EndRequest(raw, Digest.of(self.certificate))

    def opened(self, shares: Sequence[Vector], answer: CommitAnswer) -> Steps:
        """The aggregate in steps, without the leader's own noise."""
        total = ShareSum(self.layout)
        for share in shares:
            total.add(share)
        zeros = {rule.output: np.zeros(rule.shape, np.int64) for rule in self.rules}
        masks = Vector.decode(self.layout, Role.MASKS, answer.values)
        return combine(total.answer(zeros), masks)

    def steps(self, value: int) -> Steps:
        return {rule.output: np.full(rule.shape, value, np.int64) for rule in self.rules}


def logged(exhibit: Exhibit) -> LoggedDocument:
    return LoggedDocument(exhibit.envelope, exhibit.proof)
