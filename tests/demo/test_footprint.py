"""What the servers of a story used, counted once, ended sandboxes and servers too."""

from __future__ import annotations

from pathlib import Path

import pytest

from loopback.footprint import Tally, Usage
from loopback.processes import Processes

BURNT = 1.0  # CPU seconds of each algorithm
# As a worker's broker: a sandbox, an algorithm in a forked child, the sandbox goes cold.
SERVER = f"""
import sys, time
from pathlib import Path

import numpy as np
from capsule_runtime import trial
from capsule_runtime.sandbox.model import Job, Limits, OutputField
from protection import columns

burns = b'''
import time
import numpy as np
def contribute(capsule, parameters):
    began = time.process_time()
    while time.process_time() - began < {BURNT}:
        pass
    return {{"answer": np.zeros(1)}}
'''
job = Job(
    sources={{"algorithm.py": burns}}, entry="algorithm:contribute", parameters=b"{{}}",
    outputs=(OutputField("answer", "float64", (1,)),), limits=Limits(512, 20, 60.0),
)
data = columns.encode({{"table": {{"x": np.zeros(1)}}}})
with trial.sandbox(("numpy",)) as zygote, zygote.load(job) as loaded:
    assert zygote.run(loaded, data).frame is not None
    Path(sys.argv[1]).touch()
    while not Path(sys.argv[2]).exists():  # a sandbox stays warm for a while
        time.sleep(0.05)
Path(sys.argv[3]).touch()
time.sleep(60)
"""


@pytest.mark.sandbox
def test_a_cold_sandbox_and_a_stopped_server_stay_counted(tmp_path: Path) -> None:
    """Nobody waits for what was in a sandbox: it was forgotten as soon as it went cold."""
    server = tmp_path / "server.py"
    server.write_text(SERVER)
    done, go, cold = (tmp_path / name for name in ("done", "go", "cold"))
    processes = Processes(tmp_path / "logs", lambda line: None)
    try:
        processes.serve("broker", done, go, cold, program=(server,))
        processes.wait_until("broker", done.exists)
        warm = processes.cpu_seconds()
        go.touch()
        processes.wait_until("broker", cold.exists)
        after = processes.cpu_seconds()
        processes.stop("broker")
        assert BURNT <= warm <= after <= processes.cpu_seconds()
        assert processes.cpu_seconds() < 2 * warm  # nothing twice
    finally:
        processes.stop_all()


def usage(parent: int, own: float, waited: float = 0.0, started: int = 1) -> Usage:
    return Usage(parent, started, own, waited)


def test_what_a_parent_waited_for_is_counted_at_the_parent() -> None:
    tally = Tally()
    tally.look({10: usage(1, 1.0), 11: usage(10, 2.0), 12: usage(11, 3.0)})
    assert tally.seconds == 6.0
    # The whole branch ended, 11 had waited for 12 and 10 for 11; half a second came after the look.
    tally.look({10: usage(1, 1.0, waited=5.5)})
    assert tally.seconds == 6.5


def test_what_nobody_waited_for_stays_counted() -> None:
    tally = Tally()
    tally.look({10: usage(1, 1.0, waited=4.0), 11: usage(10, 0.0), 12: usage(11, 3.0)})
    tally.look({10: usage(1, 1.5, waited=4.0)})
    assert tally.seconds == 8.5
    tally.look({10: usage(1, 1.5, waited=4.0)})
    assert tally.seconds == 8.5


def test_a_part_that_a_parent_waited_for_is_not_counted_twice() -> None:
    tally = Tally()
    tally.look({10: usage(1, 1.0), 11: usage(10, 2.0), 12: usage(10, 3.0)})
    tally.look({10: usage(1, 1.0, waited=2.0)})  # for 11, not for 12
    assert tally.seconds == 6.0


def test_a_number_that_was_given_again_is_another_process() -> None:
    tally = Tally()
    tally.look({10: usage(1, 1.0), 11: usage(10, 2.0)})
    tally.look({10: usage(1, 1.0), 11: usage(10, 0.25, started=9)})
    assert tally.seconds == 3.25


def test_a_server_that_was_stopped_and_started_again_has_both_lives() -> None:
    tally = Tally()
    tally.look({10: usage(1, 1.0), 11: usage(10, 2.0)})
    tally.look({})
    tally.look({20: usage(1, 0.5)})
    assert tally.seconds == 3.5
