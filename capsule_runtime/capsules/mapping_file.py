"""Mapping files (TOML): how an owner's own columns become the tables of a capsule.

    [capsule]
    data_class = "personal"          # personal | company | public, fixed for ever
    unit = "owner"                   # owner | person
    one_per = "casenum"              # optional: one capsule per value of this source column
    persons = { table = "commute", column = "persons" }   # unit "person" only; see below

    [source]                         # optional
    delimiter = ";"
    decimal = ","
    encoding = "utf-8"
    missing_values = ["", "NA"]

    [tables.commute]
    file = "trips.csv"               # when SOURCE is a directory
    sql_table = "trips"              # when SOURCE is an SQLite file
    keep = { chose = "1" }           # rows whose cells read so
    columns.home.type = "integer"
    columns.home.bins = { column = "hmzone", equal_bands = 9, minimum = 1, maximum = 1454 }
    columns.mode = { type = "integer", from = "mode", codes = { walk = 1, bicycle = 2 } }
    columns.distance = { type = "real", from = "dist", source_unit = "mi", unit = "km" }
    columns.persons = { type = "integer", constant = 1 }

With unit "person", `persons` names the column whose sum is the number of persons that the
capsule speaks of; without `column`, every row of `table` is one person.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from capsule_runtime.capsules import units
from capsule_runtime.capsules.conversion import INT64_MAXIMUM
from capsule_runtime.capsules.errors import MappingRefused
from capsule_runtime.capsules.mapping import (
    DEFAULT_MISSING,
    Bins,
    CapsuleMapping,
    ColumnMapping,
    SourceFormat,
    TableMapping,
)
from trust.documents.rules import DataClass, PrivacyUnit

# A mapping is written by hand; a nomenclature of this size still fits.
MAXIMUM_MAPPING_BYTES = 4 * 1024 * 1024
# A release has at most some thousands of cells.
MAXIMUM_BANDS = 1_000_000

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NUMBER = re.compile(
    r"[+-]?\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,3})?|[+-]?\d{1,18}/[1-9]\d{0,17}", re.ASCII
)
_REQUIRED = object()


def read_mapping(path: Path) -> CapsuleMapping:
    """The mapping in the TOML file `path`. Raises MappingRefused naming the entry."""
    try:
        if path.stat().st_size > MAXIMUM_MAPPING_BYTES:
            raise MappingRefused(
                f"{path.name} is over {MAXIMUM_MAPPING_BYTES} bytes",
                remedy="put long lists of codes into a CSV file and name it with `codes_file`",
            )
        plain = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise MappingRefused(
            f"could not read the mapping {path}: {error.strerror}",
            remedy="give the path of a mapping file with --mapping",
        ) from error
    except ValueError as error:
        raise MappingRefused(
            f"{path.name} is not TOML: {error}", remedy="correct the line that it names"
        ) from error
    return _Reader(path).mapping(plain)


class _Reader:
    """Turns plain TOML values into a mapping, naming the entry at fault."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mapping(self, plain: dict[str, Any]) -> CapsuleMapping:
        self._known(plain, "the file", "capsule", "source", "tables")
        capsule = self._get(plain, "the file", "capsule", dict)
        self._known(capsule, "[capsule]", "data_class", "unit", "one_per", "persons")
        unit = PrivacyUnit(self._choice(capsule, "[capsule]", "unit", PrivacyUnit, "owner"))
        data_class = DataClass(self._choice(capsule, "[capsule]", "data_class", DataClass, None))
        one_per = self._get(capsule, "[capsule]", "one_per", str, None)
        described = self._get(plain, "the file", "tables", dict)
        if not described:
            raise self._refused("[tables]", "at least one table")
        tables = tuple(self._table(name, entry, one_per) for name, entry in described.items())
        persons = self._get(capsule, "[capsule]", "persons", dict, None)
        if (persons is None) == (unit is PrivacyUnit.PERSON):
            raise self._refused(
                "[capsule] persons",
                'persons = { table = "…", column = "…" } exactly when unit = "person"',
            )
        persons_table, persons_column = self._persons(persons or {}, tables)
        source = self._source(self._get(plain, "the file", "source", dict, {}))
        return CapsuleMapping(
            data_class, unit, one_per, persons_table, persons_column, source, tables
        )

    def _persons(
        self, plain: dict[str, Any], tables: tuple[TableMapping, ...]
    ) -> tuple[str | None, str | None]:
        if not plain:
            return None, None
        where = "[capsule] persons"
        self._known(plain, where, "table", "column")
        table = self._get(plain, where, "table", str)
        column = self._get(plain, where, "column", str, None)
        for candidate in tables:
            columns = {entry.name for entry in candidate.columns if entry.whole}
            if candidate.name == table and (column is None or column in columns):
                return table, column
        raise self._refused(where, "a table of this file and one of its integer columns")

    def _source(self, plain: dict[str, Any]) -> SourceFormat:
        where = "[source]"
        self._known(plain, where, "delimiter", "decimal", "encoding", "missing_values")
        missing = self._get(plain, where, "missing_values", list, list(DEFAULT_MISSING))
        delimiter = self._get(plain, where, "delimiter", str, ",")
        decimal = self._get(plain, where, "decimal", str, ".")
        encoding = self._get(plain, where, "encoding", str, "utf-8")
        if len(delimiter) != 1 or decimal not in {".", ","}:
            raise self._refused(where, 'a delimiter of one character, decimal "." or ","')
        if not all(isinstance(text, str) for text in missing):
            raise self._refused(f"{where} missing_values", "a list of texts")
        try:
            "".encode(encoding)
        except LookupError as error:
            raise self._refused(f"{where} encoding", "a known text encoding") from error
        return SourceFormat(delimiter, decimal, encoding, frozenset(missing))

    def _table(self, name: str, plain: Any, one_per: str | None) -> TableMapping:
        where = f"[tables.{name}]"
        self._name(name, where)
        self._known(plain, where, "file", "sql_table", "owner", "keep", "columns")
        keep = self._get(plain, where, "keep", dict, {})
        if not all(isinstance(value, str | int) for value in keep.values()):
            raise self._refused(f"{where} keep", 'texts, as in keep = { chosen = "1" }')
        owner = self._get(plain, where, "owner", str, one_per)
        if owner is not None and one_per is None:
            raise self._refused(f"{where} owner", "[capsule] one_per when a table names an owner")
        columns = self._get(plain, where, "columns", dict)
        if not columns:
            raise self._refused(f"{where} columns", "at least one column")
        return TableMapping(
            name,
            self._get(plain, where, "file", str, None),
            self._get(plain, where, "sql_table", str, None),
            owner,
            {column: str(value) for column, value in keep.items()},
            tuple(self._column(name, column, entry) for column, entry in columns.items()),
        )

    def _column(self, table: str, name: str, plain: Any) -> ColumnMapping:
        where = f"[tables.{table}] columns.{name}"
        self._name(name, where)
        self._known(
            plain, where, "type", "from", "constant", "factor", "unit", "source_unit", "codes",
            "codes_file", "bins", "minimum", "maximum", "missing",
        )  # fmt: skip
        whole = self._choice(plain, where, "type", ("integer", "real"), None) == "integer"
        bins, source = self._bins(plain, where)
        constant = self._number(plain, where, "constant")
        if (source is None) == (constant is None):
            raise self._refused(where, "either `from` (or bins.column) or `constant`")
        codes = self._codes(plain, where)
        if (codes or bins) and not whole:
            raise self._refused(where, 'type = "integer" for codes and bins')
        if codes and bins:
            raise self._refused(where, "either codes or bins")
        if constant is not None and whole and constant.denominator != 1:
            raise self._refused(f"{where} constant", "a whole number")
        missing = plain.get("missing", "refuse")
        value = None if isinstance(missing, str) else self._number(plain, where, "missing")
        if isinstance(missing, str) and missing not in {"refuse", "drop"}:
            raise self._refused(f"{where} missing", '"refuse", "drop" or a number')
        if value is not None and whole and value.denominator != 1:
            raise self._refused(f"{where} missing", "a whole number")
        return ColumnMapping(
            name,
            whole,
            source,
            constant,
            self._factor(plain, where),
            codes,
            bins,
            self._number(plain, where, "minimum"),
            self._number(plain, where, "maximum"),
            missing if isinstance(missing, str) else "value",
            value,
        )

    def _bins(self, plain: dict[str, Any], where: str) -> tuple[Bins | None, str | None]:
        source: str | None = self._get(plain, where, "from", str, None)
        entry = self._get(plain, where, "bins", dict, None)
        if entry is None:
            return None, source
        where = f"{where} bins"
        self._known(entry, where, "column", "equal_bands", "minimum", "maximum")
        source = self._get(entry, where, "column", str, source)
        bins = Bins(*(self._get(entry, where, key, int) for key in Bins.__dataclass_fields__))
        width = bins.maximum - bins.minimum + 1
        if not 1 <= bins.equal_bands <= min(width, MAXIMUM_BANDS):
            raise self._refused(where, "at least one band, and at most one per whole number")
        return bins, source

    def _factor(self, plain: dict[str, Any], where: str) -> Fraction:
        source = self._get(plain, where, "source_unit", str, None)
        target = self._get(plain, where, "unit", str, None)
        factor = self._number(plain, where, "factor")
        if source is None:
            return factor if factor is not None else Fraction(1)
        if target is None or factor is not None:
            raise self._refused(where, "`source_unit` with `unit` and without `factor`")
        return units.factor(source, target, where)

    def _codes(self, plain: dict[str, Any], where: str) -> Mapping[str, int] | None:
        codes: dict[str, int] | None = self._get(plain, where, "codes", dict, None)
        name = self._get(plain, where, "codes_file", str, None)
        if name is None:
            if codes is not None and not all(_is_whole(code) for code in codes.values()):
                raise self._refused(f"{where} codes", "a whole number for each text")
            return codes
        if codes is not None:
            raise self._refused(where, "either codes or codes_file")
        path = self._path.parent / name
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.reader(stream))
            found = {text: int(code) for text, code in rows}
        except (OSError, ValueError, csv.Error) as error:
            raise self._refused(
                f"{where} codes_file {name}", "a readable CSV file, each line: text,whole number"
            ) from error
        if len(found) != len(rows) or not all(map(_is_whole, found.values())):
            raise self._refused(f"{where} codes_file {name}", "each text once")
        return found

    def _number(self, plain: dict[str, Any], where: str, key: str) -> Fraction | None:
        value = plain.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._refused(f"{where} {key}", "a number")
        text = str(value)  # through its text: 0.1 means one tenth
        number = Fraction(text) if _NUMBER.fullmatch(text) else None
        if number is None or abs(number) > INT64_MAXIMUM:
            raise self._refused(f"{where} {key}", f"a number up to {INT64_MAXIMUM}")
        return number

    def _choice(
        self, plain: dict[str, Any], where: str, key: str, choices: Any, default: str | None
    ) -> str:
        value = plain.get(key, default)
        allowed = [str(choice) for choice in choices]
        if value not in allowed:
            raise self._refused(f"{where} {key}", f"one of {', '.join(allowed)}")
        return str(value)

    def _get(
        self, plain: dict[str, Any], where: str, key: str, kind: type, default: Any = _REQUIRED
    ) -> Any:
        value = plain.get(key, default)
        if value is _REQUIRED or (
            value is not default and (not isinstance(value, kind) or isinstance(value, bool))
        ):
            words = {str: "a text", int: "a whole number", dict: "a table", list: "a list"}
            raise self._refused(f"{where} {key}", words[kind])
        return value

    def _known(self, plain: Any, where: str, *names: str) -> None:
        if not isinstance(plain, dict):
            raise self._refused(where, "a table")
        unknown = sorted(set(plain) - set(names))
        if unknown:
            raise MappingRefused(
                f"{self._path.name}: {where} has the unknown entry {unknown[0]!r}",
                remedy=f"the entries that exist there are {', '.join(names)}",
            )

    def _name(self, name: str, where: str) -> None:
        if not _NAME.fullmatch(name):
            raise self._refused(where, "a name of a-z, 0-9 and _, from a letter on")

    def _refused(self, where: str, expected: str) -> MappingRefused:
        return MappingRefused(
            f"{self._path.name}: {where}: expected {expected}",
            remedy="correct that entry; `cadastre capsule seal --help` shows a whole mapping",
        )


def _is_whole(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and -INT64_MAXIMUM - 1 <= value <= INT64_MAXIMUM
