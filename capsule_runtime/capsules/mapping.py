"""What a mapping file says, checked: how source columns become the tables of a capsule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from trust.documents.rules import DataClass, PrivacyUnit

# What the usual exports write for a cell that was left open.
DEFAULT_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")


@dataclass(frozen=True)
class Bins:
    """Equal bands over the whole numbers minimum..maximum, numbered 1..equal_bands."""

    equal_bands: int
    minimum: int
    maximum: int


@dataclass(frozen=True)
class ColumnMapping:
    """How one column is made. Exactly one of `source` and `constant` is set."""

    name: str
    whole: bool  # int64, else float64
    source: str | None
    constant: Fraction | None
    factor: Fraction
    codes: Mapping[str, int] | None
    bins: Bins | None
    minimum: Fraction | None
    maximum: Fraction | None
    missing: str  # "refuse" | "drop" | "value"
    missing_value: Fraction | None


@dataclass(frozen=True)
class TableMapping:
    """How one table is made."""

    name: str
    file: str | None
    sql_table: str | None
    owner: str | None  # the source column that says whose row it is
    keep: Mapping[str, str]
    columns: tuple[ColumnMapping, ...]

    @property
    def source_columns(self) -> set[str]:
        """The source columns that must exist."""
        named = {column.source for column in self.columns if column.source is not None}
        return named | set(self.keep) | ({self.owner} if self.owner else set())


@dataclass(frozen=True)
class SourceFormat:
    """How texts are written in the source."""

    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    missing_values: frozenset[str] = field(default=frozenset(DEFAULT_MISSING))


@dataclass(frozen=True)
class CapsuleMapping:
    """A whole mapping file."""

    data_class: DataClass
    unit: PrivacyUnit
    one_per: str | None
    persons_table: str | None
    persons_column: str | None
    source: SourceFormat
    tables: tuple[TableMapping, ...]
