"""A territory of our own: its keys, its root, a joined worker, and one campaign's papers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from jobs import archive
from trust import certificates
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.budget import LedgerCheckpoint, LedgerStanding
from trust.documents.campaign import Order, OrderBatch, Plan, UnitKind
from trust.documents.governance import Authorisation, Status
from trust.documents.membership import BundleStatement
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import SYSTEM
from trust.ids import AttemptId, AuthorisationId, CampaignId, Digest, FencingToken, UnitId
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.entry import Kind, LogEntry
from trust.log.note import LogKey
from trust.log.proof import LogProof
from trust.log.tree import Tree, leaf_hash
from trust.policy import Exhibit
from worker import identity

NAME = "bench.example"
PURPOSE = "mobility planning"
PARAMETERS = b"{}"
_LOG = f"log.{NAME}"
_WITNESS = f"witness.{NAME}"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Papers:
    """One campaign's order with everything that a worker demands to see beside it."""

    order: Order
    plan: Exhibit
    authorisation: Exhibit
    statement: bytes


class Territory:
    """Every key in one place, which only a measurement may do."""

    def __init__(self, now: datetime, status_url: str = "http://127.0.0.1:1/status.json") -> None:
        self.now = now.replace(microsecond=0)
        self._status_url = status_url
        names = ("root", "orders", "status", "log", "witness", "author", "one", "two")
        self._keys = {name: PrivateKey.generate(SYSTEM) for name in names}
        self._tls = certificates.new_key()
        self.authority = certificates.make_authority(self._tls, NAME, self.now)
        self._entries: list[bytes] = []

    @cached_property
    def root(self) -> bytes:
        """The root's envelope."""
        log = LogKey(_LOG, self._keys["log"].public)
        witness = CosignerKey(_WITNESS, self._keys["witness"].public)

        def duty(*names: str) -> DutyKeys:
            return DutyKeys(tuple(self._keys[name].public for name in names), len(names))

        document = Root(
            territory=NAME,
            version=1,
            issued_at=self.now - _DAY,
            expires_at=self.now + _DAY,
            duties={
                Duty.ROOT: duty("root"),
                Duty.COLLEGE: duty("one", "two"),
                Duty.STATUS: duty("status"),
                Duty.ORDERS: duty("orders"),
            },
            authority=certificates.to_der(self.authority),
            log_policy=f"log {log}\nwitness w {witness}\nquorum w\n",
            status_url=self._status_url,
        )
        return signed.sign(document, [self._keys["root"]]).envelope.raw

    def join(self, state: Path, work_address: str = "127.0.0.1:1") -> identity.Identity:
        """A worker of this territory in the fresh directory `state`."""
        keys = identity.load_or_draw_keys(state, SYSTEM)
        certificate = certificates.issue(
            self._tls,
            self.authority,
            certificates.make_request(keys.tls, keys.worker),
            territory=NAME,
            role=certificates.Role.WORKER,
            name=keys.worker,
            now=self.now,
        )
        names = identity.Names(
            territory=NAME,
            pin=Digest.of(self.root),
            operator="city",
            site="town-hall",
            work_address=work_address,
            site_url=self._status_url.rpartition("/")[0],
        )
        return identity.establish(state, names, certificate, (self.root,))

    def server_pair(self, host: str) -> tuple[bytes, bytes]:
        """A scheduler's TLS key and certificate for `host`, PEM."""
        key = certificates.new_key()
        certificate = certificates.issue(
            self._tls,
            self.authority,
            certificates.make_request(key, "scheduler"),
            territory=NAME,
            role=certificates.Role.SCHEDULER,
            name="scheduler",
            now=self.now,
            hosts=(host,),
        )
        return certificates.key_to_pem(key), certificates.to_pem(certificate)

    def standing(self, body: bytes) -> bytes:
        """The registry's word about a ledger: as far as it says itself."""
        asked = signed.verify_self_named(LedgerCheckpoint, body, "key")
        document = LedgerStanding(
            territory=NAME,
            worker=asked.document.worker,
            asked=asked.digest,
            counter=asked.document.counter,
            head=asked.document.head,
            answered_at=SystemClock().now().replace(microsecond=0),
        )
        return self._signed(document, "status")

    def status(self) -> bytes:
        """Governance's status: nobody suspended, nothing revoked."""
        document = Status(
            territory=NAME,
            number=1,
            issued_at=self.now,
            expires_at=self.now + _DAY,
            suspensions=(),
            revoked=(),
            live_consents={},
        )
        return self._signed(document, "status")

    def papers(self, bundle: archive.Bundle, image: Digest) -> Papers:
        """A voted, planned and logged campaign of one round, and its contribute order."""
        manifest = bundle.manifest
        vote = Authorisation(
            id=AuthorisationId.draw(SYSTEM),
            territory=NAME,
            bundle=bundle.digest,
            manifest=bundle.manifest_digest,
            title=manifest.bundle.name,
            purpose=PURPOSE,
            tables=dict(manifest.needs.tables),
            rules=manifest.rules(),
            bounds=manifest.bounds(),
            images=(image,),
            rho_budget="1",
            campaigns=1,
            not_before=self.now - _DAY,
            not_after=self.now + _DAY,
        )
        plan = Plan(
            territory=NAME,
            campaign=CampaignId.draw(SYSTEM),
            round=1,
            bundle=bundle.digest,
            authorisation=vote.id,
            parameters=Digest.of(PARAMETERS),
            issued_at=self.now,
            deadline=self.now + timedelta(hours=1),
        )
        statement = BundleStatement(
            bundle=bundle.digest,
            manifest=bundle.manifest_digest,
            name=manifest.bundle.name,
            version=manifest.bundle.version,
            author=self._keys["author"].public,
            signed_at=self.now,
        )
        voted = self._logged(Kind.AUTHORISATION, self._signed(vote, "one", "two"))
        planned = self._logged(Kind.PLAN, self._signed(plan, "orders"))
        order = Order(
            unit=UnitId.draw(SYSTEM),
            attempt=AttemptId.draw(SYSTEM),
            number=1,
            token=FencingToken.draw(SYSTEM),
            kind=UnitKind.CONTRIBUTE,
            campaign=plan.campaign,
            round=plan.round,
            bundle=bundle.digest,
            authorisation=vote.id,
            plan=Digest.of(planned.envelope),
            parameters=plan.parameters,
            aggregate=None,
            lease_seconds=600,
        )
        return Papers(order, planned, voted, self._signed(statement, "author"))

    def sign_orders(self, batch: OrderBatch) -> bytes:
        """An order batch under the order key."""
        return self._signed(batch, "orders")

    def _signed(self, document: signed.Document, *names: str) -> bytes:
        return signed.sign(document, [self._keys[name] for name in names]).envelope.raw

    def _logged(self, kind: Kind, envelope: bytes) -> Exhibit:
        self._entries.append(LogEntry.of(kind, envelope).emit())
        tree = Tree(leaf_hash(entry) for entry in self._entries)
        index = len(self._entries) - 1
        note = Checkpoint(_LOG, tree.size, tree.root()).signed(self._keys["log"])
        line = cosign(note.text, _WITNESS, self._keys["witness"], int(self.now.timestamp()))
        proof = LogProof(index, tuple(tree.inclusion(index)), note.with_signatures([line]).emit())
        return Exhibit(envelope, proof.emit())
