"""Consenting owners with sealed capsules on one worker: real keys, real files, invented lives."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

import jobs
from capsule_runtime.capsules import card as cards
from capsule_runtime.capsules import encryption, grants, sealed
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentStore
from jobs import archive
from protection import columns
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.consent import Consent, Decision
from trust.documents.rules import DataClass, PrivacyUnit
from trust.entropy import SYSTEM
from trust.ids import CapsuleId
from trust.keys import PrivateKey

TABLE = "commute"
COLUMNS = ("home_sector", "work_sector", "mode", "persons")
TYPES = {TABLE: dict.fromkeys(COLUMNS, "int64")}
_MINIMA = ("minimum_contributors = ", "minimum_capsules = ")


def commute_flows(*, alone: bool = False) -> archive.Bundle:
    """The built-in bundle; `alone` lets a cohort of one through, so that one can be timed."""
    folder = Path(jobs.__file__).parent / "bundles" / "commute_flows"
    bundle = archive.pack_folder(folder)
    if not alone:
        return bundle
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.iterdir()
        if path.is_file()
    }
    text = files["bundle.toml"].decode()
    for name in _MINIMA:
        text = text.replace(f"{name}20", f"{name}1")
    files["bundle.toml"] = text.encode()
    return archive.read(archive.pack(files))


def host(state: Path, bundle: archive.Bundle, count: int) -> None:
    """Seal `count` capsules for the worker joined in `state`; each owner says yes to `bundle`."""
    clock = SystemClock()
    now = clock.now()
    worker = cards.verify_card((state / "card.json").read_bytes())
    owners = [PrivateKey.generate(SYSTEM) for _ in range(count)]
    capsules, issued, consents = [], [], []
    for number, owner in enumerate(owners):
        capsule, key = CapsuleId.draw(SYSTEM), SYSTEM(encryption.KEY_BYTES)
        life = (1 + number % 9, 1 + number // 9 % 9, 1 + number % 6, 1)
        table = {
            name: np.array([value], np.int64) for name, value in zip(COLUMNS, life, strict=True)
        }
        capsules.append(
            sealed.seal(
                columns.encode({TABLE: table}),
                TYPES,
                capsule=capsule,
                capsule_key=key,
                owner=owner,
                data_class=DataClass.PERSONAL,
                unit=PrivacyUnit.OWNER,
                units=1,
                now=now,
                entropy=SYSTEM,
            )
        )
        issued.append(grants.issue(capsule, key, owner, worker, now=now, entropy=SYSTEM))
        consent = Consent(
            territory=worker.territory,
            capsule=capsule,
            worker=worker.worker,
            owner=owner.public,
            serial=1,
            decision=Decision.GRANT,
            target=str(bundle.digest),
            tables=(TABLE,),
            issued_at=now.replace(microsecond=0),
            expires_at=now.replace(microsecond=0) + timedelta(days=30),
        )
        consents.append(signed.sign(consent, [owner]).envelope.raw)
    store, decisions = CapsuleStore(state, clock), ConsentStore(state)
    try:
        store.add(capsules, issued)
        decisions.add(consents, store.owners().__getitem__)
    finally:
        store.close()
        decisions.close()
