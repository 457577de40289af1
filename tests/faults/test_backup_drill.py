"""The drill of docs/operations.md, with real processes: back up, lose the machine, put it back.

Once where the log did not go on since the backup: the campaign that ran goes on and is released,
nobody counted twice, and an auditor finds nothing. Once where it did: nothing is restored.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from mortals import until
from town import Town, town

from terminal import exits
from trust.log.entry import Kind

pytestmark = pytest.mark.processes

UP_SECONDS = 60.0


def lose_the_machine(place: Town, name: str) -> Path:
    """kill -9, and the state directory is gone. Where it went: it stands for the dead disk."""
    os.killpg(place.mortals.pid("work"), signal.SIGKILL)
    until("it is dead", lambda: place.mortals.ended("work"), UP_SECONDS)
    place.mortals.stop("work")
    state, dead = place.home / "scheduler", place.home / name
    state.rename(dead)
    return dead


def start_again(place: Town) -> None:
    place.mortals.serve_again("work")
    for port in ("work", "enrol", "http"):
        place.mortals.wait_until("work", place.mortals.answers(place.grid.ports[port]))


def test_a_backup_of_a_running_campaign_is_put_back_and_it_goes_on() -> None:
    with town() as place:
        state, phrase = place.home / "scheduler", place.home / "phrase"
        phrase.write_text("drawn for this drill, kept elsewhere\n")
        keyed = ("--keys-passphrase", phrase)
        place.require_exact(place.start())

        # Nobody works: the next campaign is planned and logged, and waits for its workers.
        for worker in place.workers:
            place.mortals.freeze(worker)
        running = place.start()
        until("the plan is logged", lambda: place.kinds()[Kind.PLAN] == 2, UP_SECONDS)
        backup = place.home / "evening.tar"
        taken = place.run("scheduler", "backup", "--state", state, "--out", backup, *keyed)
        assert taken["log entries"] == len(place.entries())
        assert place.view(running)["state"] == "running"

        dead = lose_the_machine(place, "first-disk")
        done = place.run("scheduler", "restore", backup, "--state", state, *keyed)
        assert done["witnesses agree"]
        start_again(place)
        for worker in place.workers:
            place.mortals.thaw(worker)
        place.require_exact(running)
        place.require_audited()
        assert {path.name for path in (dead / "keys").iterdir()} == {
            path.name for path in (state / "keys").iterdir()
        }

        # The same file again, now that the log went on: it would be a second history.
        lost = lose_the_machine(place, "second-disk")
        refused = place.mortals.attempt("scheduler", "restore", backup, "--state", state, *keyed)
        assert refused.returncode == exits.UNVERIFIED
        assert "backup-outlived" in refused.stderr
        assert not state.exists()

        # Parts of two moments, put together by hand, do not start.
        shutil.copytree(lost, state)
        shutil.rmtree(state / "log")
        shutil.copytree(dead / "log", state / "log")
        place.mortals.serve_again("work")
        until("it refuses to start", lambda: place.mortals.ended("work"), UP_SECONDS)
        assert "database-restored" in place.mortals.tail("work")
        place.mortals.stop("work")
