"""A complete, small territory on paper: every kind of logged and restricted document, signed.

`EvidenceBuilder(edits={...}).files()` gives the evidence as {path: bytes}. `edits` maps the name
of a document or blob to a function that changes it before it is signed, digested and logged: a
lie told consistently by whoever holds the keys. Everything is drawn from one seed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import AuditFailure
from jobs import aggregate, archive, report, statement
from jobs import conclusion as results
from protection import accounting, columns
from protection.batch import Batch, BatchMember
from protection.scope import Scope
from trust import schema
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.campaign import (
    Acknowledgement,
    Commitment,
    Opening,
    Order,
    OrderBatch,
    Plan,
    Release,
    UnitKind,
)
from trust.documents.consent import Consent, Decision
from trust.documents.governance import Authorisation, Suspension
from trust.documents.membership import Enrolled
from trust.documents.reporting import Conclusion, Partial
from trust.documents.root import Duty, DutyKeys, Root
from trust.documents.rules import Protection
from trust.documents.signed import Signed
from trust.entropy import Entropy, seeded
from trust.ids import (
    AttemptId,
    AuthorisationId,
    CampaignId,
    CapsuleId,
    Digest,
    FencingToken,
    ReportId,
    UnitId,
)
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.entry import Kind, LogEntry
from trust.log.note import LogKey
from trust.log.tiles import emit_bundle, emit_tile, entry_bundles, hash_tiles
from trust.log.tree import Tree, leaf_hash

TERRITORY = "territory.example"
START = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
IMAGE = Digest.of(b"runtime image")
EXAMPLE = Path(archive.__file__).parent / "bundles" / "example"

Edit = Callable[[Any], Any]


def rebatch(**fields: Any) -> Edit:
    """An edit that replaces fields of a batch's bytes."""
    return lambda raw: dataclasses.replace(schema.decode(Batch, raw), **fields).encode()


def change(**fields: Any) -> Edit:
    """An edit that replaces fields of a document."""
    return lambda document: dataclasses.replace(document, **fields)


@dataclasses.dataclass(frozen=True)
class Keys:
    """Every private key of the territory."""

    roots: tuple[PrivateKey, ...]
    college: tuple[PrivateKey, ...]
    status: PrivateKey
    orders: PrivateKey
    log: PrivateKey
    witness: PrivateKey
    author: PrivateKey
    workers: tuple[PrivateKey, ...]
    owners: tuple[PrivateKey, ...]
    helper: PrivateKey
    keyholder: PrivateKey
    trustees: tuple[PrivateKey, ...]

    @classmethod
    def draw(cls, entropy: Entropy) -> Keys:
        def several(count: int) -> tuple[PrivateKey, ...]:
            return tuple(PrivateKey.generate(entropy) for _ in range(count))

        one = PrivateKey.generate
        return cls(
            several(3), several(3), one(entropy), one(entropy), one(entropy), one(entropy),
            one(entropy), several(4), several(4), one(entropy), one(entropy), several(5),
        )  # fmt: skip


class FilesEvidence:
    """The evidence port over a dictionary."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def files(self) -> frozenset[str]:
        return frozenset(self._files)

    def read(self, path: str) -> bytes:
        if path not in self._files:
            raise LookupError(path)
        if len(self._files[path]) > 64 << 20:
            raise AuditFailure(f"{path} is too large")
        return self._files[path]


class EvidenceBuilder:
    """See the module. `crowd` adds that many enrolled workers, to make the log longer."""

    contributing = 3  # workers that report
    epoch: Digest | None = None  # the key epoch that the plan names

    def __init__(
        self,
        *,
        edits: Mapping[str, Edit] | None = None,
        seed: bytes = b"territory",
        crowd: int = 0,
        restricted: bool = True,
    ) -> None:
        self._edits = dict(edits or {})
        self._used: set[str] = set()
        self._entropy = seeded(seed)
        self.keys = Keys.draw(self._entropy)
        self._crowd = crowd
        self._restricted = restricted
        self.objects: dict[Digest, bytes] = {}
        self.hidden: dict[Digest, bytes] = {}
        self.listings: dict[str, bytes] = {}
        self.entries: list[bytes] = []
        self.roots: list[bytes] = []
        self.checkpoints: dict[int, bytes] = {}
        self.kinds: dict[str, Digest] = {}  # name of a document -> digest of its envelope
        self.now = START
        self._build()
        unused = set(self._edits) - self._used
        assert not unused, f"edits of nothing: {unused}"

    # --- the parts ---

    def _edit(self, name: str, value: Any) -> Any:
        if name not in self._edits:
            return value
        self._used.add(name)
        return self._edits[name](value)

    def _sign(self, name: str, document: Any, *keys: PrivateKey) -> Signed[Any]:
        envelope = signed.sign(self._edit(name, document), keys)
        self.kinds[name] = envelope.digest
        return envelope

    def _put(self, name: str, data: bytes) -> Digest:
        data = self._edit(name, data)
        self.objects[Digest.of(data)] = data
        self.kinds[name] = Digest.of(data)
        return Digest.of(data)

    def _log(self, kind: Kind, envelope: Signed[Any]) -> Digest:
        self.objects[envelope.digest] = envelope.envelope.raw
        self.entries.append(LogEntry(kind, envelope.digest).emit())
        return envelope.digest

    def _tick(self, **step: float) -> datetime:
        self.now += timedelta(**(step or {"minutes": 1}))
        return self.now

    def _manifest(self, text: str) -> str:
        """The example's manifest, for three workers of two operators."""
        text = text.replace(
            "minimum_capsules = 20",
            "minimum_capsules = 3\nminimum_workers = 3\nminimum_operators = 2",
        )
        return text.replace("quorum = 1", "quorum = 3")

    def _engage(self) -> Digest | None:
        """What comes before the first plan; the helper key that it names."""
        return None

    def _settle(self) -> None:
        """What comes after the release."""

    def _build(self) -> None:
        self._roots()
        self._bundle()
        self._authorise()
        self._enrol()
        self._campaign()
        self._suspend()
        self._consents()
        self._rotate()

    def _policy(self) -> str:
        keys = self.keys
        log = LogKey(f"log.{TERRITORY}", keys.log.public)
        witness = CosignerKey("witness.example", keys.witness.public)
        return f"log {log}\nwitness w {witness}\nquorum w\n"

    def _root(self, version: int) -> Root:
        keys = self.keys
        return Root(
            territory=TERRITORY,
            version=version,
            issued_at=self.now,
            expires_at=self.now + timedelta(days=700),
            duties={
                Duty.ROOT: DutyKeys(tuple(k.public for k in keys.roots), 2),
                Duty.COLLEGE: DutyKeys(tuple(k.public for k in keys.college), 2),
                Duty.STATUS: DutyKeys((keys.status.public,), 1),
                Duty.ORDERS: DutyKeys((keys.orders.public,), 1),
                Duty.HELPER: DutyKeys((keys.helper.public,), 1),
                Duty.KEYHOLDER: DutyKeys((keys.keyholder.public,), 1),
                Duty.TRUSTEE: DutyKeys(tuple(k.public for k in keys.trustees), 3),
            },
            authority=b"certificate",
            log_policy=self._edit("policy", self._policy()),
            status_url="http://127.0.0.1:1/status.json",
        )

    def _roots(self) -> None:
        envelope = self._sign("root", self._root(1), *self.keys.roots[:2])
        self.roots.append(envelope.envelope.raw)
        self.entries.append(LogEntry(Kind.ROOT, envelope.digest).emit())

    def _rotate(self) -> None:
        self._tick(days=1)
        envelope = self._sign("root2", self._root(2), *self.keys.roots[1:])
        self.roots.append(envelope.envelope.raw)
        self.entries.append(LogEntry(Kind.ROOT, envelope.digest).emit())
        # Something after the rotation, under the new root.
        self._enrolled("after", PrivateKey.generate(self._entropy), "late")

    def _bundle(self) -> None:
        files = {
            path.relative_to(EXAMPLE).as_posix(): path.read_bytes()
            for path in EXAMPLE.iterdir()
            if path.is_file()
        }
        files["bundle.toml"] = self._manifest(files["bundle.toml"].decode()).encode()
        self.bundle = archive.read(archive.pack(files))
        self._put("bundle", self.bundle.raw)
        clock = ManualClock(self._tick())
        vouch = statement.sign(self.bundle, self.keys.author, clock)
        self._put("statement", vouch.envelope.raw)

    def _vote(self, name: str, **changes: Any) -> Authorisation:
        manifest = self.bundle.manifest
        vote = Authorisation(
            id=AuthorisationId.draw(self._entropy),
            territory=TERRITORY,
            bundle=self.bundle.digest,
            manifest=self.bundle.manifest_digest,
            title="Modes",
            purpose=manifest.bundle.purpose,
            tables=dict(manifest.needs.tables),
            rules=manifest.rules(),
            bounds=manifest.bounds(),
            images=(IMAGE,),
            rho_budget="0.2",
            campaigns=2,
            not_before=self._tick(),
            not_after=self.now + timedelta(days=30),
        )
        vote = dataclasses.replace(vote, **changes)
        envelope = self._sign(name, vote, *self.keys.college[:2])
        self._log(Kind.AUTHORISATION, envelope)
        document: Authorisation = envelope.document
        return document

    def _authorise(self) -> None:
        self.vote = self._vote("authorisation")
        self.other = self._vote("other")

    def _enrolled(self, name: str, key: PrivateKey, operator: str) -> None:
        enrolled = Enrolled(
            TERRITORY, key.public.worker_id, key.public, operator, "site", self._tick(seconds=1)
        )
        self._log(Kind.ENROLMENT, self._sign(name, enrolled, self.keys.orders))

    def _enrol(self) -> None:
        for index, key in enumerate(self.keys.workers):
            self._enrolled(f"enrolled{index}", key, f"operator {index % 2}")
        for index in range(self._crowd):
            self._enrolled(f"crowd{index}", PrivateKey.generate(self._entropy), "crowd")
        self.checkpoints[len(self.entries)] = self._checkpoint()

    def _campaign(self) -> None:
        self.campaign = CampaignId.draw(self._entropy)
        self.parameters = self._put("parameters", b'{"shortest":"5"}')
        helper = self._engage()
        plan = Plan(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            bundle=self.bundle.digest,
            authorisation=self.vote.id,
            parameters=self.parameters,
            issued_at=self._tick(),
            deadline=self.now + timedelta(hours=1),
            helper=helper,
            epoch=self.epoch,
        )
        self.plan = self._log(Kind.PLAN, self._sign("plan", plan, self.keys.orders))
        if "second_plan" in self._edits:
            self._log(Kind.PLAN, self._sign("second_plan", plan, self.keys.orders))
        orders = [
            self._order(index, UnitKind.CONTRIBUTE, None) for index in range(self.contributing)
        ]
        parts = [self._partial(index, order) for index, order in enumerate(orders)]
        self._open(orders, parts)
        self._settle()

    def _order(self, index: int, kind: UnitKind, opened: Digest | None) -> Order:
        order = Order(
            unit=UnitId.draw(self._entropy),
            attempt=AttemptId.draw(self._entropy),
            number=1,
            token=FencingToken.draw(self._entropy),
            kind=kind,
            campaign=self.campaign,
            round=1,
            bundle=self.bundle.digest,
            authorisation=self.vote.id,
            plan=self.plan,
            parameters=self.parameters,
            aggregate=opened,
            lease_seconds=900,
        )
        edited: Order = self._edit(f"order{index}", order)
        return edited

    def _batch(
        self, index: int, orders: list[Order], answers: list[Acknowledgement]
    ) -> Signed[Any]:
        batch = OrderBatch(
            territory=TERRITORY,
            worker=self.keys.workers[index].public.worker_id,
            answers=index,
            issued_at=self._tick(seconds=1),
            orders=tuple(orders),
            cancellations=(),
            acknowledgements=tuple(answers),
            waiting=(),
        )
        envelope = self._sign(
            f"orders{index}" if orders else f"receipts{index}", batch, self.keys.orders
        )
        self.hidden[envelope.digest] = envelope.envelope.raw
        return envelope

    def _partial(self, index: int, order: Order) -> tuple[Signed[Any], aggregate.Part]:
        drawn = np.frombuffer(self._entropy(4 * 8), "<u8").astype(np.int64) % 50
        values = {"modes": np.ascontiguousarray(drawn)}
        key = self.keys.workers[index]
        partial = Partial(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            unit=order.unit,
            worker=key.public.worker_id,
            report=ReportId.draw(self._entropy),
            bundle=self.bundle.digest,
            plan=self.plan,
            parameters=self.parameters,
            capsules=25,
            contributors=25,
            values=Digest.of(b""),
            protection=Protection.CLEAR,
            variances={},
            rho=accounting.to_text(accounting.rho_of(self.vote.rules)),
            image=IMAGE,
            level="L3",
            made_at=self._tick(seconds=1),
        )
        partial = self._protect(index, partial, values)
        envelope = self._sign(f"partial{index}", partial, key)
        self.hidden[envelope.digest] = envelope.envelope.raw
        return envelope, aggregate.Part(values, envelope.document.variances)

    def _protect(self, index: int, partial: Partial, values: Any) -> Partial:
        """The partial with its values and noise."""
        rules = self.vote.rules
        blob = self._edit(f"values{index}", aggregate.encode_partial(rules, values))
        self.hidden[Digest.of(blob)] = blob
        self.kinds[f"values{index}"] = Digest.of(blob)
        variances = accounting.variances_of(rules, self.bundle.manifest.rounds.maximum)
        return dataclasses.replace(partial, values=Digest.of(blob), variances=variances)

    def _lines(self, parts: list[tuple[Signed[Any], aggregate.Part]]) -> bytes:
        """The batch's bytes, with their lines as `parts` has them."""
        members = {}
        for envelope, _ in parts:
            partial = envelope.document
            member = BatchMember.of(partial, envelope.digest, partial.sealed)
            # A lie in a partial stays one: the scheduler's own list is about its round.
            scope = Scope(TERRITORY, self.campaign, 1, self.bundle.digest, self.plan,
                          self.parameters)  # fmt: skip
            members[envelope.digest] = dataclasses.replace(member, scope=scope)
        batch = Batch.of(members.values())
        lines = {line.partial: line for line in batch.lines}
        repeated = tuple(sorted((lines[e.digest] for e, _ in parts), key=lambda x: x.report))
        return dataclasses.replace(batch, reports=len(parts), lines=repeated).encode()

    def _sum(
        self, parts: list[tuple[Signed[Any], aggregate.Part]], batch: Digest
    ) -> tuple[bytes, tuple[Digest, ...]]:
        """(the aggregate, the logged shares that it is made of)."""
        return aggregate.combine(self.vote.rules, [part for _, part in parts]), ()

    def _open(self, orders: list[Order], parts: list[tuple[Signed[Any], aggregate.Part]]) -> None:
        answers = [
            Acknowledgement(order.unit, order.attempt, accepted=True, reason="",
                            statement=envelope.digest)
            for order, (envelope, _) in zip(orders, parts, strict=True)
        ]  # fmt: skip
        parts = self._edit("parts", parts)
        batches = [self._batch(index, [order], []) for index, order in enumerate(orders)]
        batch = self._put("batch", self._lines(parts))
        blob, shares = self._sum(parts, batch)
        opened = self._put("aggregate", blob)
        opening = Opening(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            plan=self.plan,
            parameters=self.parameters,
            batch=batch,
            partials=len(parts),
            contributors_rounded=sum(e.document.contributors for e, _ in parts) // 10 * 10,
            aggregate=opened,
            opened_at=self._tick(),
            shares=shares,
        )
        self.opening = self._log(Kind.OPENING, self._sign("opening", opening, self.keys.orders))
        conclude = self._order(3, UnitKind.CONCLUDE, opened)
        answers = self._edit("answers", answers)
        for index, answer in enumerate(answers):
            batches.append(self._batch(index, [], [answer]))
        batches.append(self._batch(3, [conclude], []))
        self._release(conclude, batches, parts)

    def _release(
        self,
        conclude: Order,
        batches: list[Signed[Any]],
        parts: list[tuple[Signed[Any], aggregate.Part]],
    ) -> None:
        total = sum(part.values["modes"] for _, part in parts)
        table = {
            "modes": np.asarray(total, np.int64),
            "modes_lower": np.asarray(total - 5.0, np.float64),
            "modes_upper": np.asarray(total + 5.0, np.float64),
        }
        result = self._put("result", columns.encode({results.REPORT: table}))
        key = self.keys.workers[3]
        conclusion = Conclusion(
            territory=TERRITORY,
            campaign=self.campaign,
            round=1,
            unit=conclude.unit,
            worker=key.public.worker_id,
            bundle=self.bundle.digest,
            plan=self.plan,
            aggregate=conclude.aggregate or Digest.of(b""),
            result=result,
            image=IMAGE,
            level="L2",
            made_at=self._tick(),
        )
        concluded = self._sign("conclusion", conclusion, key)
        self.hidden[concluded.digest] = concluded.envelope.raw
        text = report.render(self.bundle.manifest, self.objects[result])
        release = Release(
            territory=TERRITORY,
            campaign=self.campaign,
            bundle=self.bundle.digest,
            authorisation=self.vote.id,
            openings=(self.opening,),
            conclusion=concluded.digest,
            report=self._put("report", text),
            contributors_rounded=sum(e.document.contributors for e, _ in parts) // 10 * 10,
            rho="0.1",
            released_at=self._tick(),
        )
        self._commit("orders", self.campaign, [batch.digest for batch in batches])
        members = [envelope.digest for envelope, _ in parts]
        self._commit("partials", self.campaign, [*members, concluded.digest])
        self._log(Kind.RELEASE, self._sign("release", release, self.keys.orders))

    def _commit(self, kind: str, campaign: CampaignId | None, members: list[Digest]) -> None:
        members = self._edit(f"members_{kind}", members)
        rows: list[tuple[bytes, dict[str, str]]] = []
        for digest in members:
            salt = self._entropy(32)
            leaf = hashlib.sha256(b"cadastre/commit/v1" + salt + digest.raw).digest()
            rows.append((leaf, {"salt": salt.hex(), "envelope": str(digest)}))
        while len(rows) < 8 or len(rows) & (len(rows) - 1):
            leaf = self._entropy(32)
            rows.append((leaf, {"padding": leaf.hex()}))
        rows.sort(key=lambda row: row[0])
        tree = Tree(leaf_hash(leaf) for leaf, _ in rows)
        document = Commitment(
            TERRITORY, kind, campaign, Digest.from_bytes(tree.root()), len(rows), self._tick()
        )
        envelope = self._sign(f"commitment_{kind}", document, self.keys.orders)
        logged = Kind.CONSENTS if kind == "consents" else Kind.ORDERS
        digest = self._log(logged, envelope)
        fields = {"commitment": str(digest), "leaves": [row for _, row in rows]}
        text = self._edit(f"listing_{kind}", json.dumps(fields, indent=0).encode())
        name = f"{kind}-{campaign or len(self.listings)}.json"
        self.listings[f"restricted/{name}"] = text

    def _suspend(self) -> None:
        suspension = Suspension(TERRITORY, self.other.id, "a mistake", self._tick())
        envelope = self._sign("suspension", suspension, *self.keys.college[1:])
        self._log(Kind.SUSPENSION, envelope)
        if "after_suspension" in self._edits:
            self._edit("after_suspension", None)
            plan = Plan(
                TERRITORY, CampaignId.draw(self._entropy), 1, self.bundle.digest, self.other.id,
                self.parameters, self._tick(), self.now + timedelta(hours=1),
            )  # fmt: skip
            self._log(Kind.PLAN, self._sign("late_plan", plan, self.keys.orders))

    def _consents(self) -> None:
        digests = []
        for index, key in enumerate(self.keys.owners):
            consent = Consent(
                territory=TERRITORY,
                capsule=CapsuleId.draw(self._entropy),
                worker=self.keys.workers[0].public.worker_id,
                owner=key.public,
                serial=1,
                decision=Decision.GRANT,
                target=str(self.bundle.digest),
                tables=("trips",),
                issued_at=self._tick(seconds=1),
                expires_at=self.now + timedelta(days=365),
            )
            envelope = self._sign(f"consent{index}", consent, key)
            self.hidden[envelope.digest] = envelope.envelope.raw
            digests.append(envelope.digest)
        self._commit("consents", None, digests)

    # --- the files ---

    def _checkpoint(self) -> bytes:
        tree = Tree(leaf_hash(entry) for entry in self.entries)
        head = Checkpoint(f"log.{TERRITORY}", tree.size, tree.root())
        note = head.signed(self.keys.log)
        line = cosign(note.text, "witness.example", self.keys.witness, int(self.now.timestamp()))
        return note.with_signatures([line]).emit()

    def files(self) -> dict[str, bytes]:
        """The evidence directory as {path: bytes}."""
        tree = Tree(leaf_hash(entry) for entry in self.entries)
        files = {"log/checkpoint": self._checkpoint()}
        for tile in hash_tiles(tree.size):
            files[f"log/{tile.path}"] = emit_tile(tree, tile)
        for tile in entry_bundles(tree.size):
            start = tile.index * 256
            data = emit_bundle(self.entries[start : start + tile.width])
            files[f"log/{tile.path}"] = data
        for size, note in self.checkpoints.items():
            files[f"log/checkpoints/{size}"] = note
        for version, raw in enumerate(self.roots, start=1):
            files[f"policy/root-{version}.json"] = raw
        files["policy/log-policy.txt"] = self._policy().encode()
        for digest, data in self.objects.items():
            files[object_path(digest)] = data
        index = "".join(f"{digest}\n" for digest in sorted(self.objects))
        files["objects/index"] = index.encode()
        if self._restricted:
            for digest, data in self.hidden.items():
                files[f"restricted/{object_path(digest)}"] = data
            files |= self.listings
        return files

    @property
    def pin(self) -> Digest:
        """The digest that the auditor's policy pins."""
        return Digest.of(self.roots[0])


def object_path(digest: Digest) -> str:
    """Where an object lies below its part of the evidence."""
    name = digest.removeprefix("sha256:")
    return f"objects/sha256/{name[:2]}/{name}"


def write(files: Mapping[str, bytes], folder: Path) -> Path:
    """The files on disk."""
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder
