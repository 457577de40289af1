"""Flower's own deployment on this machine: a SuperLink, two SuperNodes, and an app to run there.

Run as its documentation says, without TLS, which would only make it slower. Flower is in an
environment of its own (`.ci/flower` makes it), because it holds back packages that we need newer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import MeasurementFailed
from loopback.processes import free_ports

HERE = Path(__file__).resolve().parent
APP = HERE / "flower_echo"
PROGRAMS = ("flower-superlink", "flower-supernode", "flwr")
# Where `.ci/flower` puts its environments; another place is named by CADASTRE_FLOWER.
ENVIRONMENTS = HERE.parent / ".venv" / "flower"
NODES = 2
START_SECONDS = 5.0  # neither program says when it is ready
RUN_SECONDS = 300.0
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.2
NAME = "loopback"


def find() -> Path | None:
    """The folder that holds Flower's programs; None where it is not installed."""
    named = os.environ.get("CADASTRE_FLOWER")
    places = [Path(named)] if named else [Path(sys.executable).parent]
    places += sorted(ENVIRONMENTS.glob("*/bin"), reverse=True)
    return next(
        (place for place in places if all((place / one).exists() for one in PROGRAMS)), None
    )


def version(programs: Path) -> str:
    """Which Flower it is."""
    code = "import importlib.metadata as m; print(m.version('flwr'))"
    done = subprocess.run(
        [programs / "python", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Deployment:
    """Flower's running processes."""

    programs: Path
    home: Path

    def rounds(self, *, floats: int, rounds: int, each: int) -> list[float]:
        """Seconds of every round of `each` messages to both nodes. Raises MeasurementFailed."""
        out = self.home / f"echo-{floats}-{each}.json"
        self.run(f"floats={floats} rounds={rounds} each={each} nodes={NODES}", out)
        seconds: list[float] = json.loads(out.read_text())
        if len(seconds) < rounds:
            raise MeasurementFailed(f"Flower lost replies in {rounds - len(seconds)} rounds")
        return seconds

    def run(self, config: str, out: Path) -> None:
        """Run the app until it has written the file that its run configuration names `out`.

        Raises MeasurementFailed.
        """
        config = f'{config} out="{out}"'.strip()
        command = [self.programs / "flwr", "run", self.home / "app", NAME, "--run-config", config]
        log = self.home / "run.log"
        with log.open("wb") as words:
            subprocess.run(
                command,
                check=False,
                env=_environment(self),
                stdout=words,
                stderr=words,
                timeout=RUN_SECONDS,
            )
        deadline = time.monotonic() + RUN_SECONDS
        written = 0
        # Whole once it has ceased to grow: what an app writes does not appear in one piece.
        while not (out.exists() and out.stat().st_size == written > 0):
            if time.monotonic() > deadline:
                raise MeasurementFailed(f"Flower's run did not end: {log.read_text()[-800:]}")
            written = out.stat().st_size if out.exists() else 0
            time.sleep(LOOK_SECONDS)


@contextmanager
def deployed(
    programs: Path, home: Path, app: Path = APP, told: Sequence[str] = NODES * ("",)
) -> Iterator[Deployment]:
    """A SuperLink and two SuperNodes that run while the block does.

    `app` is the folder of the app to run there, `told` each SuperNode's configuration as
    `--node-config` takes it.
    """
    made = Deployment(programs, home)
    shutil.copytree(app, home / "app", ignore=shutil.ignore_patterns("__pycache__"))
    link, *nodes = free_ports(1 + NODES)
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "{NAME}"\n[superlink.{NAME}]\n'
        f'address = "127.0.0.1:{link}"\ninsecure = true\n'
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(
            _start(
                made,
                *("flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(link)),
                "--disable-runtime-dependency-installation",
            )
        )
        time.sleep(START_SECONDS)
        for port, config in zip(nodes, told, strict=True):
            address = ("--superlink", f"127.0.0.1:{link}", "--host", "127.0.0.1")
            node = ("--port", str(port), *(("--node-config", config) if config else ()))
            started.append(_start(made, "flower-supernode", "--insecure", *address, *node))
        time.sleep(START_SECONDS)
        yield made
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(made: Deployment, program: str, *words: str) -> subprocess.Popen[bytes]:
    log = (made.home / f"{program}.log").open("ab")
    try:
        return subprocess.Popen(
            [str(made.programs / program), *words],
            env=_environment(made),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=made.home,
        )
    finally:
        log.close()


def _environment(made: Deployment) -> dict[str, str]:
    path: Sequence[str] = (str(made.programs), os.environ.get("PATH", os.defpath))
    return {
        "PATH": os.pathsep.join(path),
        "HOME": str(made.home),
        "FLWR_HOME": str(made.home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "LC_ALL": "C.UTF-8",
    }
