"""Tests of open data: skipped with a line on a user's clone, never on CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import open_data

CI = open_data.HOUSE / ".ci" / "run"


def test_what_is_there_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_data, "DATA", tmp_path)
    (tmp_path / "some").touch()
    assert open_data.require("some") == tmp_path / "some"


def test_without_the_data_a_users_clone_skips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_data, "DATA", tmp_path)
    monkeypatch.delenv("CADASTRE_DATA_TESTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="CADASTRE_DATA"):
        open_data.require("some")


def test_without_the_data_ci_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\nexport CADASTRE_DATA_TESTS=required\n" in CI.read_text("utf-8")
    monkeypatch.setattr(open_data, "DATA", tmp_path)
    monkeypatch.setenv("CADASTRE_DATA_TESTS", "required")
    with pytest.raises(pytest.fail.Exception, match="some is not here"):
        open_data.require("some")
