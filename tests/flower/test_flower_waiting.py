"""How long a ServerApp would wait: times in which nobody can answer are refused, others told."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("flwr", reason="no flwr: pip install 'cadastre[flower]'")

from flwr.app import ArrayRecord, Message, RecordDict

from jobs.flower.adapter import internals
from jobs.flower.adapter.grid import ReplayGrid
from jobs.flower.adapter.refusals import Stopped

HOURS = 12 * 3600.0  # flwr's own time to live


def grid() -> ReplayGrid:
    internals.become(internals.SERVER_NODE)
    return ReplayGrid(2, lambda _, sent: {node: sent_back() for node in sent.nodes})


def sent_back() -> RecordDict:
    return RecordDict({"arrays": ArrayRecord()})


def messages(asked: ReplayGrid, ttl: float | None = None) -> list[Message]:
    made = [Message(sent_back(), node, "train") for node in asked.get_node_ids()]
    for message in made:
        if ttl is not None:
            message.metadata.ttl = ttl
    return made


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_a_time_in_which_nobody_can_answer_is_refused_by_name(seconds: float) -> None:
    asked = grid()
    with pytest.raises(Stopped, match=r"time to live of .* seconds") as refused:
        asked.push_messages(messages(asked, seconds))
    assert refused.value.name == "no-time"
    with pytest.raises(Stopped, match=r"timeout of .* seconds") as refused:
        asked.send_and_receive(messages(asked), timeout=seconds)
    assert refused.value.name == "no-time"


@pytest.mark.parametrize(
    ("timeout", "ttl", "patience"),
    [(None, None, HOURS), (90.0, None, 90.0), (90.0, 30.0, 30.0), (3600, None, 3600.0)],
)
def test_the_shortest_time_is_what_the_bundle_takes_its_deadline_from(
    timeout: float | None, ttl: float | None, patience: float
) -> None:
    asked = grid()
    replies = list(asked.send_and_receive(messages(asked, ttl), timeout=timeout))
    assert [reply.has_content() for reply in replies] == [True, True]
    assert asked.patience == patience
