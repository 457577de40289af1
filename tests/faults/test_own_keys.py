"""A real scheduler process with keys that the territory's root does not certify, a real worker.

The worker refuses, says why under one code wherever it is asked, and goes on once the real
scheduler is back.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from known import tell
from mortals import Mortals, until
from town import HASTY

from loopback.territory import Site, Territory

pytestmark = pytest.mark.processes

OWN_KEYS = Path(__file__).with_name("own_keys_scheduler.py")
SECONDS = 120.0
_CODE = re.compile(r"\[([a-z-]+)\]")


class Place:
    """One territory with one worker, and whoever plays its scheduler."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.mortals = Mortals(home / "logs", lambda _: None)
        self.grid = Territory(self.mortals, home)

    def serve(self, program: Path, *words: str) -> None:
        self.mortals.stop("work")
        self.mortals.serve("work", self.home / "scheduler", *words, program=(program,))
        for port in ("work", "enrol", "http"):
            self.mortals.wait_until("work", self.mortals.answers(self.grid.ports[port]))

    @property
    def worker(self) -> Path:
        return self.grid.workers[0]

    def problem(self) -> str:
        shown = self.mortals.attempt("worker", "status", "--state", self.worker)
        return str(json.loads(shown.stdout)["problem"]) if shown.returncode == 0 else "not up"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    # Workers of a root test run as their own user, who can't enter pytest's private folders.
    home = Path(tempfile.mkdtemp(prefix="cadastre-own-keys-"))
    home.chmod(0o711)
    made = Place(home)
    try:
        made.grid.found()
        made.grid.enrol([Site("ville", "mairie")])
        made.serve(HASTY)
        tell(made.worker)
        made.grid.start_workers()
        until("the worker is heard", lambda: made.problem() == "", SECONDS)
        yield made
    finally:
        made.mortals.stop_all()
        shutil.rmtree(home, ignore_errors=True)


def test_orders_under_the_schedulers_own_key_are_refused_with_one_code(place: Place) -> None:
    place.serve(OWN_KEYS, "next")
    try:
        until("it refuses", lambda: "[order-forged]" in place.problem(), SECONDS)
        code = _CODE.search(place.problem())
        assert code is not None
        assert code[1] == "order-forged"
        # Where it is shown to a person, and where it happened.
        shown = place.mortals.run("worker", "status", "--state", place.worker)
        assert "[order-forged]" in shown["problem"]
        assert "[order-forged]" in place.mortals.tail(place.worker.name, 100_000)
        # A worker asks for the next root when it starts.
        place.mortals.kill(place.worker.name)
        until(
            "the forged root is refused too",
            lambda: "[signature-invalid]" in place.mortals.tail(place.worker.name, 100_000),
            SECONDS,
        )
        until("it still refuses", lambda: "[order-forged]" in place.problem(), SECONDS)
        assert [path.name for path in (place.worker / "roots").iterdir()] == ["1.json"]
        place.mortals.require_alive()
    finally:
        place.serve(HASTY)
    until("it goes on", lambda: place.problem() == "", SECONDS)


def test_nobody_joins_under_another_root_than_the_tokens(place: Place) -> None:
    token = place.grid._token("worker", "departement", "college")
    fresh = place.home / "fresh"
    place.serve(OWN_KEYS, "first")
    try:
        ended = place.mortals.attempt("worker", "join", "-", "--state", fresh, typed=token)
        assert ended.returncode == 3
        assert "root-refused" in ended.stderr + ended.stdout
        assert not (fresh / "identity.json").exists()
    finally:
        place.serve(HASTY)
    place.mortals.run("worker", "join", "-", "--state", fresh, typed=token)
    assert (fresh / "identity.json").exists()
