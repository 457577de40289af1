"""The groups that need the real sandbox and real processes, few repetitions each."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import groups, memory, ordinary
from benchmarks.errors import MeasurementFailed


@pytest.mark.sandbox
@pytest.mark.processes
def test_capsules_for_real() -> None:
    found = {figure.name: figure.value for figure in groups.GROUPS["capsule"](quick=True)}
    torch = {"capsule.warm_torch_ms"} if importlib.util.find_spec("torch") else set()
    assert set(found) == torch | {
        "capsule.warm_ms",
        "capsule.warm_p90_ms",
        "capsule.charge_ms",
        "capsule.sandbox_ms",
        "capsule.cold_ms",
        "capsule.cold_ratio",
        "capsule.per_second",
    }
    # No targets here, the machine is busy with other tests: only what must always hold.
    assert found["capsule.charge_ms"] + found["capsule.sandbox_ms"] < 2 * found["capsule.warm_ms"]
    assert found["capsule.cold_ms"] > found["capsule.warm_ms"]


@pytest.mark.sandbox
@pytest.mark.processes
def test_a_worker_for_real() -> None:
    found = {figure.name: figure.value for figure in groups.GROUPS["worker"](quick=True)}
    assert found["worker.idle_rss_mib"] > 20
    if os.geteuid() == 0:
        both = found["worker.agent_pss_mib"] + found["worker.broker_pss_mib"]
        assert both <= found["worker.idle_pss_mib"] <= found["worker.idle_rss_mib"]
        assert found["worker.warm_pss_mib"] > both


@pytest.mark.processes
def test_a_measurement_that_breaks_off_says_why() -> None:
    with (
        pytest.raises(MeasurementFailed, match="No module named"),
        ordinary.process("benchmarks.x"),
    ):
        pass


@pytest.mark.processes
def test_a_measurement_is_never_root() -> None:
    with ordinary.process("this") as child:
        status = Path(f"/proc/{child.pid}/status").read_text()
        (uids,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
        assert "0" not in uids
        assert child.stdout is not None
        child.stdout.read()


def test_memory_of_this_process_and_its_children() -> None:
    own = memory.of(os.getpid())
    assert own.proportional is not None
    assert 0 < own.proportional <= own.resident
    wait = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", f"print(flush=True); {wait}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while len(found := memory.descendants(os.getpid())) < 2:
            assert child.poll() is None
        assert child.pid in found
        child.communicate(b"\n\n")
