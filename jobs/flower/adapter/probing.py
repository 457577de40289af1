"""What `bundle from-flower` asks the app on its author's machine, in the same sandbox.

Two steps in turn until the ServerApp ends: its next message, and one client's reply on invented
data. They answer with text and numbers of generous fixed sizes; the last step's numbers go back
into the next, and nobody outside needs to read them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import RecordDict

from . import averaging, client, entries, journal, records, server
from . import plan as plans
from .grid import Sent
from .journal import Row
from .plan import Kind
from .refusals import Stopped, Suspended

TEXT_CELLS, NUMBER_CELLS = 1 << 16, 1 << 20


def next_message(_capsule: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The ServerApp's message after the replies in the journal, or that it has ended."""
    plan = plans.read()
    done = journal.read_journal(parameters["state"]["journal"])

    def answer(index: int, sent: Sent) -> Mapping[int, RecordDict | None]:
        if index == len(done):
            raise Suspended
        if done[index].check != journal.checksum(sent):
            raise entries.not_repeatable(index)
        return averaging.replies(plan, sent, done[index])

    played = server.play(plan, answer)
    following = played.following
    flat = following.flat
    heading = journal.heading_cells(following)
    told = {
        "finished": played.sent is None,
        "heading": heading,
        "message": len(flat.values),
        "arrays": [
            entry for group, _, entry, _ in records.entries(flat.layout) if group == "arrays"
        ],
        "patience": played.patience,
        "server_metrics": sorted(played.server_metrics),
    }
    numbers = [journal.write_heading(following, heading), flat.values]
    return _answer(told, np.concatenate(numbers))


def client_reply(
    capsule: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The journal with one client's reply to the message; and the reply's layout."""
    plan = plans.read()
    state = parameters["state"]
    sent = journal.read_heading(state["heading"], state["message"])
    done = journal.read_journal(state["journal"])
    reply = client.answer(plan, sent, capsule)
    known = [kind for kind in plan.kinds if kind.message_type == sent.message_type]
    kind = known[0] if known else Kind(sent.message_type, reply.layout)
    if not known:
        plan = dataclasses.replace(plan, kinds=[*plan.kinds, kind])
    found = averaging.contribution(plan, kind, sent, reply)
    if found.weight == 0:
        raise Stopped(
            "weight-missing", f"the reply's {plan.weight_key} is 0 on the invented capsule"
        )
    # One invented client stands for every node that is asked.
    nodes = sent.nodes if plan.singles else (0,)
    sums = [averaging.rows(plan, found, node) for node in nodes]
    aggregate = {name: np.sum([each[name] for each in sums], axis=0) for name in sums[0]}
    aggregate["weight.variance"] = np.zeros(plan.rows)
    done.append(averaging.entry(plan, sent, aggregate))
    size = journal.journal_cells(done)
    told = {
        "kind": vars(kind),
        "journal": size,
        "update": averaging.update_cells(kind),
        "metrics": averaging.metric_cells(plan, kind),
        "length": float(np.linalg.norm(found.update)),
        "metric_length": float(np.linalg.norm(found.metrics)),
    }
    return _answer(told, journal.write_journal(done, size))


def labels(_capsule: Any, _parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the report's metrics, once the plan is whole."""
    plan = plans.read()
    return _answer({"metrics": entries.metric_labels(plan)}, np.zeros(1))


def _answer(told: Mapping[str, Any], numbers: Row) -> dict[str, Any]:
    text = json.dumps(told).encode()
    if len(text) > TEXT_CELLS or len(numbers) > NUMBER_CELLS:
        raise Stopped(
            "model-too-large",
            f"the app's messages take {len(numbers)} numbers in {len(text)} letters of layout; "
            f"at most {NUMBER_CELLS} and {TEXT_CELLS} fit",
        )
    letters = np.zeros(TEXT_CELLS, np.int64)
    letters[: len(text)] = np.frombuffer(text, np.uint8)
    return {"text": letters, "numbers": np.pad(numbers, (0, NUMBER_CELLS - len(numbers)))}
