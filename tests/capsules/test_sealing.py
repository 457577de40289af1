from __future__ import annotations

import csv
import gzip
import sqlite3
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from capsule_runtime import columns
from capsule_runtime.capsules import grants, sealed
from capsule_runtime.capsules.conversion import CellRefused, converter
from capsule_runtime.capsules.directory import INDEX, OwnerDirectory
from capsule_runtime.capsules.errors import (
    CardRefused,
    MappingRefused,
    OwnerDirectoryRefused,
    SourceRefused,
)
from capsule_runtime.capsules.mapping import Bins, ColumnMapping, SourceFormat
from capsule_runtime.capsules.mapping_file import _Reader, read_mapping
from capsule_runtime.capsules.sealing import seal_source
from durable.errors import StorageFailed
from trust.ids import CapsuleId
from trust.keys import PrivateKey

CAPSULE = '[capsule]\ndata_class = "personal"\nunit = "owner"\n'
COMMUTE = """
[tables.commute]
keep = { chosen = "1" }
columns.home.type = "integer"
columns.home.bins = { column = "zone", equal_bands = 9, minimum = 1, maximum = 90 }
columns.mode = { type = "integer", from = "mode", codes = { walk = 1, bicycle = 2 } }
columns.km = { type = "real", from = "miles", source_unit = "mi", unit = "km" }
columns.persons = { type = "integer", constant = 1 }
"""
TRIPS = """who,zone,mode,miles,chosen
7,1,walk,1,1
7,90,bicycle,2.5,1
8,45,walk,0,1
8,46,walk,9,0
"""


@pytest.fixture
def seal(world: Any, tmp_path: Path, write: Any) -> Any:
    """Seal `source` (text of a CSV or a path) with the text of a mapping into out/."""

    def _seal(source: Any, mapping: str, **options: Any) -> Any:
        path = source if isinstance(source, Path) else write("trips.csv", source)
        return seal_source(
            path,
            read_mapping(write("mapping.toml", mapping)),
            tmp_path / "out",
            clock=world.clock,
            entropy=world.entropy,
            **options,
        )

    return _seal


def opened(path: Path) -> dict[str, dict[str, Any]]:
    """index value -> table -> column -> values."""
    owner = OwnerDirectory(path)
    index = {"": ""}
    if (path / INDEX).exists():
        index = dict(csv.reader((path / INDEX).read_text().splitlines()))
    found = {}
    for key in owner.owner_keys():
        capsule = sealed.parse(owner.capsule_path(key.capsule).read_bytes())
        content = sealed.unseal(key.capsule, capsule.ciphertext, key.capsule_key)
        found[index.get(key.capsule, "")] = {
            table: {name: values.tolist() for name, values in held.items()}
            for table, held in columns.decode(content.columns).items()
        } | {"units": content.units}
    return found


def test_one_capsule_per_owner(world: Any, seal: Any, tmp_path: Path) -> None:
    made = seal(TRIPS, CAPSULE + 'one_per = "who"\n' + COMMUTE, card=world.raw_card)
    assert (made.capsules, made.rows, made.grants) == (2, 3, 2)
    found = opened(tmp_path / "out")
    assert found["7"]["commute"] == {
        "home": [1, 9],
        "km": [1.609344, 4.02336],
        "mode": [1, 2],
        "persons": [1, 1],
    }
    assert found["8"]["commute"]["home"] == [5]
    owner = OwnerDirectory(tmp_path / "out")
    keys = list(owner.owner_keys())
    assert len({key.signing.public for key in keys}) == len({key.capsule_key for key in keys}) == 2
    for path in owner.grant_files():
        raw = path.read_bytes()
        key = owner.key(CapsuleId.parse(path.name.split(".")[0]))
        grant = grants.verify(raw, key.signing.public)
        assert grants.unwrap(grant, world.hpke, world.clock.now()) == key.capsule_key


def test_keys_are_for_their_owner_only(seal: Any, tmp_path: Path) -> None:
    seal(TRIPS, CAPSULE + COMMUTE)
    (path,) = (tmp_path / "out" / "keys").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(OwnerDirectoryRefused, match="chmod 600"):
        list(OwnerDirectory(tmp_path / "out").owner_keys())
    path.chmod(0o600)
    path.write_text("cadastre-owner-key-v1 cap_0 AAAA BBBB")
    with pytest.raises(OwnerDirectoryRefused, match="damaged") as caught:
        list(OwnerDirectory(tmp_path / "out").owner_keys())
    assert "BBBB" not in str(caught.value)


def test_csv_gzip_sqlite_and_parquet_give_the_same_tables(
    seal: Any, tmp_path: Path, write: Any
) -> None:
    rows = list(csv.DictReader(TRIPS.splitlines()))
    with gzip.open(tmp_path / "trips.csv.gz", "wt") as stream:
        stream.write(TRIPS)
    with sqlite3.connect(tmp_path / "trips.sqlite") as base:
        base.execute('CREATE TABLE "my trips" (who INT, zone INT, mode TEXT, miles REAL, chosen)')
        base.executemany(
            'INSERT INTO "my trips" VALUES (:who, :zone, :mode, :miles, :chosen)', rows
        )
    base.close()
    kinds = {"who": int, "zone": float, "mode": str, "miles": float, "chosen": int}
    table = pa.table({name: [kind(row[name]) for row in rows] for name, kind in kinds.items()})
    parquet.write_table(table, tmp_path / "trips.parquet")
    write("trips_fr.csv", TRIPS.replace(",", ";").replace("2.5", "2,5"))
    (tmp_path / "folder").mkdir()
    write("folder/part.csv", "\ufeff" + TRIPS)
    results = []
    for name, extra, source in (
        ("trips.csv", "", ""),
        ("trips.csv.gz", "", ""),
        ("trips.sqlite", 'sql_table = "my trips"\n', ""),
        ("trips.parquet", "", ""),
        ("trips_fr.csv", "", '[source]\ndelimiter = ";"\ndecimal = ","\n'),
        ("folder", 'file = "part.csv"\n', ""),
    ):
        write("trips.csv", TRIPS)
        body = COMMUTE.replace("keep", extra + "keep")
        seal(tmp_path / name, CAPSULE + 'one_per = "who"\n' + source + body)
        results.append(opened(tmp_path / "out"))
        (tmp_path / "out").rename(tmp_path / f"done-{len(results)}")
    assert all(result == results[0] for result in results)


def test_codes_from_a_file_missing_values_and_dropped_rows(
    seal: Any, tmp_path: Path, write: Any
) -> None:
    write("modes.csv", 'à pied,1\n"vélo, assisté",2\n')
    made = seal(
        'mode,cars,income\nà pied,,NA\n"vélo, assisté",3,20\nà pied,1,5.5\n',
        CAPSULE
        + """[tables.t]
        columns.mode = { type = "integer", from = "mode", codes_file = "modes.csv" }
        columns.cars = { type = "integer", from = "cars", missing = -1 }
        columns.income = { type = "real", from = "income", factor = 0.1, missing = "drop" }
        """,
    )
    assert (made.rows, made.dropped) == (2, 1)
    (found,) = opened(tmp_path / "out").values()
    assert found["t"] == {"cars": [3, 1], "income": [2.0, 0.55], "mode": [2, 1]}


def test_persons_inside_a_company(seal: Any, tmp_path: Path) -> None:
    company = (
        '[capsule]\ndata_class = "company"\nunit = "person"\none_per = "firm"\n'
        'persons = { table = "t", column = "persons" }\n'
        '[tables.t]\ncolumns.persons = { type = "integer", from = "n" }\n'
    )
    seal("firm,n\na,4\na,5\nb,1\n", company)
    assert {name: held["units"] for name, held in opened(tmp_path / "out").items()} == {
        "a": 9,
        "b": 1,
    }
    (tmp_path / "out").rename(tmp_path / "kept")
    seal("firm,n\na,0\na,5\n", company.replace(', column = "persons"', ""))
    assert opened(tmp_path / "out")["a"]["units"] == 2
    (tmp_path / "out").rename(tmp_path / "kept2")
    for text in ("firm,n\na,0\n", "firm,n\na,-1\na,5\n"):
        with pytest.raises(SourceRefused, match="persons"):
            seal(text, company)


def test_an_existing_owner_key_for_a_single_capsule(world: Any, seal: Any, tmp_path: Path) -> None:
    mine = PrivateKey.generate(world.entropy)
    seal(TRIPS, CAPSULE + COMMUTE, owner=mine)
    (key,) = OwnerDirectory(tmp_path / "out").owner_keys()
    assert key.signing == mine
    with pytest.raises(SourceRefused, match="one existing owner key"):
        seal(TRIPS, CAPSULE + 'one_per = "who"\n' + COMMUTE, owner=mine)


BAD_SOURCES = {
    "a text for a number": (TRIPS.replace(",2.5,", ",long,"), r"line 3, column 'miles'.*decimal"),
    "an empty cell": (TRIPS.replace(",2.5,", ",,"), r"line 3, column 'miles'.*empty cell"),
    "not in the nomenclature": (
        TRIPS.replace("bicycle", "canoe"),
        r"line 3, column 'mode'.*bicycle, walk",
    ),
    "out of the bands": (TRIPS.replace("90", "91"), r"line 3, column 'zone'.*from 1 to 90"),
    "not whole": (TRIPS.replace("90", "9.5"), r"line 3, column 'zone'"),
    "a missing owner": (TRIPS.replace("8,46,walk,9,0", ",46,walk,9,1"), r"line 5, column 'who'"),
    "a short line": (TRIPS.replace(",2.5,1", ""), r"line 3: expected 5 cells.*found 3"),
    "an absent column": (TRIPS.replace("miles", "leagues"), r"'miles'.*not at all"),
    "a column twice": (TRIPS.replace("chosen", "miles", 1), r"'miles' once.*twice|not at all"),
    "no row kept": (TRIPS.replace(",1\n", ",0\n"), r"no row"),
    "nothing": ("", r"empty"),
    "an open quote": (TRIPS + '"', r"not CSV"),
    "a number of 5,000 digits": (TRIPS.replace("90", "9" * 5000), r"line 3, column 'zone'"),
    "infinity": (TRIPS.replace(",2.5,", ",inf,"), r"line 3, column 'miles'"),
}


@pytest.mark.parametrize(("text", "words"), BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_bad_sources_name_the_place_and_write_nothing(
    world: Any, seal: Any, tmp_path: Path, text: str, words: Any
) -> None:
    with pytest.raises(SourceRefused, match=words) as caught:
        seal(text, CAPSULE + 'one_per = "who"\n' + COMMUTE, card=world.raw_card)
    assert "canoe" not in str(caught.value)  # the message never repeats a cell
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mapping.toml", "trips.csv"]


def test_bad_files_say_so(
    seal: Any, tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in (
        ("a.csv", b"who,zone,mode,miles,chosen\n\xff\xfe,1,walk,1,1\n"),
        ("a.sqlite", b"not sqlite" * 500),
        ("a.parquet", b"PAR1 not"),
        ("a.xlsx", b""),
        ("a.csv.gz", b"not gzip"),
        ("a2.csv.gz", gzip.compress(TRIPS.encode() * 50)[:-20]),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceRefused, match=r"a2?\."):
            seal(tmp_path / name, CAPSULE + COMMUTE)
    with pytest.raises(SourceRefused, match="does not exist"):
        seal(tmp_path / "absent.csv", CAPSULE + COMMUTE)
    sqlite3.connect(tmp_path / "b.db").execute("CREATE TABLE other (a)").connection.close()
    with pytest.raises(SourceRefused, match="no table 'commute'"):
        seal(tmp_path / "b.db", CAPSULE + COMMUTE)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SourceRefused, match="Parquet") as caught:
        seal(tmp_path / "a.parquet", CAPSULE + COMMUTE)
    assert "pip install pyarrow" in caught.value.remedy
    assert not (tmp_path / "out").exists()


BAD_MAPPINGS = {
    "not toml": ("[capsule", "not TOML"),
    "no tables": (CAPSULE + "[tables]\n", "at least one table"),
    "a data class": (CAPSULE.replace("personal", "secret") + COMMUTE, "personal, company, public"),
    "an unknown entry": (CAPSULE + "colour = 1\n" + COMMUTE, "'colour'"),
    "an unknown column entry": (CAPSULE + COMMUTE.replace("from", "form"), "'form'"),
    "no type": (CAPSULE + COMMUTE.replace('type = "real", ', ""), "columns.km type"),
    "no source": (CAPSULE + COMMUTE.replace(", constant = 1", ""), "columns.persons.*`from`"),
    "both": (CAPSULE + COMMUTE.replace("constant", 'from = "a", constant'), "either `from`"),
    "real codes": (CAPSULE + COMMUTE.replace('integer", from', 'real", from'), "columns.mode"),
    "units of two kinds": (CAPSULE + COMMUTE.replace('"km"', '"kWh"'), "mi is a length"),
    "an unknown unit": (CAPSULE + COMMUTE.replace('"mi"', '"li"'), "'li' is not known"),
    "a fraction": (CAPSULE + COMMUTE.replace("constant = 1", "constant = 0.5"), "whole"),
    "a name": (CAPSULE + COMMUTE.replace("columns.km", "columns.Km"), "a-z"),
    "codes": (CAPSULE + COMMUTE.replace("walk = 1", 'walk = "1"'), "whole number for each"),
    "bands": (CAPSULE + COMMUTE.replace("bands = 9", "bands = 91"), "one band"),
    "no bound": (CAPSULE + COMMUTE.replace(", maximum = 90", ""), "bins maximum"),
    "persons": (CAPSULE.replace('"owner"', '"person"') + COMMUTE, "persons"),
    "persons elsewhere": (
        CAPSULE.replace('"owner"', '"person"\npersons = { table = "x" }') + COMMUTE,
        "persons",
    ),
    "a codes file": (
        CAPSULE + COMMUTE.replace("codes = { walk = 1, bicycle = 2 }", 'codes_file = "no.csv"'),
        "no.csv",
    ),
    "missing": (CAPSULE + COMMUTE.replace("constant = 1", 'from = "a", missing = "zero"'), "drop"),
    "a huge constant": (CAPSULE + COMMUTE.replace("constant = 1", "constant = 1e30"), "up to"),
    "a huge code": (CAPSULE + COMMUTE.replace("walk = 1", f"walk = {2**63}"), "whole number for"),
    "a huge power": (CAPSULE + COMMUTE.replace("constant = 1", 'constant = "1e9999"'), "up to"),
    "delimiter": (CAPSULE + '[source]\ndelimiter = "::"\n' + COMMUTE, "one character"),
    "encoding": (CAPSULE + '[source]\nencoding = "klingon"\n' + COMMUTE, "encoding"),
}


ANYTHING = st.recursive(
    st.one_of(
        st.text(max_size=5),
        st.integers(),
        st.floats(),
        st.booleans(),
        st.sampled_from(["integer", "real", "drop", "1e99", "1/0", "km", "inf"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(), inner)),
    max_leaves=4,
)
COLUMN_KEYS = ["type", "from", "constant", "factor", "unit", "source_unit", "codes", "bins",
               "minimum", "maximum", "missing", "codes_file"]  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(COLUMN_KEYS), ANYTHING, max_size=4),
    st.one_of(st.just({}), st.fixed_dictionaries({"type": st.sampled_from(["integer", "real"])})),
    st.dictionaries(st.sampled_from(["unit", "one_per", "persons"]), ANYTHING, max_size=1),
)
def test_any_mapping_is_read_or_refused(column: Any, base: Any, capsule: Any) -> None:
    plain = {
        "capsule": {"data_class": "personal", **capsule},
        "tables": {"t": {"columns": {"c": {**column, **base}}}},
    }
    try:
        mapping = _Reader(Path("m.toml")).mapping(plain)
    except MappingRefused:
        return
    converter(mapping.tables[0].columns[0], mapping.source)


@pytest.mark.parametrize(("text", "words"), BAD_MAPPINGS.values(), ids=BAD_MAPPINGS)
def test_bad_mappings_name_the_entry(write: Any, text: str, words: Any) -> None:
    with pytest.raises(MappingRefused, match=words) as caught:
        read_mapping(write("m.toml", text))
    assert caught.value.remedy


def test_an_existing_directory_is_never_touched(seal: Any, tmp_path: Path) -> None:
    seal(TRIPS, CAPSULE + COMMUTE)
    before = sorted((tmp_path / "out").rglob("*"))
    with pytest.raises(OwnerDirectoryRefused, match="exists already"):
        seal(TRIPS, CAPSULE + COMMUTE)
    assert sorted((tmp_path / "out").rglob("*")) == before


def test_a_forged_card_seals_nothing(world: Any, seal: Any, tmp_path: Path) -> None:
    with pytest.raises(CardRefused):
        seal(TRIPS, CAPSULE + COMMUTE, card=world.raw_card.replace(b"e", b"f", 1))
    assert not (tmp_path / "out").exists()


def test_a_failed_write_leaves_no_directory(seal: Any, tmp_path: Path) -> None:
    # Interrupted after the first of two capsules, as by Ctrl-C or a full disk.
    def stop(done: int, total: int) -> None:
        raise StorageFailed("no space left")

    with pytest.raises(StorageFailed):
        seal(TRIPS, CAPSULE + 'one_per = "who"\n' + COMMUTE, progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mapping.toml", "trips.csv"]


def test_erasing_destroys_keys_grants_and_capsule(world: Any, seal: Any, tmp_path: Path) -> None:
    seal(TRIPS, CAPSULE + 'one_per = "who"\n' + COMMUTE, card=world.raw_card)
    owner = OwnerDirectory(tmp_path / "out")
    first, second = owner.owner_keys()
    owner.erase(first.capsule)
    assert [key.capsule for key in owner.owner_keys()] == [second.capsule]
    assert first.capsule not in (tmp_path / "out" / INDEX).read_text()
    left = [path for path in (tmp_path / "out").rglob("*") if first.capsule in path.name]
    assert left == []
    with pytest.raises(OwnerDirectoryRefused):
        owner.erase(first.capsule)


PLAIN = ColumnMapping("c", True, "c", None, Fraction(1), None, None, None, None, "refuse", None)


@given(st.one_of(st.none(), st.text(max_size=12), st.integers(), st.floats()))
def test_conversion_gives_a_number_or_refuses(cell: Any) -> None:
    for column in (PLAIN, replace(PLAIN, whole=False), replace(PLAIN, bins=Bins(3, -5, 10**9))):
        try:
            value = converter(column, SourceFormat())(cell)
        except CellRefused:
            continue
        assert isinstance(value, int if column.whole else float)


@given(st.integers(1, 60), st.integers(-50, 50), st.integers(0, 300))
def test_bands_are_ordered_complete_and_equal_to_one(bands: int, low: int, extra: int) -> None:
    bins = Bins(bands, low, low + bands + extra - 1)
    convert = converter(replace(PLAIN, bins=bins), SourceFormat())
    found = [convert(value) for value in range(bins.minimum, bins.maximum + 1)]
    sizes = [found.count(band) for band in range(1, bands + 1)]
    assert found == sorted(found)
    assert set(found) == set(range(1, bands + 1))
    assert max(sizes) - min(sizes) <= 1
