"""The agent as a process: one per directory, shown, stopped within a second, light."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scene import Scene

from capsule_runtime.sandbox.image import RuntimeImage
from capsule_runtime.sandbox.layout import find_layout
from trust.problem import Problem
from worker import cli, program
from worker.errors import AlreadyRunning, NotRunning
from worker.journal import Journal

ROOT = Path(__file__).parents[2]
UNPRIVILEGED = 64126 if os.geteuid() == 0 else os.geteuid()
RUN = """
import sys
from pathlib import Path
from worker.program import run
run(Path(sys.argv[1]), concludes=None)
"""


def command(*words: str) -> tuple[int, argparse.Namespace]:
    parser = argparse.ArgumentParser()
    cli.add_worker(parser.add_subparsers())
    arguments = parser.parse_args(words)
    return int(arguments.run(arguments)), arguments


@pytest.fixture
def scene() -> Iterator[Scene]:
    home = Path(tempfile.mkdtemp(prefix="cadastre-worker-"))
    made = Scene(home, 2)
    for path in (home, *home.rglob("*")):
        os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    yield made
    shutil.rmtree(home)


@pytest.fixture
def agent(scene: Scene) -> Iterator[subprocess.Popen[bytes]]:
    drop: dict[str, Any] = {}
    if os.geteuid() == 0:
        drop = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", RUN, str(scene.identity.state)],
        stderr=subprocess.PIPE,
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        **drop,
    )
    assert process.stderr is not None
    for line in process.stderr:
        # Nobody answers at the scheduler's address: the agent says so and goes on.
        if b"exchange failed" in line:
            break
    yield process
    process.kill()
    process.communicate()


@pytest.mark.processes
@pytest.mark.sandbox
def test_an_agent_is_shown_stopped_and_light(
    scene: Scene, agent: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    state = scene.identity.state
    assert program.running_process(state) == agent.pid
    assert command("status", "--state", str(state), "--json")[0] == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["worker"] == scene.identity.worker
    assert shown["capsules"] == 2
    assert "unreachable" in shown["problem"]
    with pytest.raises(AlreadyRunning), program.alone(state):
        raise AssertionError("two agents on one directory")
    if os.geteuid() == 0:
        assert _pss_mib(agent.pid) <= 45
    started = time.monotonic()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(5) == 0
    # A second and the interpreter's own end, on a machine that may be busy with other tests.
    assert time.monotonic() - started < 3
    with pytest.raises(NotRunning):
        program.running_process(state)
    with pytest.raises(NotRunning):
        command("status", "--state", str(state))
    Journal(state).close()


@pytest.mark.processes
@pytest.mark.sandbox
def test_stop_stops_and_kill_9_leaves_a_journal_that_opens(
    scene: Scene, agent: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    state = scene.identity.state
    agent.kill()
    agent.wait(5)
    # The kernel let the lock go and took the broker and the sandbox along.
    with program.alone(state):
        pass
    journal = Journal(state)
    assert journal.sequence() >= 1
    assert journal.outgoing() is not None
    with pytest.raises(NotRunning):
        command("stop", "--state", str(state))


def test_image_and_card_are_printed(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("image")[0] == 0
    image = capsys.readouterr().out.strip()
    assert image == RuntimeImage.of(find_layout(("numpy",))).digest
    assert command("card", "--state", str(scene.identity.state), "--json")[0] == 0
    assert json.loads(capsys.readouterr().out)["worker"] == scene.identity.worker


def test_join_refuses_what_is_no_token(tmp_path: Path) -> None:
    for token in ("", "cadastre-token-v1.e30", "cadastre-token-v1.%%%", "x" * 9000):
        with pytest.raises(Problem) as caught:
            command("join", token, "--state", str(tmp_path / "s"))
        assert "token" in caught.value.sentence
    assert not (tmp_path / "s").exists()


def _pss_mib(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
