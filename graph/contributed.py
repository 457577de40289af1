"""Contributed data as edges: the cells of a verified release, with the bands it states."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from graph import decimals
from graph.errors import ReleaseUnfit
from graph.model import Flow, Source, SourceKind
from graph.plan import ReleasePlan
from graph.releases import VerifiedRelease
from graph.yard import Yard


def add_release(yard: Yard, plan: ReleasePlan, releases: Sequence[VerifiedRelease]) -> None:
    """The newest release of the planned bundle: a dated graph holds one edition of a series."""
    of_bundle = [item for item in releases if item.bundle == plan.bundle]
    if not of_bundle:
        raise ReleaseUnfit(
            f"no release of {plan.bundle[:80]} is among the files",
            remedy="give the folder of its release and report, or take it out of the plan",
        )
    newest = of_bundle[-1]
    report = newest.report
    source = Source(
        id=f"source:{plan.bundle}.{plan.array}",
        kind=SourceKind.RELEASE,
        series=f"{plan.bundle}/{plan.array}",
        title=str(report["title"]["fr"]),
        attribution=f"données contribuées, campagne {newest.release.document.campaign}",
        licence=plan.licence,
        digest=newest.release.digest,
        minimum=newest.minimum,
        withheld=0,
    )
    yard.add_source(source)
    cells = _cells_of(report, plan)
    axes = [plan.labels[axis] for axis in plan.axes]
    flows, unseen = [], 0
    for ends, cell in zip(itertools.product(*axes), cells, strict=True):
        flow = _flow(plan, {**plan.fixed, **dict(zip(plan.axes, ends, strict=True))}, cell)
        if flow is None:
            unseen += 1  # withheld by the report itself
        else:
            flows.append(replace(flow, source=source.id))
    yard.add_flows(flows, source)
    yard.withhold(source.id, unseen)


@dataclass(frozen=True)
class _Cell:
    """One released cell: None where the report withholds it, or says nothing."""

    quantity: Decimal | None
    lower: Decimal | None
    upper: Decimal | None
    count: Decimal | None
    counted: bool  # whether the plan names an array of counts


def _cells_of(report: Mapping[str, Any], plan: ReleasePlan) -> list[_Cell]:
    """The planned array's cells in C order. Raises ReleaseUnfit when plan and report differ."""
    value = _array(report, plan, plan.array)
    labelled = [len(plan.labels[axis]) for axis in plan.axes]
    if value["unit"] != plan.unit:
        raise ReleaseUnfit(
            f"{plan.array} is released in {value['unit']!s:.40}, the plan says {plan.unit}",
            remedy="correct the plan's unit",
        )
    if labelled != value["shape"]:
        raise ReleaseUnfit(
            f"{plan.array} has the shape {value['shape']}, the plan labels {labelled}",
            remedy="name one node per label of the report, in its order",
        )
    beside = {
        array["kind"]: array for array in report["arrays"].values() if array["of"] == plan.array
    }
    if plan.counts is not None:
        beside["count"] = _array(report, plan, plan.counts)
    nothing = [None] * len(value["cells"])
    columns = [value["cells"]]
    for kind in ("lower", "upper", "count"):
        if kind in beside and beside[kind]["shape"] != value["shape"]:
            raise ReleaseUnfit(f"{plan.array} and its {kind} are of different shapes")
        columns.append(beside[kind]["cells"] if kind in beside else nothing)
    told = plan.counts is not None
    return [
        _Cell(_number(value), _number(lower), _number(upper), _number(count), told)
        for value, lower, upper, count in zip(*columns, strict=True)
    ]


def _flow(plan: ReleasePlan, ends: Mapping[str, str], cell: _Cell) -> Flow | None:
    """The edge that one cell makes; None where the report withholds it, or says less than 0."""
    if cell.quantity is None or cell.quantity < 0 or (cell.counted and cell.count is None):
        return None
    # Half a band tells nothing that a reader could use.
    banded = cell.lower is not None and cell.upper is not None
    resource = ends["resource"]
    return Flow(
        relation=plan.relation,
        origin=ends["origin"],
        target=ends.get("target", resource),
        resource=resource,
        quantity=decimals.canonical(cell.quantity),
        unit=plan.unit,
        begins=plan.period[0],
        ends=plan.period[1],
        source="",
        lower=_text(cell.lower) if banded else None,
        upper=_text(cell.upper) if banded else None,
        count=_text(cell.count),
    )


def _array(report: Mapping[str, Any], plan: ReleasePlan, name: str) -> Mapping[str, Any]:
    array: Mapping[str, Any] | None = report["arrays"].get(name)
    if array is None or array["kind"] != "value":
        raise ReleaseUnfit(f"the report of {plan.bundle[:80]} has no values {name[:80]!r}")
    return array


def _number(cell: Any) -> Decimal | None:
    return Decimal(cell) if isinstance(cell, int | Decimal) and not isinstance(cell, bool) else None


def _text(number: Decimal | None) -> str | None:
    return None if number is None else decimals.canonical(number)
