"""The whole suite, or with CADASTRE_BASE_ONLY=1 what holds on a desktop without extras.

In that mode a module is collected only if it declares `pytestmark = pytest.mark.base`. Whether a
package is missing is never asked: a base module that began to need numpy must fail, not vanish.
"""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

BASE_ONLY = os.environ.get("CADASTRE_BASE_ONLY") == "1"
# Fewer would mean that marks or modules were lost on the way, not that the suite is quicker.
MINIMUM_BASE_TESTS = 450
CHECKOUT = Path(__file__).resolve().parent.parent
if not BASE_ONLY:
    # demo/ is not a part of the package, and tests start its territories. Last: nothing hides.
    sys.path.append(str(CHECKOUT))


def declares_base(module: Path) -> bool:
    """Whether the module's own `pytestmark` names the marker `base`; nothing is imported."""
    for statement in ast.parse(module.read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark"
            for target in statement.targets
        ):
            return any(
                isinstance(node, ast.Attribute) and node.attr == "base"
                for node in ast.walk(statement.value)
            )
    return False


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """In base mode leave out what is not base, and whole rooms, whose conftest may need numpy."""
    if not BASE_ONLY:
        return None
    modules = collection_path.rglob("test_*.py") if collection_path.is_dir() else (collection_path,)
    return None if any(map(declares_base, modules)) else True


def pytest_sessionstart() -> None:
    """In base mode the installed package is tested, never the checkout beside it."""
    if BASE_ONLY:
        import cadastre

        if Path(cadastre.__file__).is_relative_to(CHECKOUT):
            raise pytest.UsageError(f"{cadastre.__file__} is the checkout: run pytest, not -m")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In base mode a suite that shrank is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not BASE_ONLY or session.config.option.collectonly or reporter is None:
        return
    passed = len(reporter.stats.get("passed", []))
    reporter.write_line(f"\nbase-only: {passed} tests passed, at least {MINIMUM_BASE_TESTS} must")
    if passed < MINIMUM_BASE_TESTS and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
