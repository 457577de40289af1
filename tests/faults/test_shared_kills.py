"""A `shared` campaign across real processes: helper and scheduler die, one batch is opened once.

The rules of test_kills.py hold here too. And what a single capsule or worker said is nowhere in
the two institutions that hold one half each: not in their folders, logs and temporary files, not
in their memory.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from leaks import files, memory
from mortals import pause, until
from town import CAPSULES, CELLS, HOSTS, MARKS, Town, town

from governance.helper.schema import FILE_NAME
from loopback.territory import TERRITORY
from trust.log.entry import Kind

pytestmark = pytest.mark.processes

SECONDS = 120.0
SEED = 20261123
# Who dies at random instants. A unit has 12 attempts (hasty_scheduler.py).
VICTIMS = ("helper", "work", "helper", "worker-1", "helper", "work", "worker-2", "helper")
GAP_SECONDS = (0.05, 2.0)


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    temporary = Path(tempfile.mkdtemp(prefix="cadastre-faults-tmp-"))
    temporary.chmod(0o1777)  # workers of a root test run as their own user
    with pytest.MonkeyPatch.context() as patch, town(protection="shared") as made:
        # For every process that starts from now on; the town's own folder stands beside it.
        patch.setenv("TMPDIR", str(temporary))
        for name in ("work", "helper", *made.workers):
            made.mortals.kill(name)
        made.mortals.wait_until("helper", made.mortals.answers(made.grid.ports["helper"]))
        made.mortals.wait_until("work", made.mortals.answers(made.grid.ports["work"]))
        made.temporary = temporary
        yield made
    shutil.rmtree(temporary)


def test_kill_9_of_helper_and_scheduler_between_prepare_and_commit(place: Town):
    campaign = place.start()
    until("the helper's key is logged", lambda: place.kinds()[Kind.HELPER_KEY] == 1, SECONDS)
    place.mortals.freeze("helper")  # what the leader asks next, it asks in vain
    try:
        until("every host has reported", lambda: reported(place, campaign), SECONDS)
        place.mortals.freeze("witness")  # no batch is committed to before it is witnessed
    finally:
        place.mortals.thaw("helper")
    try:
        until("the helper has prepared", lambda: prepared(place, campaign), SECONDS)
        require_unsaid(place)
        for name in ("helper", "work", "helper"):
            place.mortals.kill(name)
            for server, port in (("helper", "helper"), ("work", "work")):
                place.mortals.wait_until(server, place.mortals.answers(place.grid.ports[port]))
        assert prepared(place, campaign) == [False]
        assert place.view(campaign)["state"] == "running"
    finally:
        place.mortals.thaw("witness")
    place.require_exact(campaign)
    assert prepared(place, campaign) == [True]
    require_unsaid(place)


@pytest.mark.soak  # where it matters most is the test above
def test_kill_9_at_random_instants(place: Town):
    draw = random.Random(SEED)
    victims = list(VICTIMS)
    while victims:
        campaign = place.start()
        for name in victims[:4]:
            pause(draw.uniform(*GAP_SECONDS))
            place.mortals.kill(name)
        del victims[:4]
        place.require_exact(campaign)
    require_unsaid(place)


def test_a_helper_that_is_down_is_waited_for_and_named(place: Town):
    place.mortals.stop("helper")
    try:
        campaign = place.start()
        until("the draft waits", lambda: "helper" in place.view(campaign)["reason"], SECONDS)
        assert place.view(campaign)["state"] == "draft"
    finally:
        place.mortals.serve_again("helper")
    place.require_exact(campaign)


def test_every_batch_was_opened_once_and_its_key_destroyed(place: Town):
    campaigns = len(place.campaigns)
    wanted = {
        Kind.HELPER_KEY: campaigns,
        Kind.BATCH: campaigns,
        Kind.OPENING: campaigns,
        Kind.SHARE: 2 * campaigns,
        Kind.KEY_DESTROYED: campaigns,
        Kind.RELEASE: campaigns,
    }
    until("every key is destroyed", lambda: place.kinds()[Kind.KEY_DESTROYED] == campaigns, SECONDS)
    found = place.kinds()
    assert {kind: found[kind] for kind in wanted} == wanted
    assert found[Kind.REFUSAL] == 0
    told = place.run("helper", "status", "--state", place.home / "helper")
    assert (told["campaigns"], told["live keys"], told["rounds answered"]) == (
        campaigns,
        0,
        campaigns,
    )


def test_what_one_capsule_or_worker_said_is_in_neither_institution(place: Town):
    require_unsaid(place)
    place.mortals.stop("work")
    place.mortals.stop("helper")
    require_unsaid(place)
    # The search finds what is there: what the owners had, and what was released.
    assert said((place.home / "owners" / "numbers.csv").read_bytes())
    total = sum(MARKS).to_bytes(8, "little")
    assert any(total in file.read_bytes() for file in files(place.home / "scheduler"))
    for name in ("helper", "work"):
        place.mortals.serve_again(name)
    place.mortals.wait_until("work", place.mortals.answers(place.grid.ports["work"]))


def test_after_all_of_it_everybody_paid_once_and_the_audit_is_green(place: Town):
    place.mortals.require_alive()
    place.require_audited()
    place.require_charged_once()


def patterns() -> Iterator[bytes]:
    """How a capsule's mark and a worker's sum of marks would look, in text and as a number."""
    yield str(MARKS[0])[:-2].encode()
    yield MARKS[0].to_bytes(8, "little")[1:]
    yield MARKS[0].to_bytes(8, "big")[:7]
    for host in range(HOSTS):
        part = sum(MARKS[host * CAPSULES : (host + 1) * CAPSULES])
        yield from (str(part).encode(), part.to_bytes(8, "little"), part.to_bytes(8, "big"))


SAID = tuple(patterns())
# All marks begin alike.
assert MARKS[0] % 256 + CELLS <= 256
assert MARKS[0] % 100 + CELLS <= 100


def require_unsaid(place: Town) -> None:
    """No file of scheduler and helper, no temporary file and no page of theirs has a mark."""
    folders = [place.home / "scheduler", place.home / "helper", place.mortals.logs, place.temporary]
    for folder in folders:
        for file in files(folder):
            try:
                data = file.read_bytes()
            except FileNotFoundError:
                continue  # it was there for a moment
            assert not said(data), file
    for name in ("work", "helper"):
        if place.mortals.runs(name):
            pages = list(memory(place.mortals.pid(name)))
            assert any(TERRITORY.encode() in page for page in pages)
            assert not any(said(page) for page in pages), name


def said(data: bytes) -> bool:
    return any(pattern in data for pattern in SAID)


def prepared(place: Town, campaign: str) -> list[bool]:
    """For each round that the helper prepared, whether it was answered."""
    connection = sqlite3.connect(place.home / "helper" / FILE_NAME)
    try:
        query = "SELECT share IS NOT NULL FROM round WHERE campaign = ?"
        return [bool(answered) for (answered,) in connection.execute(query, [campaign])]
    finally:
        connection.close()


def reported(place: Town, campaign: str) -> bool:
    """Whether every host's report was accepted."""
    return sum("satisfied" in unit for unit in place.view(campaign)["units"]) >= HOSTS
