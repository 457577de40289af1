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
from jobs import archive, mistakes
from jobs.libraries import TORCH_MEMORY_MIB, contents
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
LEARNING = contents("torch")
_MINIMA = ("minimum_contributors = ", "minimum_capsules = ")


# Three steps of a small model on what the capsule holds, beside the bundle's own work.
_TRAINING = b"""
import torch

_counted = contribute


def contribute(capsule, parameters):
    columns = [torch.from_numpy(column.copy()) for column in capsule["commute"].values()]
    rows, labels = torch.stack(columns, dim=1).float(), columns[2] % 7
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(len(columns), 64), torch.nn.ReLU(), torch.nn.Linear(64, 7)
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(rows), labels).backward()
        optimiser.step()
    return _counted(capsule, parameters)
"""


def commute_flows(*, alone: bool = False, torch: bool = False) -> archive.Bundle:
    """The built-in bundle; `alone` lets a cohort of one through, so that one can be timed.

    With `torch` each run trains a small model besides.
    """
    folder = Path(jobs.__file__).parent / "bundles" / "commute_flows"
    bundle = archive.pack_folder(folder)
    if not alone and not torch:
        return bundle
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.iterdir()
        if path.is_file()
    }
    text = files["bundle.toml"].decode()
    for name in _MINIMA if alone else ():
        text = text.replace(f"{name}20", f"{name}1")
    if torch:
        text = text.replace('libraries = ["numpy"]', f"libraries = {mistakes.toml(LEARNING)}")
        text = text.replace("memory_mib = 512", f"memory_mib = {TORCH_MEMORY_MIB}")
        files["algorithm.py"] += _TRAINING
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
