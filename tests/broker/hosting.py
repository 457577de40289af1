"""Owners with sealed capsules, grants and consents on one worker: real files, real keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from capsule_runtime.capsules import encryption, grants, sealed
from capsule_runtime.capsules.card import WorkerCard
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentStore
from protection import columns
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.consent import Consent, Decision
from trust.documents.rules import DataClass, PrivacyUnit
from trust.entropy import SYSTEM
from trust.ids import CapsuleId
from trust.keys import PrivateKey

TABLES = {"commute": dict.fromkeys(("home_sector", "work_sector", "mode", "persons"), "int64")}


@dataclass(frozen=True)
class Owner:
    """One owner with one capsule, who lives in `home` and works in `work`."""

    key: PrivateKey
    capsule: CapsuleId
    capsule_key: bytes
    home: int
    work: int
    mode: int

    def seal(self, now: datetime) -> sealed.SealedCapsule:
        """The capsule's file."""
        table = {
            "home_sector": np.array([self.home], np.int64),
            "work_sector": np.array([self.work], np.int64),
            "mode": np.array([self.mode], np.int64),
            "persons": np.array([1], np.int64),
        }
        return sealed.seal(
            columns.encode({"commute": table}),
            TABLES,
            capsule=self.capsule,
            capsule_key=self.capsule_key,
            owner=self.key,
            data_class=DataClass.PERSONAL,
            unit=PrivacyUnit.OWNER,
            units=1,
            now=now,
            entropy=SYSTEM,
        )

    def decide(
        self, card: WorkerCard, target: str, now: datetime, decision: Decision, serial: int = 1
    ) -> bytes:
        """A signed consent or its withdrawal."""
        consent = Consent(
            territory=card.territory,
            capsule=self.capsule,
            worker=card.worker,
            owner=self.key.public,
            serial=serial,
            decision=decision,
            target=target,
            tables=("commute",),
            issued_at=now.replace(microsecond=0),
            expires_at=now.replace(microsecond=0) + timedelta(days=30),
        )
        return signed.sign(consent, [self.key]).envelope.raw


def people(count: int) -> list[Owner]:
    """`count` owners spread over sectors and modes."""
    return [
        Owner(
            key=PrivateKey.generate(SYSTEM),
            capsule=CapsuleId.draw(SYSTEM),
            capsule_key=SYSTEM(encryption.KEY_BYTES),
            home=1 + number % 9,
            work=1 + number // 9 % 9,
            mode=1 + number % 6,
        )
        for number in range(count)
    ]


def host(state: Path, card: WorkerCard, owners: Sequence[Owner], target: str) -> None:
    """Every owner's capsule on the worker of `card`, each with a grant and a yes to `target`."""
    clock = SystemClock()
    now = clock.now()
    store, consents = CapsuleStore(state, clock), ConsentStore(state)
    store.add(
        [owner.seal(now) for owner in owners],
        [
            grants.issue(owner.capsule, owner.capsule_key, owner.key, card, now=now, entropy=SYSTEM)
            for owner in owners
        ],
    )
    added = consents.add(
        [owner.decide(card, target, now, Decision.GRANT) for owner in owners],
        store.owners().__getitem__,
    )
    assert added.accepted == len(owners)
    store.close()
    consents.close()
