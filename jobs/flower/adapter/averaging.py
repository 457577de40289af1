"""Replies to sums and back: the only arithmetic between Flower's records and the grid's releases.

A client's reply leaves as `weight` (its number of examples over the cap, so in [0, 1]), as `update`
(weight x difference from the message's arrays) and as `metrics` (weight x value). Sums of these
over a cohort give the weighted average, which is what FedAvg makes of single replies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import RecordDict

from . import journal, records
from .grid import Sent
from .journal import Entry, Reply, Row
from .plan import Kind, Plan
from .records import Flat
from .refusals import Stopped

# A sum of weights that noise alone would make once in twenty times says nothing to divide by.
SIGMAS = 2.0
_TINY = 1e-12


@dataclass(frozen=True)
class Contribution:
    """One reply, weighted: sums of these are all that leaves a machine."""

    update: Row
    metrics: Row
    weight: float
    replies: float = 1.0


def contribution(plan: Plan, kind: Kind, sent: Sent, reply: Flat) -> Contribution:
    """What a reply to `sent` adds to the sums. Raises Stopped for a reply that has to be dropped.

    Dropped are replies of another layout (a missing key), with a number that is not finite, or
    with a weight that is missing or negative; weights over the cap count as the cap.
    """
    if _shape(reply.layout) != _shape(kind.reply):
        raise Stopped("reply-differs", _difference(reply.layout, kind.reply))
    if not np.isfinite(reply.values).all():
        raise Stopped("not-finite", "the ClientApp's reply holds NaN or infinity")
    weight = min(_examples(plan, reply), plan.weight_cap) / plan.weight_cap
    base = _base(sent)
    update, metrics = [np.zeros(0)], [np.zeros(0)]
    for group, name, entry, numbers in _numbers(reply.layout, reply.values):
        if group == "arrays":
            update.append(numbers - base.get((name, entry[0], math.prod(entry[2])), 0.0))
        elif entry[0] != plan.weight_key:
            metrics.append(numbers)
    return Contribution(weight * np.concatenate(update), weight * np.concatenate(metrics), weight)


def rows(plan: Plan, found: Contribution, node: int) -> dict[str, Row]:
    """A contribution as the releases have it: in its node's row, or in the only one."""
    update, metrics = row_cells(plan)
    place = node if plan.singles else 0
    released = {
        "update": np.zeros((plan.rows, update)),
        "metrics": np.zeros((plan.rows, metrics)),
        "weight": np.zeros(plan.weights),
    }
    released["update"][place, : len(found.update)] = found.update
    released["metrics"][place, : len(found.metrics)] = found.metrics
    released["weight"][place] = found.weight
    if plan.counts_replies:
        released["weight"][-1] = found.replies
    return {name: array.reshape(-1) for name, array in released.items()}


def entry(plan: Plan, sent: Sent, aggregate: Mapping[str, Any]) -> Entry:
    """The journal's entry for a round: the means that its released sums give."""
    check, number = journal.checksum(sent), journal.kind_of(plan, sent)
    kind = plan.kinds[number]
    update, metrics = (
        np.reshape(aggregate[name], (plan.rows, -1)) for name in ("update", "metrics")
    )
    nodes = sent.nodes if plan.singles else sent.nodes[:1]
    replies = []
    for node in nodes:
        row = node if plan.singles else 0
        total = float(aggregate["weight"][row])
        deviation = math.sqrt(float(aggregate["weight.variance"][row]))
        if not total > max(SIGMAS * deviation, _TINY):
            replies.append(Reply(node, 0, np.zeros(0)))
            continue
        numbers = [update[row, : update_cells(kind)], metrics[row, : metric_cells(plan, kind)]]
        examples = max(1, round(total * plan.weight_cap))
        replies.append(Reply(node, examples, np.concatenate(numbers) / total))
    return Entry(check, number, tuple(replies))


def replies(plan: Plan, sent: Sent, found: Entry) -> dict[int, RecordDict | None]:
    """What the ServerApp gets, by node; None where there was no usable sum."""
    kind = plan.kinds[found.kind]
    return {
        each.node: _reply(plan, kind, sent, each) if each.examples else None
        for each in found.replies
    }


def _reply(plan: Plan, kind: Kind, sent: Sent, found: Reply) -> RecordDict:
    base = _base(sent)
    arrays, metrics = np.split(found.values, [update_cells(kind)])
    layout: list[Any] = []
    parts: list[Any] = [np.zeros(0)]
    for group, name, entries in kind.reply:
        told = []
        for item in entries:
            count = records.size_of(group, item)
            if group == "arrays":
                # An average of whole numbers is none; Flower's own averages are floats too.
                dtype = item[1] if item[1].startswith("float") else "float64"
                told.append([item[0], dtype, item[2]])
                parts.append(base.get((name, item[0], count), 0.0) + arrays[:count])
                arrays = arrays[count:]
            elif item[0] == plan.weight_key:
                told.append(item)
                parts.append([float(found.examples)])
            else:
                told.append([item[0], False, item[2]])
                parts.append(metrics[:count])
                metrics = metrics[count:]
        layout.append([group, name, told])
    return records.restore(Flat(layout, np.concatenate(parts)))


def row_cells(plan: Plan) -> tuple[int, int]:
    """How many numbers a row of `update` and of `metrics` has: of the largest kind of reply."""
    return (
        max(1, *(update_cells(kind) for kind in plan.kinds)),
        max(1, *(metric_cells(plan, kind) for kind in plan.kinds)),
    )


def update_cells(kind: Kind) -> int:
    """How many numbers of `update` this kind of reply fills."""
    return sum(
        records.size_of(group, item)
        for group, _, item, _ in records.entries(kind.reply)
        if group == "arrays"
    )


def metric_cells(plan: Plan, kind: Kind) -> int:
    """How many numbers of `metrics` this kind of reply fills."""
    return len(metric_names(plan, kind))


def metric_names(plan: Plan, kind: Kind) -> list[str]:
    """The metrics in their order, each number with a name."""
    names = []
    for group, _, (key, _, length), _ in records.entries(kind.reply):
        if group == "metrics" and key != plan.weight_key:
            names += [key] if length < 0 else [f"{key}[{index}]" for index in range(length)]
    return names


def _examples(plan: Plan, reply: Flat) -> float:
    for group, _, entry, numbers in _numbers(reply.layout, reply.values):
        if group == "metrics" and entry[0] == plan.weight_key and entry[2] < 0:
            if numbers[0] < 0:
                raise Stopped("weight-negative", f"the reply's {plan.weight_key} is {numbers[0]}")
            return float(numbers[0])
    raise Stopped(
        "weight-missing",
        f"the reply has no metric {plan.weight_key!r}, by which Flower's strategies average",
    )


def _numbers(layout: list[Any], values: Row) -> Iterator[tuple[str, str, Any, Row]]:
    for group, name, entry, offset in records.entries(layout):
        yield group, name, entry, values[offset : offset + records.size_of(group, entry)]


def _base(sent: Sent) -> dict[tuple[str, str, int], Row]:
    """The message's arrays by record, key and size: what a reply's arrays are taken relative to."""
    return {
        (name, entry[0], len(numbers)): numbers
        for group, name, entry, numbers in _numbers(sent.flat.layout, sent.flat.values)
        if group == "arrays"
    }


def _shape(layout: list[Any]) -> list[Any]:
    """The layout without metrics' number types: 1 and 1.0 may both be an accuracy."""
    return [
        [group, name, [[e[0], e[2]] if group == "metrics" else e for e in entries]]
        for group, name, entries in layout
    ]


def _difference(found: list[Any], expected: list[Any]) -> str:
    have, want = (
        {f"{name}[{entry[0]!r}]" for _, name, entry, _ in records.entries(layout)}
        for layout in (found, expected)
    )
    if missing := sorted(want - have):
        return f"the ClientApp's reply lacks {', '.join(missing)[:200]}"
    if extra := sorted(have - want):
        return f"the ClientApp's reply has {', '.join(extra)[:200]} too many"
    return "the ClientApp's reply has other shapes or types than when the bundle was made"
