"""A release as its readers get it: values, bands, what the rounds told, and where it is from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlmodel import col, select

from durable.errors import BlobMissing
from jobs import aggregate, archive
from jobs.errors import AggregateRefused
from jobs.schema import Manifest
from protection import accounting
from scheduler.domain.states import RoundState
from scheduler.errors import NotReleased
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, BundleRow, CampaignRow, LogRow, RoundRow
from scheduler.views import ledger
from scheduler.views.reach import Reach, campaign_within
from trust import schema
from trust.documents.campaign import Release
from trust.documents.rules import ReleaseRules
from trust.dsse import Envelope
from trust.ids import Digest
from trust.log.checkpoint import Checkpoint
from trust.log.entry import Kind
from trust.log.note import Note
from trust.log.proof import LogProof

Cell = float | str | None  # a number, "<20" for a withheld one, None for none


@dataclass(frozen=True)
class Array:
    """A value of the report. `cells`, `low` and `high` are in C order of `shape`.

    `declared` is whether the bundle computed the bands itself; otherwise they are those of the
    noise, and there are some only where the value is an opened sum as it was opened.
    """

    name: str
    unit: str
    shape: tuple[int, ...]
    labels: tuple[tuple[str, ...], ...]
    cells: tuple[Cell, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    declared: bool = False


@dataclass(frozen=True)
class Stamp:
    """Where the release stands in the log: under which checkpoint, if under one."""

    index: int | None
    size: int | None
    root: str  # of the tree of `size`, hex; "" before a checkpoint covers it
    witnessed: bool


@dataclass(frozen=True)
class Provenance:
    """What stands inside every download. Digests are of envelopes, `report` of the blob."""

    territory: str
    campaign: str
    title: str
    bundle: str
    name: str
    version: str
    author: str
    authorisation: str  # auth_…
    vote: str
    release: str
    report: str
    stamp: Stamp
    unit: str  # whose privacy was bounded: owner or person
    rho: str  # zCDP that one privacy unit paid
    epsilon: float
    delta: float
    contributions_rounded: int
    rounds: int  # that were opened
    rounds_voted: int
    released_at: datetime


@dataclass(frozen=True)
class Told:
    """What one round told in single numbers."""

    round: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Released:
    """A campaign's release."""

    provenance: Provenance
    titles: Mapping[str, str]  # the bundle's, by language
    arrays: tuple[Array, ...]
    told: tuple[Told, ...]
    carries_model: bool
    raw: bytes = field(repr=False)  # the report's JSON, as signed for


def released(desk: Desk, text: str, reach: Reach) -> Released:
    """The release of a campaign by id or unique prefix. Raises Unknown, Ambiguous, NotReleased."""
    found = desk.store.read("view-release", lambda tx: _rows(tx, text, reach))
    assert found.campaign.release is not None
    envelope = desk.blobs.get(Digest(found.campaign.release))
    # Named by its digest since we signed it; the orders key may have been replaced meanwhile.
    document = schema.decode(Release, Envelope.parse(envelope).payload)
    raw = desk.blobs.get(document.report)
    # Of the bundle's bytes, which the vote named: whoever signed the vote may have left since.
    digest = Digest(found.bundle.digest)
    manifest = archive.read(desk.blobs.get(digest), digest).manifest
    report: dict[str, Any] = json.loads(raw)
    return Released(
        provenance=_provenance(desk, found, document, manifest),
        titles=report["title"],
        arrays=arrays_of(report, _noise(desk, found, manifest)),
        told=tuple(
            Told(row.number, json.loads(row.told)) for row in found.rounds if row.told is not None
        ),
        carries_model=bool(manifest.state),
        raw=raw,
    )


@dataclass(frozen=True)
class _Rows:
    campaign: CampaignRow
    bundle: BundleRow
    vote: AuthorisationRow
    rounds: Sequence[RoundRow]
    entry: LogRow | None


def _rows(tx: Transaction, text: str, reach: Reach) -> _Rows:
    row = campaign_within(tx, text, reach)
    if row.release is None:
        raise NotReleased(
            f"the campaign is {row.state}: there is no release",
            remedy=f"/runs/{row.id} says how far it is",
        )
    bundle = tx.session.get(BundleRow, row.bundle)
    vote = tx.session.get(AuthorisationRow, row.authorisation)
    assert bundle is not None
    assert vote is not None
    rounds = tx.session.exec(
        select(RoundRow)
        .where(RoundRow.campaign == row.id, RoundRow.state == RoundState.OPENED.value)
        .order_by(col(RoundRow.number))
    ).all()
    entry = tx.session.exec(
        select(LogRow).where(LogRow.digest == row.release, LogRow.kind == Kind.RELEASE.value)
    ).first()
    return _Rows(row, bundle, vote, rounds, entry)


def _provenance(desk: Desk, found: _Rows, document: Release, manifest: Manifest) -> Provenance:
    return Provenance(
        territory=document.territory,
        campaign=found.campaign.id,
        title=found.vote.title,
        bundle=found.bundle.digest,
        name=found.bundle.name,
        version=found.bundle.version,
        author=found.bundle.author,
        authorisation=found.vote.id,
        vote=found.vote.digest,
        release=found.campaign.release or "",
        report=str(document.report),
        stamp=_stamp(desk, found.entry),
        unit=manifest.unit.value,
        rho=document.rho,
        epsilon=round(accounting.epsilon(accounting.decimal(document.rho, "rho")), 4),
        delta=accounting.DELTA,
        contributions_rounded=document.contributors_rounded,
        rounds=len(document.openings),
        rounds_voted=found.campaign.rounds,
        released_at=document.released_at,
    )


def _stamp(desk: Desk, entry: LogRow | None) -> Stamp:
    """Once witnessed always the same checkpoint; before that the newest, if it covers the entry."""
    if entry is None or entry.position is None:
        return Stamp(None, None, "", witnessed=False)
    if entry.proof is not None:
        note = Note.parse(LogProof.parse(entry.proof.encode()).note)
        seen = Checkpoint.parse(note.text)
        return Stamp(entry.position, seen.size, seen.root.hex(), witnessed=True)
    head = ledger.head(desk)
    if entry.position >= head.size:
        return Stamp(entry.position, None, "", witnessed=False)
    return Stamp(entry.position, head.size, head.root, witnessed=False)


@dataclass(frozen=True)
class Opened:
    """A sum as it was opened: its cells and the half width of its 95 % band, in its own unit."""

    values: tuple[float, ...]
    half: tuple[float, ...]


def _noise(desk: Desk, found: _Rows, manifest: Manifest) -> dict[str, Opened]:
    """By report array: the opened sum that it may repeat; empty where the blob is gone."""
    if not found.rounds or found.rounds[-1].aggregate is None:
        return {}
    rules = manifest.rules()
    try:
        blob = desk.blobs.get(Digest(found.rounds[-1].aggregate))
        table = aggregate.decode_aggregate(rules, blob)
    except (AggregateRefused, BlobMissing):
        return {}
    by_output: Mapping[str, ReleaseRules] = {rule.output: rule for rule in rules}
    opened: dict[str, Opened] = {}
    for name, array in manifest.report.items():
        output = array.release or name
        if array.kind != "value" or output not in by_output or output not in table:
            continue
        variance = table[output + aggregate.VARIANCE].ravel().tolist()
        opened[name] = Opened(
            tuple(np.asarray(table[output], np.float64).ravel().tolist()),
            tuple(accounting.band_95(float(one)) for one in variance),
        )
    return opened


def arrays_of(report: Mapping[str, Any], opened: Mapping[str, Opened]) -> tuple[Array, ...]:
    """The values of a report (jobs.report), each with its bands."""
    arrays: Mapping[str, Mapping[str, Any]] = report["arrays"]
    bands: dict[str, dict[str, Any]] = {}
    for array in arrays.values():
        if array["kind"] != "value":
            bands.setdefault(array["of"], {})[array["kind"]] = array["cells"]
    return tuple(
        _array(name, array, bands.get(name, {}), opened.get(name))
        for name, array in arrays.items()
        if array["kind"] == "value"
    )


def _array(
    name: str,
    array: Mapping[str, Any],
    bands: Mapping[str, Sequence[float | None]],
    opened: Opened | None,
) -> Array:
    cells: tuple[Cell, ...] = tuple(array["cells"])
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    declared = {"lower", "upper"} <= bands.keys()
    if declared:
        low, high = tuple(bands["lower"]), tuple(bands["upper"])
    elif opened is not None and _repeats(cells, opened):
        pairs = list(zip(cells, opened.half, strict=True))
        low = tuple(cell - half if isinstance(cell, int | float) else None for cell, half in pairs)
        high = tuple(cell + half if isinstance(cell, int | float) else None for cell, half in pairs)
    return Array(
        name=name,
        unit=array["unit"],
        shape=tuple(array["shape"]),
        labels=tuple(tuple(axis) for axis in array["labels"]),
        cells=cells,
        low=low,
        high=high,
        declared=declared,
    )


def _repeats(cells: Sequence[Cell], opened: Opened) -> bool:
    """Whether every cell that is told is the opened sum's: then its noise is the cell's."""
    return len(cells) == len(opened.values) and all(
        math.isclose(cell, value)
        for cell, value in zip(cells, opened.values, strict=True)
        if isinstance(cell, int | float)
    )
