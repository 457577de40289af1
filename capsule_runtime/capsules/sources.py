"""Rows of an owner's own files: CSV (also gzipped), Parquet and SQLite, one at a time."""

from __future__ import annotations

import csv
import gzip
import io
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from capsule_runtime.capsules.conversion import Cell
from capsule_runtime.capsules.errors import SourceRefused
from capsule_runtime.capsules.mapping import SourceFormat, TableMapping

Row = tuple[str, Mapping[str, Cell]]  # (place for messages, cells by column)

_SQLITE_SUFFIXES = {".sqlite", ".sqlite3", ".db"}
_PARQUET_SUFFIXES = {".parquet", ".pq"}


def read_rows(source: Path, table: TableMapping, form: SourceFormat) -> Iterator[Row]:
    """The rows that `table` reads from `source`. Raises SourceRefused."""
    path = _file(source, table)
    try:
        if path.suffix in _SQLITE_SUFFIXES:
            yield from _sqlite(path, table)
        elif path.suffix in _PARQUET_SUFFIXES:
            yield from _parquet(path, table)
        elif path.name.endswith((".csv", ".csv.gz", ".tsv", ".txt")):
            yield from _csv(path, table, form)
        else:
            raise SourceRefused(
                f"{path.name} is not a kind of file that can be sealed",
                remedy="give a .csv, .csv.gz, .parquet or .sqlite file",
            )
    except FileNotFoundError as error:
        raise SourceRefused(f"{path} does not exist", remedy="check the source's path") from error
    except (OSError, EOFError, zlib.error) as error:
        raise SourceRefused(
            f"could not read {path}: {getattr(error, 'strerror', None) or error}",
            remedy="check that the file is whole and readable by this user",
        ) from error


def _file(source: Path, table: TableMapping) -> Path:
    if not source.is_dir():
        return source
    if table.file is None:
        raise SourceRefused(
            f"{source} is a directory and table {table.name} does not name its file",
            remedy=f'add file = "…" to [tables.{table.name}] of the mapping',
        )
    return source / table.file


def _csv(path: Path, table: TableMapping, form: SourceFormat) -> Iterator[Row]:
    binary = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115
    encoding = "utf-8-sig" if form.encoding.lower() in {"utf-8", "utf8"} else form.encoding
    with binary, io.TextIOWrapper(binary, encoding, newline="") as stream:
        reader = csv.reader(stream, delimiter=form.delimiter, strict=True)
        try:
            names = next(reader, None)
            if not names:
                raise SourceRefused(
                    f"{path.name} is empty", remedy="give a file whose first line names columns"
                )
            _require(path, names, table)
            for cells in reader:
                if not cells:
                    continue
                place = f"{path.name}, line {reader.line_num}"
                if len(cells) != len(names):
                    raise SourceRefused(
                        f"{place}: expected {len(names)} cells as in the first line, "
                        f"found {len(cells)}",
                        remedy="check the delimiter in [source] and quotes in that line",
                    )
                yield place, dict(zip(names, cells, strict=True))
        except csv.Error as error:
            raise SourceRefused(
                f"{path.name}, line {reader.line_num}: not CSV: {error}",
                remedy="check the delimiter in [source] and quotes in that line",
            ) from error
        except UnicodeDecodeError as error:
            raise SourceRefused(
                f"{path.name}, after line {reader.line_num}: not {form.encoding} text",
                remedy='set encoding in [source] of the mapping, for example "cp1252"',
            ) from error


def _sqlite(path: Path, table: TableMapping) -> Iterator[Row]:
    if not path.exists():
        raise FileNotFoundError(path)
    name = table.sql_table or table.name
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        known = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view') AND name=?",
            (name,),
        ).fetchone()[0]
        if not known:
            raise SourceRefused(
                f"{path.name} has no table {name!r}",
                remedy=f'set sql_table = "…" in [tables.{table.name}] of the mapping',
            )
        quoted = '"' + name.replace('"', '""') + '"'
        cursor = connection.execute(f"SELECT * FROM {quoted}")  # noqa: S608 - checked above
        names = [column[0] for column in cursor.description]
        _require(path, names, table)
        for number, cells in enumerate(cursor, 1):
            yield f"{path.name}, table {name}, row {number}", dict(zip(names, cells, strict=True))
    except sqlite3.Error as error:
        raise SourceRefused(
            f"{path.name} could not be read as an SQLite file: {error}",
            remedy="check that the file is whole",
        ) from error
    finally:
        connection.close()


def _parquet(path: Path, table: TableMapping) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - an optional reader
    except ImportError as error:
        raise SourceRefused(
            f"{path.name} is a Parquet file and the reader for it is not installed",
            remedy="pip install pyarrow, or export the table as CSV",
        ) from error
    try:
        with parquet.ParquetFile(path) as opened:
            _require(path, opened.schema_arrow.names, table)
            number = 0
            for batch in opened.iter_batches(columns=sorted(table.source_columns)):
                for cells in batch.to_pylist():
                    number += 1
                    yield f"{path.name}, row {number}", cells
    except ArrowException as error:
        raise SourceRefused(
            f"{path.name} could not be read as a Parquet file", remedy="check that it is whole"
        ) from error


def _require(path: Path, names: Iterable[str], table: TableMapping) -> None:
    present = list(names)
    for name in sorted(table.source_columns):
        if present.count(name) != 1:
            how = "twice" if name in present else "not at all"
            raise SourceRefused(
                f"{path.name} should have the column {name!r} once and has it {how}",
                remedy=f"its columns are {', '.join(map(repr, present[:40]))}; correct the "
                f"mapping of table {table.name}",
            )
