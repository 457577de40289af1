"""Which capsules may take part: tables, class, grant, a live consent, and nobody who withdrew."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from capsule_runtime.capsules.store import CapsuleStore, HostedCapsule
from capsule_runtime.consents import ConsentGate, ConsentStore
from capsule_runtime.errors import CapsuleError
from capsule_runtime.ledger import Charge
from trust.documents.consent import PURPOSE_PREFIX, Decision, revocation_token
from trust.documents.rules import DataClass, PrivacyUnit
from trust.ids import CapsuleId, Digest, WorkerId
from trust.keys import PublicKey

# The most protected class decides how a whole sum is treated.
_PROTECTION_ORDER = (DataClass.PUBLIC, DataClass.COMPANY, DataClass.PERSONAL)


@dataclass(frozen=True)
class Register:
    """What this worker knows of its owners' decisions; `revoked` is governance's list."""

    worker: WorkerId
    store: CapsuleStore
    consents: ConsentStore
    gate: ConsentGate
    revoked: Collection[Digest]


@dataclass(frozen=True)
class Use:
    """What a bundle wants of capsules."""

    bundle: Digest
    purpose: str
    tables: Mapping[str, tuple[str, ...]]
    classes: Collection[DataClass]
    unit: PrivacyUnit


@dataclass(frozen=True)
class Cohort:
    """The capsules that may take part now; `tokens` are those whose revocation would stop it."""

    charges: tuple[Charge, ...]
    data_class: DataClass
    tokens: frozenset[Digest]


def eligible(register: Register, use: Use, now: datetime) -> Cohort:
    """The cohort for `use`; empty when nobody may take part.

    Whatever is wrong with one capsule (no consent, damaged header) leaves that one out.
    """
    charges: list[Charge] = []
    tokens: set[Digest] = set()
    rank = 0
    for capsule in register.store.hosted(register.worker):
        if not _fits(register, capsule, use, now):
            continue
        if _withdrawn(register, capsule.id, capsule.owner, use):
            continue
        try:
            register.gate.live_consent(capsule.id, use.bundle, use.purpose, tuple(use.tables), now)
        except CapsuleError:
            continue
        charges.append(Charge(capsule.id, capsule.owner))
        tokens |= set(_tokens(capsule.id, use).values())
        rank = max(rank, _PROTECTION_ORDER.index(capsule.data_class))
    # A withdrawal that is known already was weighed above; only a new one stops the unit.
    return Cohort(
        tuple(charges), _PROTECTION_ORDER[rank], frozenset(tokens - set(register.revoked))
    )


def _fits(register: Register, capsule: HostedCapsule, use: Use, now: datetime) -> bool:
    # Its signature is checked when the key is unwrapped; here it only has to be there.
    expires = capsule.grant_expires_at
    if expires is None or expires <= now:
        return False
    if capsule.data_class not in use.classes or capsule.unit is not use.unit:
        return False
    try:
        tables = register.store.header(capsule.id).tables
    except CapsuleError:
        return False
    return all(set(names) <= set(tables.get(table, {})) for table, names in use.tables.items())


def _tokens(capsule: CapsuleId, use: Use) -> dict[str, Digest]:
    targets = (str(use.bundle), PURPOSE_PREFIX + use.purpose)
    return {target: revocation_token(capsule, target) for target in targets}


def _withdrawn(register: Register, capsule: CapsuleId, owner: PublicKey, use: Use) -> bool:
    """Whether governance lists a withdrawal that this worker has not been told of itself.

    Where the withdrawal is known here, the gate weighs it against other decisions by date.
    """
    for target, token in _tokens(capsule, use).items():
        if token not in register.revoked:
            continue
        try:
            known = register.consents.latest(capsule, target, owner)
        except CapsuleError:
            return True
        if known is None or known.consent.decision is not Decision.REVOKE:
            return True
    return False
