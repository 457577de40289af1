"""The bundle's entry points: a Flower app as `contribute` and `conclude`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import RecordDict

from . import averaging, client, journal, server
from . import plan as plans
from .averaging import Contribution
from .grid import Sent
from .journal import Entry, Row
from .plan import Plan
from .refusals import Stopped, Suspended

NOTHING = Contribution(np.zeros(0), np.zeros(0), 0.0, 0.0)


def contribute(
    capsule: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any]
) -> dict[str, Row]:
    """One capsule's weighted reply to this round's message. Raises Stopped."""
    plan = plans.read()
    sent = _message(plan, parameters)
    kind = plan.kinds[journal.kind_of(plan, sent)]
    node = client.node_of(plan, capsule)
    if plan.singles and node not in sent.nodes:
        return averaging.rows(plan, NOTHING, node)
    found = averaging.contribution(plan, kind, sent, client.answer(plan, sent, capsule))
    return averaging.rows(plan, found, node)


def conclude(aggregate: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The ServerApp's next message, or its end, after this round's sums. Raises Stopped."""
    plan = plans.read()
    state, number = parameters["state"], parameters["round"]
    done = journal.read_journal(state["journal"])
    if number > 1:
        expected = journal.checksum(journal.read_heading(state["heading"], state["message"]))

    def answer(index: int, sent: Sent) -> Mapping[int, RecordDict | None]:
        if index == number:
            raise Suspended
        if index == len(done):
            done.append(averaging.entry(plan, sent, aggregate))
            if number > 1 and done[index].check != expected:
                raise not_repeatable(index)
        elif done[index].check != journal.checksum(sent):
            raise not_repeatable(index)
        return averaging.replies(plan, sent, done[index])

    played = server.play(plan, answer)
    if played.rounds < number:
        raise not_repeatable(played.rounds)
    following = played.following
    counted = (
        {"replies": np.rint(aggregate["weight"][-1:]).astype(np.int64)}
        if plan.counts_replies
        else {}
    )
    return {
        **counted,
        "metrics": _told(plan, done, played.server_metrics),
        "examples": np.array([float(sum(reply.examples for reply in done[-1].replies))]),
        "finished": np.array([int(played.sent is None)]),
        "heading": journal.write_heading(following, plan.heading_cells),
        "message": journal.write_message(following.flat, plan.message_cells),
        "journal": journal.write_journal(done, plan.journal_cells),
        "stop": np.array([int(played.sent is None)]),
    }


def first_message(plan: Plan) -> Sent:
    """What the ServerApp says before anybody answered. Raises Stopped."""
    played = server.play(plan, _ask)
    if played.sent is None:
        raise Stopped("server-idle", "the ServerApp ends without sending a message")
    return played.sent


def not_repeatable(index: int) -> Stopped:
    """What to raise when a replay goes another way than before."""
    return Stopped(
        "not-repeatable",
        f"played again with the same replies, the ServerApp's message {index + 1} is another; it "
        "must depend on nothing but replies, configuration and seeded chance",
    )


def _message(plan: Plan, parameters: Mapping[str, Any]) -> Sent:
    if parameters["round"] == 1:
        # Nothing has travelled yet: everybody finds the first message by playing the server.
        return first_message(plan)
    return journal.read_heading(parameters["state"]["heading"], parameters["state"]["message"])


def _ask(_index: int, _sent: Sent) -> Mapping[int, RecordDict | None]:
    raise Suspended


def metric_labels(plan: Plan) -> list[str]:
    """What the report's `metrics` are, in order; never none."""
    names = [
        f"{kind.message_type} {name}"
        for kind in plan.kinds
        for name in averaging.metric_names(plan, kind)
    ]
    return [*names, *(f"server {name}" for name in plan.server_metrics)] or ["none"]


def _told(plan: Plan, done: list[Entry], measured: Mapping[str, float]) -> Row:
    """The latest of each metric, NaN for what was not measured yet."""
    told: list[float] = []
    for number, kind in enumerate(plan.kinds):
        cells = averaging.metric_cells(plan, kind)
        usable = [
            [reply for reply in entry.replies if reply.examples]
            for entry in reversed(done)
            if entry.kind == number
        ]
        latest = usable[0] if usable else []
        mean = np.full(cells, np.nan)
        if latest:
            values = [reply.values[len(reply.values) - cells :] for reply in latest]
            mean = np.average(values, axis=0, weights=[reply.examples for reply in latest])
        told += mean.tolist()
    told += [measured.get(name, float("nan")) for name in plan.server_metrics]
    return np.array(told or [float("nan")])
