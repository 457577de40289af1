"""One owner, one worker, one small capsule: what most tests of capsules start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from capsule_runtime import columns
from capsule_runtime.capsules import card, decisions, grants, sealed
from capsule_runtime.capsules.directory import OwnerKey
from trust.clock import ManualClock
from trust.documents.consent import Decision
from trust.documents.rules import DataClass, PrivacyUnit
from trust.entropy import Entropy, seeded
from trust.ids import CapsuleId
from trust.keys import PrivateKey

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class World:
    """Keys, clock and makers with a fixed seed."""

    entropy: Entropy = field(default_factory=lambda: seeded(b"capsules"))
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))

    def __post_init__(self) -> None:
        self.worker = PrivateKey.generate(self.entropy)
        self.hpke = X25519PrivateKey.from_private_bytes(self.entropy(32))
        self.raw_card = card.make_card(
            self.worker, self.hpke, territory="demo", operator="Ville", site="Mairie"
        )
        self.card = card.verify_card(self.raw_card)

    def owner(self) -> OwnerKey:
        return OwnerKey(
            CapsuleId.draw(self.entropy), PrivateKey.generate(self.entropy), self.entropy(32)
        )

    def seal(
        self,
        key: OwnerKey,
        *,
        values: tuple[int, ...] = (1, 2, 3),
        data_class: DataClass = DataClass.PERSONAL,
        unit: PrivacyUnit = PrivacyUnit.OWNER,
        units: int = 1,
    ) -> sealed.SealedCapsule:
        blob = columns.encode({"commute": {"mode": np.array(values, np.int64)}})
        return sealed.seal(
            blob,
            {"commute": {"mode": "int64"}},
            capsule=key.capsule,
            capsule_key=key.capsule_key,
            owner=key.signing,
            data_class=data_class,
            unit=unit,
            units=units,
            now=self.clock.now(),
            entropy=self.entropy,
        )

    def grant(self, key: OwnerKey, *, days: float = 7, owner: PrivateKey | None = None) -> bytes:
        return grants.issue(
            key.capsule,
            key.capsule_key,
            owner or key.signing,
            self.card,
            now=self.clock.now(),
            entropy=self.entropy,
            lifetime=timedelta(days=days),
        )

    def consent(
        self,
        key: OwnerKey,
        target: str,
        serial: int = 1,
        decision: Decision = Decision.GRANT,
        *,
        days: float = 365,
        tables: tuple[str, ...] = ("commute",),
        territory: str = "demo",
    ) -> bytes:
        return decisions.decide(
            key,
            decision,
            target,
            tables,
            territory=territory,
            worker=self.card.worker,
            serial=serial,
            now=self.clock.now(),
            lifetime=timedelta(days=days),
        ).envelope.raw


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def tenth() -> Fraction:
    return Fraction(1, 10)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return _write
