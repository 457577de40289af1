"""What one run of `contribute` may see: one privacy unit's own rows, and how often they occur.

Per-person clipping cannot be enforced on a vector that a bundle has already summed over persons:
a bundle could answer with the whole company's room (persons x bound) depending on one person,
and no check of the sum would notice. So where the privacy unit is a person, each run sees one
record, in a process of its own, with `persons` set to 1; the guard clips that contribution to
one person's bound and multiplies it by the number of persons who share the record. Adding or
removing one person then changes the capsule's sum by one clipped contribution, whatever the
bundle does; nothing of one record can reach the run of another. Equal records are merged, so the
cost grows with distinct records, not with persons.

The counts come from the sealed table, never from the bundle. What this does not hide is the
company itself: how many distinct records it has shows in how long its runs take, and nothing
protects the number of its persons beyond the cohort that it is added to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from capsule_runtime.errors import CapsuleError
from protection import columns
from protection.columns import Column
from trust.documents.rules import PrivacyUnit
from trust.ids import Digest
from trust.problem import Kind

_LOTS_AT_ONCE = 1 << 20  # 8 MiB of them
PERSONS = "persons"  # the column that says how many persons share a record
# Ours: one run takes about 8 ms, so a company of 4096 distinct records takes half a minute.
MAXIMUM_PORTIONS = 4096
MAXIMUM_PERSONS = 10_000_000  # in one capsule


class TablesRefused(CapsuleError):
    """A capsule whose tables or columns are not what the bundle needs."""

    code = "tables-refused"
    kind = Kind.INVALID


@dataclass(frozen=True)
class Portion:
    """One run of `contribute`: the column blob that it reads, and its number of privacy units."""

    data: bytes
    units: int


def portions(
    tables: Mapping[str, Mapping[str, Column]],
    needs: Mapping[str, tuple[str, ...]],
    unit: PrivacyUnit,
) -> tuple[Portion, ...]:
    """The runs that one capsule takes; only the tables and columns in `needs` are handed over.

    Unit `owner`: one run, one unit. Unit `person`: one run per distinct record of the single
    needed table. Raises TablesRefused; a caller that has charged the ledger already then adds the
    capsule with no run at all, so that it still counts and pays.
    """
    selected = {table: _selected(tables, table, names) for table, names in needs.items()}
    if unit is PrivacyUnit.OWNER:
        return (Portion(columns.encode(selected), 1),)
    if len(selected) != 1:
        raise TablesRefused(
            f"unit = person splits one table by records, the bundle needs {len(selected)}",
            remedy="join the tables before sealing, or use unit = owner",
        )
    ((table, record_columns),) = selected.items()
    return _records(table, record_columns)


def drawn(parts: tuple[Portion, ...], share: Fraction, seed: Digest) -> tuple[Portion, ...]:
    """The portions of those whom `seed` draws, each person by a lot of her own.

    A person is in with the probability `share`, whoever else there is: one person more or less
    changes nobody else's lot, so the sum moves by one clipped contribution as if all were in (a
    draw of a fixed number would exchange one for another and move it by two). Nothing is claimed
    for the draw itself, because the plan tells the seed: who is not drawn pays as who is.
    """
    if share >= 1:
        return parts
    limit = np.uint64(int(share * 2**64))
    counts = [_lots_below(part, limit, seed) for part in parts]
    return tuple(
        Portion(part.data, count) for part, count in zip(parts, counts, strict=True) if count
    )


def _lots_below(part: Portion, limit: np.uint64, seed: Digest) -> int:
    """How many of those who share a record have a lot below `limit`; one person more, one lot."""
    own = hashlib.sha256(seed.raw + part.data).digest()
    source = np.random.PCG64(int.from_bytes(own, "big"))
    count, left = 0, part.units
    while left > 0:
        lots = source.random_raw(min(left, _LOTS_AT_ONCE))
        count += int(np.count_nonzero(lots < limit))
        left -= len(lots)
    return count


def check_records(tables: Mapping[str, Mapping[str, Column]]) -> None:
    """Raise TablesRefused when some bundle with unit `person` could not split these tables.

    The owner's side asks this before sealing: at the run a refusal silences the whole company,
    so one person more, the 4097th distinct record, would move a sum by everybody in it. Fewer
    columns never make more distinct records: what passes here passes for every bundle.
    """
    for table, record_columns in tables.items():
        if PERSONS in record_columns and record_columns[PERSONS].dtype == np.int64:
            _records(table, dict(record_columns))


def _selected(
    tables: Mapping[str, Mapping[str, Column]], table: str, names: tuple[str, ...]
) -> dict[str, Column]:
    missing = [name for name in names if name not in tables.get(table, {})]
    if missing:
        raise TablesRefused(
            f"the capsule has no {table}.{', '.join(missing)}",
            remedy="seal the capsule with a mapping that fills these columns",
        )
    return {name: tables[table][name] for name in names}


def _records(table: str, record_columns: dict[str, Column]) -> tuple[Portion, ...]:
    counts = record_columns.get(PERSONS)
    if counts is None or counts.dtype != np.int64:
        raise TablesRefused(
            f"unit = person needs the whole-number column {table}.{PERSONS}",
            remedy="add it to [needs] and to the mapping; 1 where a row is one person",
        )
    if any(column.shape != counts.shape or column.ndim != 1 for column in record_columns.values()):
        raise TablesRefused(
            f"the columns of {table} differ in length",
            remedy="give every column one plain value for each record",
        )
    if counts.size and not (counts.min() >= 0 and counts.max() <= MAXIMUM_PERSONS):
        raise TablesRefused(
            f"{table}.{PERSONS} has values outside 0..{MAXIMUM_PERSONS}", remedy="count persons"
        )
    merged = _merged(record_columns, counts.astype(np.int64))
    total = sum(persons for _, persons in merged)
    if total > MAXIMUM_PERSONS:
        raise TablesRefused(
            f"{table} speaks of {total} persons, a capsule of at most {MAXIMUM_PERSONS}",
            remedy="count persons once each",
        )
    if len(merged) > MAXIMUM_PORTIONS:
        raise TablesRefused(
            f"{table} has {len(merged)} distinct records, at most {MAXIMUM_PORTIONS} fit one run",
            remedy="seal coarser codes, or split the company into several capsules",
        )
    return tuple(
        Portion(columns.encode({table: _one_record(record_columns, row)}), persons)
        for row, persons in merged
    )


def _merged(record_columns: dict[str, Column], counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    # Equal by bits: what the bundle would read as the same record. First rows come first.
    names = sorted(set(record_columns) - {PERSONS})
    if not names:
        total = int(counts.sum())
        return [(0, total)] if total else []
    bits = np.stack([record_columns[name].view(np.int64) for name in names])
    _, first, group = np.unique(bits, axis=1, return_index=True, return_inverse=True)
    persons = [0] * len(first)
    for index, count in zip(group.tolist(), counts.tolist(), strict=True):
        persons[index] += count
    return sorted((row, total) for row, total in zip(first.tolist(), persons, strict=True) if total)


def _one_record(record_columns: dict[str, Column], row: int) -> dict[str, Column]:
    record = {name: column[row : row + 1] for name, column in record_columns.items()}
    record[PERSONS] = np.ones(1, np.int64)
    return record
