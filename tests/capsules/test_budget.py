"""`cadastre budget`: plans for anybody, tens for a keeper, opened hosts for an owner."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cadastre
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.ledger import Charge, Ledger
from capsule_runtime.ledger.overview import overview, rounded
from trust.documents.consent import Decision
from trust.documents.rules import DataClass
from trust.ids import CampaignId


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert cadastre.main(["budget", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_plan_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("plan", "--rho", "0.1", "--campaigns", "3", "--rounds", "4")
    plan = told(capsys, *words)
    assert [(line["rho"], line["epsilon"]) for line in plan["costs"]] == [
        ("0.025", 1.014),
        ("0.1", 2.142),
        ("0.3", 3.92),
    ]
    assert plan["campaigns one ledger pays for"] == 10
    assert cadastre.main(["budget", *words]) == 0
    shown = capsys.readouterr().out
    assert "all campaigns  0.3    3.92" in shown
    assert "within one ledger              yes" in shown


def test_without_dp_accounting_a_plan_says_what_would_bring_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    assert cadastre.main(["budget", "plan", "--rho", "0.1"]) == 0
    assert "pip install 'cadastre[planning]'" in capsys.readouterr().out


@pytest.mark.parametrize("rho", ["0", "-1", "many", "1e50", "101"])
def test_a_plan_without_a_meaning_is_refused_with_help(
    capsys: pytest.CaptureFixture[str], rho: str
) -> None:
    assert cadastre.main(["budget", "plan", f"--rho={rho}"]) != 0
    assert "remedy:" in capsys.readouterr().err


def test_a_keeper_sees_tens(world: Any, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [world.owner() for _ in range(26)]
    store, ledger = CapsuleStore(state, world.clock), Ledger(state, world.clock)
    store.add([world.seal(key) for key in keys])
    lone = world.owner()
    store.add([world.seal(lone, data_class=DataClass.COMPANY)])
    charges = [Charge(key.capsule, key.signing.public) for key in keys[:12]]
    ledger.reserve(charges, CampaignId.draw(world.entropy), 1, Fraction(9, 10))
    store.close()
    ledger.close()
    lines = {line["data class"]: line for line in told(capsys, "show", "--state", state)}
    assert list(lines["personal"].values()) == ["personal", 30, 10, 0, 0, 10]
    # One company is nobody, and who spent all of it shows nowhere.
    assert list(lines["company"].values()) == ["company", 0, 0, 0, 0, 0]
    assert cadastre.main(["budget", "show", "--state", str(state)]) == 0
    shown = capsys.readouterr().out
    assert not any(key.capsule in shown for key in [*keys, lone])


def test_a_folder_without_capsules_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cadastre.main(["budget", "show", "--state", str(tmp_path)]) == 4
    assert not list(tmp_path.iterdir())  # and nothing is made there
    assert "remedy:" in capsys.readouterr().err


def test_an_owner_sees_what_was_opened(
    world: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("capsules", "keys", "consents"):
        (tmp_path / name).mkdir()
    key = world.owner()
    (tmp_path / "capsules" / f"{key.capsule}.capsule").write_bytes(b"no key is needed to count")
    (tmp_path / "consents" / "nonsense.consent").write_bytes(b"nonsense")
    before = told(capsys, "show", tmp_path)
    assert (before["capsules"], before["most hosts of one owner"]) == (1, 0)
    elsewhere = replace(world.card, worker=world.owner().signing.public.worker_id)
    for serial, card in ((1, world.card), (2, elsewhere), (3, world.card)):
        path = tmp_path / "consents" / f"{key.capsule}.x.{serial}.consent"
        path.write_bytes(grant(world, key, card, serial))
    after = told(capsys, "show", tmp_path)
    assert (after["most hosts of one owner"], after["hosts allowed"]) == (2, 3)
    assert after["rho opened at most"] == "2"
    assert after["epsilon at delta 1e-6"] > 10


def grant(world: Any, key: Any, card: Any, serial: int) -> bytes:
    from datetime import timedelta

    from trust.documents import signed
    from trust.documents.consent import Consent

    document = Consent(
        territory="demo",
        capsule=key.capsule,
        worker=card.worker,
        owner=key.signing.public,
        serial=serial,
        decision=Decision.GRANT,
        target="purpose:mobility",
        tables=("commute",),
        issued_at=world.clock.now(),
        expires_at=world.clock.now() + timedelta(days=1),
    )
    return signed.sign(document, [key.signing]).envelope.raw


@given(
    st.lists(
        st.tuples(st.sampled_from(DataClass), st.fractions(0, 2, max_denominator=20)),
        max_size=80,
    ),
    st.tuples(st.sampled_from(DataClass), st.fractions(0, 2, max_denominator=20)),
)
def test_an_overview_is_in_tens_and_one_more_is_never_counted_alone(
    accounts: list[tuple[DataClass, Fraction]], more: tuple[DataClass, Fraction]
) -> None:
    for lines in (overview(accounts, Fraction(1)), overview([*accounts, more], Fraction(1))):
        assert [line.data_class for line in lines] == list(DataClass)
        assert all(n % 10 == 0 for line in lines for n in (line.capsules, *line.quarters))
    assert rounded(4) == 0
    assert rounded(5) == rounded(14) == 10
