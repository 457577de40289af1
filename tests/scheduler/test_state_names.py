"""The diagrams, the CHECK constraints and the code name the same states and steps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scheduler.domain.states import (
    CAMPAIGN_STEPS,
    ROUND_STEPS,
    AttemptState,
    CampaignState,
    RoundState,
    UnitState,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "state-machines.md"
MACHINES = {
    "Campaign": CampaignState,
    "Round": RoundState,
    "Work unit": UnitState,
    "Attempt": AttemptState,
}


def drawn(title: str) -> set[tuple[str, str]]:
    section = PAGE.read_text("utf-8").split(f"## {title}\n")[1].split("## ")[0]
    return set(re.findall(r"^\s+(\S+) --> (\w+|\[\*\])", section, re.MULTILINE))


@pytest.mark.parametrize("title", MACHINES)
def test_the_diagram_draws_exactly_the_states(title):
    named = {state for step in drawn(title) for state in step} - {"[*]"}
    assert named == {state.value for state in MACHINES[title]}


@pytest.mark.parametrize(("title", "steps"), [("Campaign", CAMPAIGN_STEPS), ("Round", ROUND_STEPS)])
def test_the_diagram_draws_exactly_the_steps(title, steps):
    inner = {step for step in drawn(title) if "[*]" not in step}
    assert inner == {(old.value, new.value) for old, news in steps.items() for new in news}
