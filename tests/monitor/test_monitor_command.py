"""The command: its exit codes, its JSON, a run for ever, and what witnesses were shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import cadastre
from audit.monitor.alarms import AlarmKind
from audit.monitor.sources import witness_places
from audit.monitor.watching import origin_name
from governance.witness.memory import WitnessMemory
from governance.witness.server import WitnessServer
from governance.witness.witness import Witness
from scheduler.log.cosigners import HttpCosigner
from scheduler.log.writer import LogWriter
from tests.monitor.scene import Scene, entry
from tests.scheduler.conftest import TERRITORY
from trust.keys import PrivateKey
from trust.log.note import LogKey
from trust.log.policy import Policy


def command(scene: Scene, *more: str) -> list[str]:
    policy = scene.folder / "audit-policy.txt"
    policy.write_text(f"cadastre-audit-policy-v1\nroot {scene.settings.pin}\n")
    state = str(scene.settings.state)
    # The territory lives in November 2026 by its own clock; whenever this runs, it is not silent.
    return ["audit", "monitor", scene.url, "--policy", str(policy), "--state", state,
            "--stale", "80000", *more]  # fmt: skip


def test_exit_codes_words_and_json(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.log(1, 2)
    assert cadastre.main(command(scene)) == 0
    assert f"{TERRITORY}/log: 2 entries, ok" in capsys.readouterr().out
    scene.site.log = scene.fork(1, 3)
    assert cadastre.main(command(scene, "--json")) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [alarm["kind"] for alarm in told["alarms"]] == ["split-view"]
    assert all(Path(name).exists() for name in told["alarms"][0]["evidence"])
    assert cadastre.main(command(scene)) == 3
    out = capsys.readouterr().out
    assert "ALARM split-view" in out
    assert "1 alarm\n" in out
    assert "kept: " in out


def test_a_log_that_does_not_answer_is_not_ready(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(scene)
    words[2] = "http://127.0.0.1:9"
    assert cadastre.main(words) == 75
    assert "ALARM unreachable" in capsys.readouterr().out


@pytest.mark.parametrize(
    "bad", [("--stale", "0"), ("--stale", "nan"), ("--every", "1"), ("--policy", "/nowhere")]
)
def test_bad_settings_are_refused(
    scene: Scene, bad: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cadastre.main(command(scene, *bad)) == 1
    assert "remedy:" in capsys.readouterr().err


def test_it_runs_until_it_is_told_to_stop(scene: Scene) -> None:
    scene.log(1, 2)
    words = [sys.executable, "-m", "cadastre", *command(scene, "--every", "600", "--json")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ}) as running:
        assert running.stdout is not None
        first = json.loads(running.stdout.readline())
        assert first["size"] == 2
        second = subprocess.run(
            [sys.executable, "-m", "cadastre", *command(scene)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "another monitor runs" in second.stderr
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0


def test_a_witness_that_was_shown_another_log_gives_it_away(scene: Scene) -> None:
    """A real witness behind a real port, fed by the fork."""
    log = LogKey(f"{TERRITORY}/log", scene.world.keys["log"].public)
    folder = scene.folder / "witness"
    WitnessMemory.create(folder)
    memory = WitnessMemory(folder)
    witness = Witness(
        "witness.example/two", PrivateKey(bytes([5]) * 32), [log], memory, scene.world.clock
    )
    server = WitnessServer(("127.0.0.1", 0), witness)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        scene.log(1, 2, 3)
        assert scene.look().ok
        fork = scene.folder / "fork"
        fork.mkdir()
        key, clock = scene.world.keys["log"], scene.world.clock
        LogWriter.create(fork, key, log.name, clock)
        cosigner = HttpCosigner(witness.key, url)
        made = LogWriter.open(fork, key, log.name, clock, [cosigner])
        scene.forks.append(made)
        made.append([entry(1), entry(9)])
        place = f"{url}/{origin_name(log.name)}/checkpoint"
        policy = Policy.parse(f"log {log}\nwitness two {witness.key} {url}/\nquorum two\n".encode())
        assert witness_places(policy, log.name) == [place]
        assert scene.kinds(compare=[place]) == [AlarmKind.SPLIT_VIEW]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        memory.close()
