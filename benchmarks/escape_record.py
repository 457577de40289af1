"""A pytest plugin that writes down how each behaviour of the escape suite really ended.

Loaded by benchmarks.escapes with `-p`; nothing else imports it, so pytest need not be installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

RECORD_VARIABLE = "CADASTRE_ESCAPE_RECORD"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One line per behaviour: its name, how it should end, whether it did."""
    report = yield
    case = getattr(item, "callspec", None)
    behaviour = None if case is None else case.params.get("behaviour")
    if call.when == "call" and behaviour is not None:
        line = {"name": behaviour.name, "ending": behaviour.ending, "held": report.passed}
        with Path(os.environ[RECORD_VARIABLE]).open("a") as stream:
            stream.write(json.dumps(line) + "\n")
    return report
