"""One worker that hosts stations of open data: sealed capsules, consents, ledger, real units.

A round here is what a broker does for an order: the cohort is chosen by the consents that stand at
that moment, charged, opened one by one, run in the sandbox, summed. Two things are told by the test
instead of an agent: the keys of capsules, and what governance lists as withdrawn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from capsule_runtime.broker import unit
from capsule_runtime.broker.messages import Contribute
from capsule_runtime.broker.program import Program
from capsule_runtime.capsules import encryption, grants, sealed
from capsule_runtime.capsules.card import make_card, verify_card
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentStore
from capsule_runtime.ledger import Checkpoint, Ledger
from capsule_runtime.sandbox.zygote import Zygote
from jobs import aggregate, conclusion, state
from jobs.conclusion import Concluded
from protection import columns
from protection.columns import Tables
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.consent import Consent, Decision, revocation_token
from trust.documents.rules import DataClass, PrivacyUnit
from trust.entropy import seeded
from trust.ids import CampaignId, CapsuleId, Digest
from trust.keys import PrivateKey

TERRITORY = "plaine.example"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SETTINGS = b"{}"


@dataclass
class Asked:
    """The other end of a unit: gives every key and notes whose was asked for."""

    keys: Mapping[CapsuleId, bytes]
    listed: frozenset[Digest] = frozenset()
    opened: list[CapsuleId] = field(default_factory=list)

    def key(self, capsule: CapsuleId) -> bytes | None:
        self.opened.append(capsule)
        return self.keys[capsule]

    def reserved(self, capsules: int, checkpoint: Checkpoint) -> None:
        """The ledger itself is looked at."""

    def advanced(self, done: int, total: int) -> None:
        """Nobody watches."""

    def check(self, tokens: Collection[Digest], seconds: float = 0.0) -> None:
        """Nothing happens while a unit runs."""

    def revoked(self) -> frozenset[Digest]:
        return self.listed

    def withdrawals(self) -> int:
        return len(self.listed)


class StationWorker:
    """Hosts `stations` in `folder`, each of an owner who consented to `program`."""

    def __init__(self, folder: Path, program: Program, stations: Sequence[Tables]) -> None:
        self._program, self._entropy = program, seeded(b"stations")
        self._clock = ManualClock(NOW)
        node, hpke = PrivateKey.generate(self._entropy), X25519PrivateKey.generate()
        raw = make_card(node, hpke, territory=TERRITORY, operator="mairie", site="ici")
        self._card = verify_card(raw)
        self._owners = [PrivateKey.generate(self._entropy) for _ in stations]
        self._capsules = [CapsuleId.draw(self._entropy) for _ in stations]
        self._keys = {each: self._entropy(encryption.KEY_BYTES) for each in self._capsules}
        self._store, self._consents = CapsuleStore(folder, self._clock), ConsentStore(folder)
        self._ledger, self._folder = Ledger(folder, self._clock), folder
        self._store.add(
            [self._seal(number, tables) for number, tables in enumerate(stations)],
            [
                grants.issue(
                    capsule, self._keys[capsule], owner, self._card, now=NOW, entropy=self._entropy
                )
                for capsule, owner in zip(self._capsules, self._owners, strict=True)
            ],
        )
        for number in range(len(stations)):
            self._decide(number, Decision.GRANT, serial=1)
        self._campaign = CampaignId.draw(self._entropy)
        self._asked = Asked(self._keys)
        self._round, self._parameters = 1, state.first(program.bundle_file.manifest, SETTINGS)

    def withdraw(self, station: int) -> None:
        """The station's owner says no, and this worker hears it."""
        self._decide(station, Decision.REVOKE, serial=2)

    def withdraw_elsewhere(self, station: int) -> None:
        """The station's owner said no to governance; this worker knows its list alone."""
        token = revocation_token(self._capsules[station], str(self._program.bundle))
        self._asked.listed |= {token}

    def play(self, zygote: Zygote) -> Concluded:
        """The campaign's next round: contributed, added, concluded."""
        sandboxed = unit.Sandboxed(zygote, self._program, self._parameters)
        manifest, rules = self._program.bundle_file.manifest, self._program.rules
        order = Contribute(self._round, self._campaign, self._round, manifest.bundle.purpose)
        self._asked.opened.clear()
        answer, (blob,) = unit.contribute(self._runtime, sandboxed, order, self._asked)
        part = aggregate.Part(aggregate.decode_partial(rules, blob), answer.variances)
        total = aggregate.combine(rules, [part])
        concluded = conclusion.read(manifest, unit.conclude(sandboxed, total, self._asked))
        assert concluded.state is not None
        self._round += 1
        self._parameters = state.following(SETTINGS, self._round, concluded.state)
        return concluded

    @property
    def opened(self) -> set[int]:
        """The stations whose keys the last round asked for: none is run without."""
        return {self._capsules.index(capsule) for capsule in self._asked.opened}

    @property
    def charged(self) -> set[int]:
        """The stations that the ledger charged for the last round."""
        connection = sqlite3.connect(f"file:{self._folder / 'ledger.sqlite'}?mode=ro", uri=True)
        try:
            rows = connection.execute(
                "SELECT capsule FROM entry WHERE kind='reserve' AND campaign=? AND round=?",
                (str(self._campaign), self._round - 1),
            )
            return {self._capsules.index(CapsuleId.parse(capsule)) for (capsule,) in rows}
        finally:
            connection.close()

    def close(self) -> None:
        for store in (self._store, self._consents, self._ledger):
            store.close()

    @property
    def _runtime(self) -> unit.Runtime:
        return unit.Runtime(
            store=self._store,
            consents=self._consents,
            ledger=self._ledger,
            worker=self._card.worker,
            territory=TERRITORY,
            clock=self._clock,
            entropy=self._entropy,
        )

    def _seal(self, number: int, tables: Tables) -> sealed.SealedCapsule:
        types = {
            table: {name: column.dtype.name for name, column in found.items()}
            for table, found in tables.items()
        }
        return sealed.seal(
            columns.encode(tables),
            types,
            capsule=self._capsules[number],
            capsule_key=self._keys[self._capsules[number]],
            owner=self._owners[number],
            data_class=DataClass.PUBLIC,
            unit=PrivacyUnit.OWNER,
            units=1,
            now=NOW,
            entropy=self._entropy,
        )

    def _decide(self, station: int, decision: Decision, *, serial: int) -> None:
        consent = Consent(
            territory=TERRITORY,
            capsule=self._capsules[station],
            worker=self._card.worker,
            owner=self._owners[station].public,
            serial=serial,
            decision=decision,
            target=str(self._program.bundle),
            tables=tuple(self._program.tables),
            issued_at=NOW,
            expires_at=NOW + timedelta(days=30),
        )
        raw = signed.sign(consent, [self._owners[station]]).envelope.raw
        assert self._consents.add([raw], self._store.owner).accepted == 1
