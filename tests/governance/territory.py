"""A territory set up by the commands that people type, on files in one folder."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cadastre
from trust.documents import signed
from trust.documents.consent import Consent, Decision
from trust.entropy import seeded
from trust.ids import CapsuleId, WorkerId
from trust.keys import PrivateKey
from trust.log.note import LogKey

NAME = "territory.example"
NOW = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
ENTROPY = seeded(b"tests/governance")
WORKER = WorkerId.from_bytes(bytes(range(16)))
ORDERS = PrivateKey.generate(ENTROPY)
LOG = PrivateKey.generate(ENTROPY)


def run(*words: str | Path) -> int:
    """One command in this process; its exit code."""
    return cadastre.main([str(word) for word in words])


def keys(folder: Path, names: Sequence[str]) -> list[Path]:
    """Key pairs made by `cadastre college key`."""
    for name in names:
        assert run("college", "key", "--out", folder / name) == 0
    return [folder / name for name in names]


def offer(folder: Path) -> Path:
    """What a scheduler would offer."""
    path = folder / "offer.json"
    fields = {
        "territory": NAME,
        "orders_key": str(ORDERS.public),
        "authority": base64.b64encode(b"certificate").decode(),
        "log_vkey": str(LogKey(f"log.{NAME}", LOG.public)),
        "site": "http://127.0.0.1:7001",
    }
    path.write_text(json.dumps(fields))
    return path


def draft(folder: Path, out: str = "root.json", *more: str | Path) -> int:
    """`cadastre root draft` over the keys of `set_up`."""
    return run(
        "root", "draft", "--offer", folder / "offer.json",
        "--root-key", *(folder / f"{name}.pub" for name in "abc"), "--root-threshold", "2",
        "--college", *(folder / f"{name}.pub" for name in "xyz"), "--college-threshold", "2",
        "--status-key", folder / "s.pub",
        "--witness", f"{folder / 'W' / 'witness.vkey'}=http://127.0.0.1:7003", "--quorum", "1",
        "--status-url", "http://127.0.0.1:7004/status.json", "--out", folder / out, *more,
    )  # fmt: skip


def set_up(folder: Path) -> Path:
    """Keys, witness and a root signed by two of three; returns root.json."""
    keys(folder, [*"abc", *"xyz", "s"])
    offer(folder)
    assert run("witness", "init", "--state", folder / "W", "--name", "witness.example") == 0
    assert draft(folder) == 0
    for name in "ab":
        assert run("root", "sign", folder / "root.json", "--key", folder / name) == 0
    return folder / "root.json"


def consent(
    owner: PrivateKey,
    capsule: CapsuleId,
    *,
    serial: int = 1,
    decision: Decision = Decision.GRANT,
    target: str = "purpose:mobility",
    territory: str = NAME,
    issued: datetime = NOW,
    days: int = 365,
    worker: WorkerId = WORKER,
) -> bytes:
    """An owner's signed consent, as bytes."""
    document = Consent(
        territory=territory,
        capsule=capsule,
        worker=worker,
        owner=owner.public,
        serial=serial,
        decision=decision,
        target=target,
        tables=("trips",),
        issued_at=issued,
        expires_at=issued + timedelta(days=days),
    )
    return signed.sign(document, [owner]).envelope.raw
