"""`make demo SERVE=1` as a new operator meets it: real processes, a real browser, one command.

The story over 20 companies, since it needs no download; then its pages are walked, and Ctrl-C ends
everything.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.serving import newest_plan
from loopback.footprint import trees
from scheduler.views import units
from tests.web.browser import Watch, browse, chromium
from tests.web_auditors.served import serving
from tests.web_scheduler.walking import FRONT_DOOR, MOST_CLICKS, Walk, operator_finds_a_late_unit

__all__ = ["browse", "chromium"]
UP_SECONDS = 900.0
END_SECONDS = 120.0
AFTER_SECONDS = 10.0
_ADDRESS = re.compile(r"(http://\S+/sign-in#\S+)")


class Demo:
    """The demo as somebody's terminal shows it."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self.address = ""
        self._up = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo"],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(FRONT_DOOR.parent),
                "TERRITORY": "1",
                "SERVE": "1",
            },
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if found := _ADDRESS.search(line):
                self.address = found[1]
            if "Ctrl-C" in line:
                self._up.set()
        self._up.set()

    def wait_until_up(self) -> None:
        """Until it says how it is ended, or ended by itself."""
        assert self._up.wait(UP_SECONDS), self.lines
        assert self.address, self.lines


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    started = Demo(tmp_path)
    with started.process:  # closes its end of the pipe, too
        yield started
        if started.process.poll() is None:
            started.process.send_signal(signal.SIGINT)
            started.process.wait(END_SECONDS)


def test_work_is_seen_in_the_public_log(tmp_path: Path) -> None:
    noted: list[str] = []
    with serving(tmp_path) as grid:
        pages = grid.origin.removeprefix("http://")
        unit = units.unit(grid.world.desk, grid.late_unit)
        assert newest_plan(pages, noted.append) == unit.plan.index
        assert noted == []
    assert newest_plan(pages, noted.append) is None  # nobody is there any more
    assert len(noted) == 1


def gone(pid: int) -> bool:
    """Whether a process ends within AFTER_SECONDS: a broker's does a moment after its agent's."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], AFTER_SECONDS)[0])
    finally:
        os.close(watch)


@pytest.mark.processes
@pytest.mark.sandbox
@pytest.mark.soak  # a whole story stands in front of it
def test_its_pages_lead_from_a_late_unit_to_a_proof_and_ctrl_c_ends_everything(
    demo: Demo, browse: Watch, tmp_path: Path
) -> None:
    demo.wait_until_up()
    walk = Walk(browse.open(demo.address), tmp_path)
    found = operator_finds_a_late_unit(walk, "commute_flows_territory", lambda: None)
    root = tmp_path / "demo-out" / "root.json"
    ended = walk.command("audit", "proof", found.receipt, "--root", root)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["what"] == "plan"
    assert len(walk.clicks) <= MOST_CLICKS, walk.clicks
    assert len(walk.commands) == 1

    ours = set(trees([demo.process.pid]))
    assert len(ours) > 10  # the scheduler and everybody else
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(END_SECONDS) == 0, demo.lines
    assert [pid for pid in ours if not gone(pid)] == []
    assert demo.lines[-1].startswith("demo: ok")
    assert len(demo.lines) <= 40
