"""A hostile owner: consents, grants and persons that crash, block or outweigh everybody else."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from capsule_runtime.capsules import card, encryption, grants, sealed
from capsule_runtime.capsules.errors import CapsuleMalformed, GrantRefused, SourceRefused
from capsule_runtime.capsules.mapping_file import read_mapping
from capsule_runtime.capsules.sealing import seal_source
from capsule_runtime.consents import ConsentStore
from capsule_runtime.portions import MAXIMUM_PORTIONS, TablesRefused, portions
from trust import dsse
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.consent import Consent, Decision
from trust.documents.rules import PrivacyUnit
from trust.entropy import seeded
from trust.ids import CapsuleId
from trust.keys import PrivateKey

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENTROPY = seeded(b"capsules-attacks")
OWNER, WORKER = PrivateKey.generate(ENTROPY), PrivateKey.generate(ENTROPY)
CAPSULE = CapsuleId.draw(ENTROPY)
HPKE = X25519PrivateKey.from_private_bytes(ENTROPY(32))
HONEST = Consent(
    territory="demo",
    capsule=CAPSULE,
    worker=WORKER.public.worker_id,
    owner=OWNER.public,
    serial=1,
    decision=Decision.REVOKE,
    target="purpose:mobility",
    tables=("commute",),
    issued_at=NOW,
    expires_at=NOW + timedelta(days=1),
)


def respelt(raw: bytes, kind: str, old: str, new: str) -> bytes:
    """The document in `raw` with other letters, as no program of ours writes it, but signed."""
    payload = dsse.Envelope.parse(raw).payload
    changed = payload.replace(old.encode(), new.encode(), 1)
    assert changed != payload
    return dsse.sign(kind, changed, [OWNER]).raw


def consent(**changes: Any) -> bytes:
    return signed.sign(replace(HONEST, **changes), [OWNER]).envelope.raw


@pytest.mark.parametrize(
    "poison",
    [
        respelt(consent(), Consent.TYPE, '"serial":1', f'"serial":{2**63}'),
        respelt(consent(), Consent.TYPE, '"serial":1', f'"serial":{10**400}'),
        consent(target="sha256:short"),
        consent(target="purpose:two\nlines"),
        consent(target="purpose:" + "x" * 10_000),
        respelt(consent(), Consent.TYPE, "mobility", "\\ud800"),
    ],
)
def test_one_poisonous_consent_holds_up_no_withdrawal_beside_it(
    poison: bytes, tmp_path: Path
) -> None:
    store = ConsentStore(tmp_path)
    found = store.add([poison, consent()], lambda _: OWNER.public)
    assert (found.accepted, [position for position, _ in found.refused]) == (1, [0])
    assert store.latest(CAPSULE, HONEST.target, OWNER.public) is not None
    store.close()


def test_an_owner_cannot_fill_the_disk_with_purposes_and_can_always_withdraw(
    tmp_path: Path,
) -> None:
    store = ConsentStore(tmp_path)
    many = [consent(target=f"purpose:{n}", decision=Decision.GRANT) for n in range(300)]
    assert store.add(many, lambda _: OWNER.public).accepted == 256
    withdrawn = [consent(serial=2, target="purpose:0"), consent(target="purpose:new")]
    assert store.add(withdrawn, lambda _: OWNER.public).accepted == 2
    store.close()


def test_a_grant_for_no_territory_is_refused_and_does_not_crash_the_agent() -> None:
    raw_card = card.make_card(WORKER, HPKE, territory="demo", operator="Ville", site="Mairie")
    host = card.verify_card(raw_card)
    raw = grants.issue(CAPSULE, bytes(32), OWNER, host, now=NOW, entropy=ENTROPY)
    poison = respelt(raw, grants.Grant.TYPE, "demo", "\\ud800")
    with pytest.raises(GrantRefused):
        grants.unwrap(grants.verify(poison, OWNER.public), HPKE, NOW)


@pytest.mark.parametrize("units", [2**64 - 1, 10**12, 0])
def test_a_capsule_cannot_speak_of_more_people_than_there_are(units: int) -> None:
    key = ENTROPY(32)
    content = struct.pack("<QQ", 0, units) + bytes(1024)
    context = f"cadastre/capsule/v1\n{CAPSULE}\ntables\n1".encode()
    ciphertext = encryption.encrypt(key, content, context, ENTROPY)
    with pytest.raises(CapsuleMalformed):
        sealed.unseal(CAPSULE, ciphertext, key)


def test_many_large_records_do_not_add_up_to_more_people_than_there_are() -> None:
    table = {
        "mode": np.arange(40, dtype=np.int64),
        "persons": np.full(40, 10_000_000, np.int64),
    }
    with pytest.raises(TablesRefused):
        portions({"commute": table}, {"commute": ("mode", "persons")}, PrivacyUnit.PERSON)


def test_one_more_person_cannot_silence_a_whole_company(tmp_path: Path) -> None:
    """What would be refused at the run, with everybody in it, is refused at the sealing."""
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        '[capsule]\ndata_class = "company"\nunit = "person"\n'
        'persons = { table = "commute", column = "persons" }\n'
        '[tables.commute]\ncolumns.mode = { type = "integer", from = "mode" }\n'
        'columns.persons = { type = "integer", from = "persons" }\n'
    )

    def seal(records: int) -> None:
        source = tmp_path / f"{records}.csv"
        rows = "".join(f"{number},1\n" for number in range(records))
        source.write_text("mode,persons\n" + rows)
        seal_source(
            source,
            read_mapping(mapping),
            tmp_path / str(records),
            clock=ManualClock(NOW),
            entropy=ENTROPY,
        )

    seal(MAXIMUM_PORTIONS)
    with pytest.raises(SourceRefused, match="distinct records"):
        seal(MAXIMUM_PORTIONS + 1)
    assert not (tmp_path / str(MAXIMUM_PORTIONS + 1)).exists()
