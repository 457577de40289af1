"""The whole suite, or with CADASTRE_BASE_ONLY=1 what holds on a desktop without extras.

In that mode a module is collected only if it declares `pytestmark = pytest.mark.base`. Whether a
package is missing is never asked: a base module that began to need numpy must fail, not vanish.

`make test` runs the suite in two processes (pytest-xdist): whole files, the slowest rooms first,
and never two towns of real processes beside each other.
"""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

BASE_ONLY = os.environ.get("CADASTRE_BASE_ONLY") == "1"
# Fewer would mean that marks or modules were lost on the way, not that the suite is quicker.
MINIMUM_BASE_TESTS = 450
CHECKOUT = Path(__file__).resolve().parent.parent
# Rooms and modules that take longest, so that none of them is begun when the other process is done:
# the slowest first. Only time depends on it.
SLOWEST = (
    "faults",
    "scheduler",
    "review",
    "web",
    "jobs",
    "learning",
    "sandbox",
    "guard",
    "keyholder",
)
# Each of these rooms is one piece of work: its towns of a dozen processes need the machine's cores.
TOGETHER = ("faults",)
# On a machine that does something else too, how long an example took says nothing about it.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long work first; everything else stays in its order."""
    items.sort(key=lambda item: _rank(item.path))


def _rank(module: Path) -> int:
    found = (
        place for place, slow in enumerate(SLOWEST) if slow in (module.stem, module.parent.name)
    )
    return next(found, len(SLOWEST))


@pytest.hookimpl(optionalhook=True)  # only where pytest-xdist is installed
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whole files to each process, and the files of some rooms to one."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.split("::", 1)[0])
            return file.parent.name if file.parent.name in TOGETHER else str(file)

    config.option.loadscopereorder = False  # it would begin with many short tests
    return ByFile(config, log)


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
