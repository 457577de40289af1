import argparse
import json

import pytest

import cadastre
from terminal import exits
from terminal.arguments import leaf, verbs_of
from terminal.output import Output
from terminal.progress import Progress
from trust.problem import Kind, Problem

pytestmark = pytest.mark.base


def test_a_table_is_aligned_for_people_and_json_for_machines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [["Île", 3, None], ["Saint-Denis", 12, True]]
    Output(as_json=False).table(["commune", "persons", "x"], rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].index("persons") == lines[1].index("3") == lines[2].index("12")
    Output(as_json=True).table(["commune", "persons", "x"], rows)
    assert json.loads(capsys.readouterr().out)[1] == {
        "commune": "Saint-Denis",
        "persons": 12,
        "x": True,
    }


def test_lines_do_not_disturb_json(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.line("for people")
    output.record({"a": 1, "b": [1, 2]})
    assert json.loads(capsys.readouterr().out) == {"a": 1, "b": [1, 2]}


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(10, "x") as bar:
        for _ in range(20):
            bar.advance()
    assert capsys.readouterr().err == ""


def test_every_kind_has_an_exit_code() -> None:
    class Any(Problem):
        pass

    for kind in Kind:
        Any.kind = kind
        assert exits.of(Any("x")) in {1, 3, 4, 75}


def test_a_problem_is_explained_with_its_code_and_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Hidden(Problem):
        code = "status-stale"
        kind = Kind.UNVERIFIED

    assert exits.explain(Hidden("old news", remedy="fetch it")) == 3
    assert capsys.readouterr().err == "error: old news [status-stale]\n  remedy: fetch it\n"


def test_a_verb_knows_its_example_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    leaf(verbs_of(parser), "go", lambda _: 0, summary="go there", example="x go")
    assert parser.parse_args(["go", "--json"]).json
    with pytest.raises(SystemExit):
        parser.parse_args(["go", "--help"])
    assert "x go" in capsys.readouterr().out


def test_an_unknown_noun_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cadastre.main(["nonsense"])
    assert caught.value.code == exits.USAGE


def test_help_lists_every_noun(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cadastre.main(["--help"])
    out = capsys.readouterr().out
    assert all(noun.name in out for noun in cadastre.NOUNS)
