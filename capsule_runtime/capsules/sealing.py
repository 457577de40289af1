"""Sealing an owner's source: read and convert everything, then write everything or nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from capsule_runtime import columns
from capsule_runtime.capsules import card as cards
from capsule_runtime.capsules import grants, sealed
from capsule_runtime.capsules.conversion import (
    Cell,
    CellRefused,
    Converter,
    Number,
    RowDropped,
    converter,
    is_missing,
    text_of,
)
from capsule_runtime.capsules.directory import CARD, INDEX, OwnerKey, Staging
from capsule_runtime.capsules.encryption import KEY_BYTES
from capsule_runtime.capsules.errors import SourceRefused
from capsule_runtime.capsules.mapping import CapsuleMapping, TableMapping
from capsule_runtime.capsules.sources import Row, read_rows
from capsule_runtime.portions import TablesRefused, check_records
from trust.clock import Clock
from trust.documents.rules import DataClass, PrivacyUnit
from trust.entropy import Entropy
from trust.ids import CapsuleId
from trust.keys import PrivateKey

# table -> column -> values, for one capsule
Values = dict[str, dict[str, list[Number]]]


@dataclass(frozen=True)
class SealedSource:
    """What one sealing made."""

    capsules: int
    rows: int
    dropped: int
    data_class: DataClass
    unit: PrivacyUnit
    grants: int


@dataclass
class _Reading:
    """Converted rows by owner value; the key is "" when there is one capsule in all."""

    groups: dict[str, Values]
    rows: int = 0
    dropped: int = 0


def seal_source(
    source: Path,
    mapping: CapsuleMapping,
    out: Path,
    *,
    clock: Clock,
    entropy: Entropy,
    card: bytes | None = None,
    owner: PrivateKey | None = None,
    lifetime: timedelta = grants.DEFAULT_LIFETIME,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SealedSource:
    """Seal `source` into the new owner's directory `out`.

    `card` is a worker's raw card: then each capsule gets a grant for that worker. `owner` is an
    existing key, allowed for a single capsule only: with one capsule per owner every owner gets
    a fresh key. `progress` is told (capsules done, capsules in all).
    Raises SourceRefused, CardRefused, OwnerDirectoryRefused, StorageFailed; then `out` does
    not exist.
    """
    host = None if card is None else cards.verify_card(card)
    reading = _read(source, mapping)
    if owner is not None and mapping.one_per is not None:
        raise SourceRefused(
            "one existing owner key cannot own one capsule per owner",
            remedy="leave out --owner-key, or one_per in the mapping",
        )
    index = io.StringIO()
    writer = csv.writer(index, lineterminator="\n")
    writer.writerow(("capsule", mapping.one_per or "owner"))
    with Staging(out) as staging:
        for done, (value, values) in enumerate(reading.groups.items(), 1):
            key = OwnerKey(
                CapsuleId.draw(entropy), owner or PrivateKey.generate(entropy), entropy(KEY_BYTES)
            )
            units = _units(value, values, mapping)
            capsule = _seal_one(values, key, mapping, units=units, clock=clock, entropy=entropy)
            staging.write(f"capsules/{key.capsule}.capsule", capsule.raw)
            staging.write_key(key)
            writer.writerow((key.capsule, value))
            if host is not None:
                raw = grants.issue(
                    key.capsule,
                    key.capsule_key,
                    key.signing,
                    host,
                    now=clock.now(),
                    entropy=entropy,
                    lifetime=lifetime,
                )
                staging.write_grant(key.capsule, host.worker, raw)
            progress(done, len(reading.groups))
        if mapping.one_per is not None:
            staging.write(INDEX, index.getvalue().encode(), 0o600)
        if card is not None:
            staging.write(CARD, card)
        staging.commit()
    return SealedSource(
        len(reading.groups),
        reading.rows,
        reading.dropped,
        mapping.data_class,
        mapping.unit,
        len(reading.groups) if host is not None else 0,
    )


def _read(source: Path, mapping: CapsuleMapping) -> _Reading:
    reading = _Reading({} if mapping.one_per else {"": _empty(mapping)})
    for table in mapping.tables:
        converters = [(column, converter(column, mapping.source)) for column in table.columns]
        steps = [(column.source, column.name, convert) for column, convert in converters]
        for row in _kept(read_rows(source, table, mapping.source), table):
            _read_row(row, table, steps, mapping, reading)
    if not reading.rows:
        raise SourceRefused(
            f"{source.name} holds no row that the mapping keeps",
            remedy="check `keep` in the mapping and the source itself",
        )
    return reading


def _read_row(
    row: Row,
    table: TableMapping,
    steps: list[tuple[str | None, str, Converter]],
    mapping: CapsuleMapping,
    reading: _Reading,
) -> None:
    place, cells = row
    converted: list[tuple[str, Number]] = []
    source = ""
    try:
        value = ""
        if table.owner is not None:
            source = table.owner
            value = _owner(cells[source], mapping)
        for named, name, convert in steps:
            source = named or name
            converted.append((name, convert(cells[named] if named is not None else None)))
    except RowDropped:
        reading.dropped += 1
        return
    except CellRefused as refusal:
        raise refusal.at(place, source) from None
    if value not in reading.groups:
        reading.groups[value] = _empty(mapping)
    lists = reading.groups[value][table.name]
    for name, number in converted:
        lists[name].append(number)
    reading.rows += 1


def _owner(cell: Cell, mapping: CapsuleMapping) -> str:
    if is_missing(cell, mapping.source):
        raise CellRefused("whose row it is", "an empty cell")
    return text_of(cell)


def _kept(rows: Iterator[Row], table: TableMapping) -> Iterator[Row]:
    wanted = table.keep.items()
    return (row for row in rows if all(text_of(row[1][column]) == text for column, text in wanted))


def _empty(mapping: CapsuleMapping) -> Values:
    return {table.name: {column.name: [] for column in table.columns} for table in mapping.tables}


def _units(value: str, values: Values, mapping: CapsuleMapping) -> int:
    if mapping.persons_table is None:
        return 1
    lists = values[mapping.persons_table]
    column = mapping.persons_column
    persons = int(sum(lists[column])) if column else len(next(iter(lists.values())))
    if persons < 1 or (column and min(lists[column]) < 0):
        owner = f" of {mapping.one_per} {value}" if value else ""
        raise SourceRefused(
            f"the capsule{owner} speaks of {persons} persons, or of a negative number somewhere",
            remedy="leave out empty owners, or name another persons column in the mapping",
        )
    return persons


def _seal_one(
    values: Values,
    key: OwnerKey,
    mapping: CapsuleMapping,
    *,
    units: int,
    clock: Clock,
    entropy: Entropy,
) -> sealed.SealedCapsule:
    kinds = {
        table.name: {
            column.name: "int64" if column.whole else "float64" for column in table.columns
        }
        for table in mapping.tables
    }
    arrays = {
        table: {name: np.array(numbers, kinds[table][name]) for name, numbers in lists.items()}
        for table, lists in values.items()
    }
    if mapping.unit is PrivacyUnit.PERSON:
        _require_splittable(arrays)
    return sealed.seal(
        columns.encode(arrays),
        kinds,
        capsule=key.capsule,
        capsule_key=key.capsule_key,
        owner=key.signing,
        data_class=mapping.data_class,
        unit=mapping.unit,
        units=units,
        now=clock.now(),
        entropy=entropy,
    )


def _require_splittable(arrays: columns.Tables) -> None:
    try:
        check_records(arrays)
    except TablesRefused as refusal:
        raise SourceRefused(refusal.sentence, remedy=refusal.remedy) from refusal
