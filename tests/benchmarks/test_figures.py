"""Names, targets and the two forms of a table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import document, escapes, figures, groups, house
from benchmarks.cli import add_bench
from benchmarks.errors import MeasurementFailed, UnknownGroup
from benchmarks.figures import TARGETS, Figure
from terminal import exits


def _bench(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_bench(parser)
    arguments = parser.parse_args(words)
    return int(arguments.run(arguments))


def test_every_target_is_of_a_group_that_can_be_asked_for() -> None:
    assert {name.partition(".")[0] for name in TARGETS} <= set(groups.GROUPS)
    assert groups.chosen([]) == list(groups.GROUPS)
    assert groups.chosen(["log", "capsule"]) == ["capsule", "log"]


def test_an_unknown_group_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownGroup) as refusal:
        groups.chosen(["capsul"])
    assert "capsul" in str(refusal.value)
    assert "capsule, log, audit, worker, sandbox" in refusal.value.remedy


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("capsule.warm_ms", 8.0, ("<= 8", "yes")),
        ("capsule.warm_ms", 8.1, ("<= 8", "no")),
        ("capsule.cold_ratio", 12.0, (">= 12", "yes")),
        ("capsule.cold_ratio", 11.9, (">= 12", "no")),
        ("worker.idle_pss_mib", 90.5, ("<= 90", "no")),
        ("sandbox.escapes_open", 4, ("<= 4", "yes")),
        ("log.append_us", 1.0, ("-", "-")),
    ],
)
def test_targets_are_judged_on_their_own_side(
    name: str, value: float, expected: tuple[str, str]
) -> None:
    assert figures.verdict(Figure(name, value, 1, "")) == expected


def test_figures_survive_the_way_between_processes() -> None:
    found = [
        figures.median("log.append_us", [3.0, 1.0, 2.0], "a sentence"),
        Figure("a.b", 1, 1, ""),
    ]
    assert figures.load(figures.dump(found)) == found
    assert (found[0].value, found[0].samples, found[0].group) == (2.0, 3, "log")
    assert figures.flat(found) == {"log.append_us": 2, "a.b": 1}


@pytest.mark.parametrize(
    ("value", "shown"), [(8.69269, 8.693), (185.4741, 185.5), (218178.4, 218200), (4, 4)]
)
def test_no_more_digits_than_were_measured(value: float, shown: float) -> None:
    assert figures.rounded(value) == shown


def test_the_house_is_described_without_its_name() -> None:
    facts = house.inspect_house()
    assert facts["processor"]
    assert facts["kernel"]
    assert int(facts["cores"]) >= 1
    assert all(facts[name] != "not installed" for name in house.PACKAGES)
    assert Path("/etc/hostname").read_text().strip() not in facts.values()


def test_what_is_not_understood_counts_as_open() -> None:
    def line(name: str, ending: str, *, held: bool) -> dict[str, object]:
        return {"name": name, "ending": ending, "held": held}

    opened, tried = escapes.tally(
        [
            line("clock", "open", held=True),
            line("clock gone", "open", held=False),
            line("socket", "killed", held=True),
            line("surprise", "denied", held=False),
        ]
    )
    assert (opened.value, tried.value) == (2, 4)
    assert opened.how.endswith("clock, surprise")
    with pytest.raises(MeasurementFailed):
        escapes.tally([line("a", "open", held=True)] * 2)


def test_log_and_audit_for_real(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    assert _bench("log", "audit", "--quick", "--json", "--write", str(page)) == exits.OK
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {
        "log.append_us",
        "log.check_entries_per_second",
        "audit.entries_per_second",
    }
    assert all(isinstance(value, int | float) and value > 0 for value in found.values())
    (run,) = document.read(page.read_text())
    assert run.quick
    assert set(run.seconds) == {"log", "audit"}
    assert {figure.name for figure in run.figures} == set(found)


def test_the_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert _bench("log", "--quick") == exits.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "value", "target", "met"]
    assert any(line.startswith("log.append_us") for line in lines)
    assert any(line.startswith("house kernel") for line in lines)
