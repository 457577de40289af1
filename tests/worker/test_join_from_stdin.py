import argparse
import io
import sys
from pathlib import Path

import pytest

from trust.errors import Malformed
from worker import cli


class Restarted(Exception):
    """The program went on as another process."""


def test_a_restart_from_a_readable_copy_leaves_the_token_on_stdin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Found by the demo of root in a private checkout: the copy found stdin empty."""

    def become(*_: object, **__: object) -> None:
        raise Restarted

    monkeypatch.setattr(cli, "_become", become)
    monkeypatch.setattr(sys, "stdin", typed := io.StringIO("cadastre-token-v1.x\n"))
    with pytest.raises(Restarted):
        cli._join(argparse.Namespace(token="-", state=tmp_path, json=True))
    assert typed.read() == "cadastre-token-v1.x\n"


def test_a_token_in_the_arguments_is_looked_at_before_anything_is_prepared(
    tmp_path: Path,
) -> None:
    with pytest.raises(Malformed):
        cli._join(argparse.Namespace(token="nonsense", state=tmp_path / "state", json=True))
    assert not (tmp_path / "state").exists()
