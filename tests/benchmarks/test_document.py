"""The page of figures: it says when and where, and a later run replaces its own groups only."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import document, groups
from benchmarks.cli import add_bench
from benchmarks.document import Run
from benchmarks.errors import PageUnreadable
from benchmarks.figures import Figure

ORDER = ("capsule", "log", "audit")
WARM = Figure("capsule.warm_ms", 9.5, 100, "one | two")
COLD = Figure("capsule.cold_ratio", 12.04, 7, "cold over warm")
APPEND = Figure("log.append_us", 1_234_000, 20, "per entry")
TINY = Figure("audit.error", 2.179e-09, 1, "")


def a_run(*figures: Figure, day: int = 22, quick: bool = False) -> Run:
    seconds = {figure.group: 7 for figure in figures}
    house = {"kernel": f"6.{day}", "bubblewrap": ""}
    return Run(f"2026-11-{day}T12:00:00Z", house, seconds, figures, quick=quick)


def test_the_page_says_when_where_and_how_to_repeat() -> None:
    page = document.render([a_run(WARM)], ORDER)
    assert "`make bench`" in page
    assert "| `capsule.warm_ms` | 9.5 | <= 8 | no | 100 | 1 | one \\| two |" in page
    assert "## Run 1: 2026-11-22T12:00:00Z\n" in page
    assert "Measured: capsule (7 s)" in page
    assert "| kernel | 6.22 |" in page
    assert document.QUICK in document.render([a_run(WARM, quick=True)], ORDER)


def test_a_page_is_read_as_it_was_written() -> None:
    runs = [a_run(WARM, COLD, TINY), a_run(APPEND, day=30, quick=True)]
    page = document.render(runs, ORDER)
    found = document.read(page)
    assert document.render(found, ORDER) == page
    assert found == runs


def test_a_run_of_one_group_leaves_the_others_as_they_were() -> None:
    earlier = [a_run(WARM, COLD, APPEND)]
    warmer = Figure("capsule.warm_ms", 7.5, 100, "again")
    runs = document.merged(earlier, a_run(warmer, day=30))
    # A figure of the group that the new run did not take goes too: ratios are of one run.
    assert [one.figures for one in runs] == [(APPEND,), (warmer,)]
    assert [one.seconds for one in runs] == [{"log": 7}, {"capsule": 7}]
    rows = [line for line in document.render(runs, ORDER).splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[0] for row in rows] == ["| `capsule.warm_ms`", "| `log.append_us`"]
    assert [row.split(" | ")[5] for row in rows] == ["2", "1"]


def test_a_run_that_nothing_is_left_of_is_named_no_more() -> None:
    again = a_run(WARM, APPEND, day=30)
    assert document.merged([a_run(WARM), a_run(APPEND, day=23)], again) == [again]
    assert document.merged([a_run(WARM)], a_run(day=30)) == [a_run(WARM)], "nothing was measured"


@pytest.mark.parametrize(
    "damage",
    [
        lambda page: "# Something else\n",
        lambda page: page.replace("## Run 2", "## Run 3"),
        lambda page: page.replace("| 9.5 |", "| nine |"),
        lambda page: page.replace("| 100 | 1 |", "| 100 | 4 |"),
        lambda page: page.replace("Measured: ", ""),
        lambda page: page[: page.index("## Run 2")],
    ],
)
def test_a_page_that_was_changed_is_refused_rather_than_cut(damage: object) -> None:
    page = document.render([a_run(WARM), a_run(APPEND, day=30)], ORDER)
    assert callable(damage)
    with pytest.raises(PageUnreadable):
        document.read(damage(page))


def bench(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_bench(parser)
    arguments = parser.parse_args([*words, "--json"])
    return int(arguments.run(arguments))


def test_the_command_keeps_what_it_does_not_measure_and_what_was_measured_before_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*, quick: bool) -> list[Figure]:
        raise OSError(f"the disk is gone ({quick})")

    page = tmp_path / "page.md"
    page.write_text(document.render([a_run(WARM)], ORDER))
    taken = {"log": lambda *, quick: [APPEND], "audit": fails}
    for name, measure in taken.items():
        monkeypatch.setitem(groups.GROUPS, name, measure)
    with pytest.raises(OSError, match="the disk is gone"):
        bench("log", "audit", "--write", str(page))
    runs = document.read(page.read_text())
    assert [one.figures for one in runs] == [(WARM,), (APPEND,)]
    assert not capsys.readouterr().out


def test_some_groups_are_not_measured_for_a_page_that_cannot_be_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("my own words\n")
    with pytest.raises(PageUnreadable) as refusal:
        bench("log", "--write", str(page))
    assert "every group" in refusal.value.remedy
    assert page.read_text() == "my own words\n"
