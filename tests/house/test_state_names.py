"""One vocabulary: states are named alike in code, on the wire and in the glossary."""

import re
from pathlib import Path

import pytest

from protos.cadastre.v1 import states_pb2
from scheduler.domain.states import AttemptState, CampaignState, RoundState, UnitState

HOUSE = Path(__file__).resolve().parents[2]
STATES = {
    "campaign": (CampaignState, states_pb2.CampaignState),
    "round": (RoundState, states_pb2.RoundState),
    "unit": (UnitState, states_pb2.UnitState),
    "attempt": (AttemptState, states_pb2.AttemptState),
}


@pytest.mark.parametrize("thing", STATES)
def test_code_and_wire_name_the_same_states(thing: str) -> None:
    code, wire = STATES[thing]
    prefix = f"{thing.upper()}_STATE_"
    on_wire = [name.removeprefix(prefix).lower() for name, _ in wire.items()]
    assert on_wire == ["unspecified", *(state.value for state in code)]


@pytest.mark.parametrize("thing", STATES)
def test_the_glossary_names_the_same_states(thing: str) -> None:
    glossary = (HOUSE / "docs" / "glossary.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| {thing} \| ([a-z, ]+) \|$", glossary, re.MULTILINE)
    assert row is not None
    assert row[1].split(", ") == [state.value for state in STATES[thing][0]]
