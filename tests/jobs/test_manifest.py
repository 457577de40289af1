from __future__ import annotations

import contextlib
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from jobs import manifest, opening
from jobs.errors import ManifestRefused
from jobs.schema import Manifest
from trust.documents.rules import Bound, DataClass, Mechanism, Norm, PrivacyUnit, Protection

EXAMPLE = (opening.built_in_folder("example") / "bundle.toml").read_text()


def refusal(text: str) -> str:
    with pytest.raises(ManifestRefused) as caught:
        manifest.read(text.encode())
    return caught.value.sentence


def test_rules_and_bounds_are_those_of_the_text() -> None:
    read = manifest.read(EXAMPLE.encode())
    (rules,) = read.rules()
    assert (rules.output, rules.shape, rules.dtype, rules.step) == ("modes", (4,), "int64", "1")
    assert (rules.norm, rules.bound, rules.unit) == (Norm.L1, "1", PrivacyUnit.OWNER)
    assert rules.protection is Protection.CLEAR
    assert (rules.mechanism, rules.rho) == (Mechanism.DISCRETE_GAUSSIAN, "0.1")
    assert (rules.minimum_contributors, rules.minimum_capsules) == (20, 20)
    assert (rules.minimum_workers, rules.minimum_operators, rules.suppress_below) == (1, 1, 10)
    assert read.bounds() == {"shortest": Bound("decimal", "0", "100", ())}
    assert read.needs.classes == (DataClass.PERSONAL,)


def test_decimals_never_pass_through_a_float() -> None:
    read = manifest.read(EXAMPLE.replace('rho = "0.1"', "rho = 0.10").encode())
    assert read.rules()[0].rho == "0.1"
    deep = "0.1000000000000000055511151231"
    read = manifest.read(EXAMPLE.replace('rho = "0.1"', f"rho = {deep}").encode())
    assert read.rules()[0].rho == deep


@pytest.mark.parametrize("name", opening.built_in())
def test_every_built_in_manifest_is_admitted(name: str) -> None:
    read = manifest.read((opening.built_in_folder(name) / "bundle.toml").read_bytes())
    assert read.bundle.name == name


def test_a_state_has_as_many_numbers_as_the_guide_says() -> None:
    learning = (opening.built_in_folder("federated_gnn") / "bundle.toml").read_text()
    others = 3 * 92231 + 4
    most, more = (
        learning + f"\n[state.rest]\nshape = [{count - others}]\n"
        for count in (1 << 20, (1 << 20) + 1)
    )
    guide = (Path(__file__).resolve().parents[2] / "docs" / "authors.md").read_text()
    assert f"at most {1 << 20:,} numbers in all" in guide
    assert "rest" in manifest.read(most.encode()).state
    assert "state: more than 1048576 numbers in all" in refusal(more)


# (what an author wrote instead, what the refusal must say)
MISTAKES = [
    ("step = 1", "stepp = 1", ["release.modes.stepp: unknown key; did you mean step?"]),
    ("step = 1", "", ["release.modes.step: missing", "write for example step = 1"]),
    ("step = 1", "step = 0", ["release.modes.step: expected a number above 0"]),
    ("step = 1", "step = true", ["release.modes.step: expected a number; write it as 0.1"]),
    ("step = 1", "step = 0.5", ["whole numbers have a whole step", 'or "float64"']),
    ("step = 1", "step = 1e99", ["out of range"]),
    ("step = 1", "step = nan", ["out of range"]),
    ("[4]\ndtype", "4\ndtype", ["release.modes.shape", "write for example shape = [9, 9, 6]"]),
    ("[4]\ndtype", "[4.5]\ndtype", ["release.modes.shape.0"]),
    ("[4]\ndtype", "[2000, 2000]\ndtype", ["4000000 cells"]),
    ('"l1"', '"l3"', ["'l1', 'l2' or 'linf'", "found 'l3'", 'write for example norm = "l2"']),
    ("bound = 1", "bound = 0.5", ["lets nothing through"]),
    ('"clear"', '"encrypted"', []),
    ('"clear"', '"hidden"', ["'clear', 'shared' or 'encrypted'"]),
    ('"discrete_gaussian"', '"none"', ["remove rho"]),
    (
        'mechanism = "discrete_gaussian", rho = "0.1"',
        'mechanism = "none"',
        ["only bundles for public data may do without noise", 'rho = "0.1"'],
    ),
    ('rho = "0.1"', "rho = 0", ['write rho = "0.1"']),
    ("minimum_contributors = 20", "minimum_contributors = 0", ["greater than or equal to 1"]),
    (
        "minimum_contributors = 20",
        "minimum_contributors = 20000000",
        ["over maximum_contributors"],
    ),
    ("minimum_capsules = 20", "minimum_operators = 2", ["write minimum_workers = 2"]),
    (
        "minimum_capsules = 20",
        "minimum_workers = 4",
        ["rounds.quorum: 1 workers can't satisfy minimum_workers; write quorum = 4"],
    ),
    (
        "bound = 1 }",
        "bound = 90000000000000 }",
        ["do not fit a 64-bit sum", "lower maximum_contributors"],
    ),
    ('unit = "owner"', 'unit = "person"', ["one table with a column persons"]),
    ('unit = "owner"', 'unit = "house"', ["'owner' or 'person'"]),
    ("classes", "class", ["needs.class: unknown key; did you mean classes?"]),
    ('["numpy"]', '["pandas"]', ["'pandas' is not in the runtime", 'libraries = ["numpy", "to']),
    ('["numpy"]', '["flwr"]', ["flwr brings numpy", 'libraries = ["numpy", "flwr"]']),
    ('["numpy"]', '["flwr", "torch_geometric"]', ["no runtime holds flwr and torch_geometric"]),
    ('["numpy"]', '["torch"]', ["torch brings numpy", 'libraries = ["numpy", "torch"]']),
    ('["numpy"]', '["numpy", "torch_geometric"]', ["torch_geometric brings numpy and torch"]),
    ('["numpy"]', '["numpy", "torch"]', ["torch alone takes half", "memory_mib = 1536"]),
    ("memory_mib = 512", "memory_mib = 1", ["needs.memory_mib", "write for example"]),
    ("memory_mib = 512", 'memory_mib = "512"', ["needs.memory_mib", "memory_mib = 512"]),
    ("wall_seconds = 10", "wall_seconds = 2", ["write wall_seconds = 5"]),
    ('"mode", "distance"', '"mode", "mode"', ["names a column twice"]),
    ('version = "0.1.0"', 'version = "one"', ["bundle.version", 'version = "1.0.0"']),
    ('name = "example"', 'name = "Example!"', ["bundle.name", 'name = "commute_flows"']),
    ("title.en", "title.de", ["bundle.title.de: unknown key", "bundle.title.en: missing"]),
    ("algorithm:contribute", "algorithm", ["entry.contribute", '"algorithm:contribute"']),
    ('runtime = "python"', 'runtime = "wasm"', ["entry.runtime", 'runtime = "python"']),
    ("maximum = 100, default", "default", ["bounded on both sides; add minimum = 1"]),
    ("minimum = 0, maximum = 100", "minimum = 9, maximum = 1", ["minimum is over maximum"]),
    ('"decimal"', '"integer"', []),
    ('"decimal"', '"choice"', ["a choice lists its values"]),
    ('"decimal"', '"text"', ["a text is bounded by its length alone"]),
    ('"decimal"', '"date"', ["parameters.shortest.type"]),
    ('"on foot", ', "", ["labels has [3] entries per axis; write [4]"]),
    ('of = "modes"', 'of = "mode"', ["mode is no report of kind value with the shape [4]"]),
    ('of = "modes"\n\n[report.modes_upper]', "\n[report.modes_upper]", ["a band names its value"]),
    ('release = "modes"', 'release = "flows"', ["report.modes.release: flows is none of: modes"]),
    ("deadline_seconds = 600", "deadline_seconds = 10000000", ["rounds.deadline_seconds"]),
    ("[mock.trips]", "[mock.trip]", ["mock.trip: not one of the needed tables: trips"]),
    ("columns.mode =", "columns.modes =", ["mock.trips.columns.modes: not one of"]),
    ("[rounds]", "[round]", ["round: unknown key; did you mean rounds?", "rounds: missing"]),
    ("[bundle]", "[bundle", ["not TOML"]),
    ('"bicycle"', '"bi\\u001b[2Jcycle"', ["report.modes.labels", "printable characters"]),
    ('dtype = "int64"\nstep = 1', 'dtype = "float64"\nstep = 1e-17', ["write a coarser step"]),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_every_mistake_is_told_with_what_to_write(old: str, new: str, said: list[str]) -> None:
    assert old in EXAMPLE
    text = EXAMPLE.replace(old, new, 1)
    if not said:
        manifest.read(text.encode())
        return
    told = refusal(text)
    for words in said:
        assert words in told


def test_all_mistakes_are_told_at_once() -> None:
    text = EXAMPLE.replace("step = 1", "stepp = 1").replace('"l1"', '"l9"')
    assert len(re.findall(r"^  - ", refusal(text), re.MULTILINE)) == 3


ENCRYPTED = EXAMPLE.replace('"clear"', '"encrypted"')


def manifest_of(name: str) -> str:
    return (opening.built_in_folder(name) / "bundle.toml").read_text()


# A product of totals has one protection only (test_encrypted_footprint.py); a model, which is a
# state, has more numbers than one ciphertext.
LEARNING = [name for name in opening.built_in() if "[state." in manifest_of(name)]


@pytest.mark.parametrize("name", sorted({*opening.built_in()} - {*LEARNING, "encrypted_footprint"}))
def test_every_built_in_bundle_of_one_round_may_be_encrypted_by_one_word(name: str) -> None:
    text = manifest_of(name)
    for protection, more in (
        (Protection.ENCRYPTED, ("tenseal",)),
        (Protection.SHARED, ()),
    ):
        edited = re.sub('protection = "[a-z]+"', f'protection = "{protection.value}"', text)
        read = manifest.read(edited.encode())
        assert {rule.protection for rule in read.rules()} == {protection}
        assert read.libraries == (*read.needs.libraries, *more)


def test_a_sum_that_a_ciphertext_cannot_carry_is_told() -> None:
    text = ENCRYPTED.replace("maximum_contributors = 1000000", "maximum_contributors = 16777216")
    told = refusal(text)
    assert "release: modes: 16777216 contributors of 1 steps" in told
    assert "lower maximum_contributors" in told


def test_more_cells_than_a_ciphertext_holds_are_told() -> None:
    # Two releases that would each fit: all of them share one ciphertext.
    start = ENCRYPTED.index("[release.modes]")
    more = ENCRYPTED[start : ENCRYPTED.index("[report.modes]")]
    text = ENCRYPTED[:start] + more.replace("[4]", "[1917]").replace(".modes", ".more")
    told = refusal(text + ENCRYPTED[start:])
    assert "1921 cells" in told
    assert "holds 1 to 1920" in told


def test_bundles_for_public_data_may_do_without_noise() -> None:
    text = EXAMPLE.replace('mechanism = "discrete_gaussian", rho = "0.1"', 'mechanism = "none"')
    read = manifest.read(text.replace('["personal"]', '["public"]').encode())
    assert read.rules()[0].mechanism is Mechanism.NONE


def test_mixed_units_are_refused() -> None:
    second = EXAMPLE[EXAMPLE.index("[release.modes]") : EXAMPLE.index("[report.modes]")]
    second = second.replace("[release.modes]", "[release.other]").replace('"owner"', '"person"')
    assert "the same unit" in refusal(EXAMPLE.replace("[report.modes]", second + "[report.modes]"))


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_in_words(junk: bytes) -> None:
    with pytest.raises(ManifestRefused):
        manifest.read(junk)


@given(st.integers(0, len(EXAMPLE) - 1), st.text(max_size=3))
def test_a_damaged_manifest_is_read_or_refused_never_anything_else(at: int, text: str) -> None:
    damaged = EXAMPLE[:at] + text + EXAMPLE[at + 2 :]
    with contextlib.suppress(ManifestRefused):
        manifest.read(damaged.encode("utf-8", "surrogatepass"))


def test_an_oversized_manifest_is_refused_unread() -> None:
    assert "over the limit" in refusal("#" * (manifest.MAXIMUM_MANIFEST_BYTES + 1))


def keys_of(part: type[BaseModel]) -> Iterator[str]:
    for name, field in part.model_fields.items():
        yield name
        for kind in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys_of(kind)


def test_the_authors_guide_explains_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "authors.md").read_text()
    missing = [
        key for key in keys_of(Manifest) if f"`{key}`" not in text and f".{key}`" not in text
    ]
    assert missing == []
