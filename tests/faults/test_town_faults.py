"""One town of real processes, and what may happen to it short of a kill.

Every fault ends in a campaign that is exact again, so each test also shows that the one before
left nothing behind. The order matters only for the last: it ends the bundle's authorisation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mortals import until
from town import HASTY, Town, town

pytestmark = pytest.mark.processes

HIDING = Path(__file__).with_name("hiding_scheduler.py")
SECONDS = 120.0
DISK = 2 * 1024 * 1024


@pytest.fixture(scope="module")
def place() -> Iterator[Town]:
    with town() as made:
        yield made


@pytest.mark.soak  # a witness that sleeps is in tests/scheduler too, without processes
def test_a_frozen_witness_is_waited_for_and_named(place: Town):
    place.mortals.freeze("witness")
    try:
        campaign = place.start()
        until(
            "a worker says what it waits for",
            lambda: any(
                "until the plan stands in the log" in sentence
                for worker in place.workers
                for sentence in place.status(worker).get("waiting", ())
            ),
            SECONDS,
        )
        assert place.view(campaign)["state"] == "running"
    finally:
        place.mortals.thaw("witness")
    place.require_exact(campaign)


# Two minutes, most of which it waits; without processes the same is in tests/simulation.
@pytest.mark.soak
def test_a_copied_state_directory_is_one_identity_too_many(place: Town):
    """The same code where it is refused (worker's log), decided (scheduler's) and asked (CLI)."""
    original = place.workers[2]
    state, copy = place.home / original, place.home / "copied"
    place.mortals.stop(original)
    subprocess.run(["cp", "-a", state, copy], check=True)
    place.mortals.serve(original, "worker", "run", "--state", state)
    place.require_exact(place.start())
    place.mortals.serve("copied", "worker", "run", "--state", copy)
    until(
        "the copy is refused",
        lambda: "[identity-shared]" in place.status("copied").get("problem", ""),
        SECONDS,
    )
    assert "[identity-shared]" in place.mortals.tail("copied")
    assert "identity-shared" in place.mortals.tail("work", 100_000)
    # The refused one is out; the other goes on as if nothing had been.
    place.require_exact(place.start())
    place.mortals.stop("copied")
    assert "[identity-shared]" not in place.mortals.tail(original, 100_000)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount the small disk that fills up")
def test_a_full_disk_loses_nothing_and_says_so(place: Town):
    name = place.workers[1]
    state, aside = place.home / name, place.home / "aside"
    place.mortals.stop(name)
    state.rename(aside)
    state.mkdir(mode=0o700)
    size = sum(file.stat().st_size for file in aside.rglob("*") if file.is_file())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size + DISK}", "tmpfs", state]
    if subprocess.run(mount, check=False).returncode:
        state.rmdir()
        aside.rename(state)
        place.mortals.serve(name, "worker", "run", "--state", state)
        pytest.skip("this machine mounts no tmpfs")
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", state], check=True)
        place.mortals.serve(name, "worker", "run", "--state", state)
        until("it is back", lambda: place.status(name).get("level"), SECONDS)
        fill(state / "ballast")
        campaign = place.start()
        until("it says so", lambda: "[disk-full]" in place.mortals.tail(name, 100_000), SECONDS)
        place.mortals.require_alive()
        (state / "ballast").unlink()
        place.require_exact(campaign)
        place.mortals.stop(name)
        shutil.rmtree(aside)
        subprocess.run(["cp", "-a", state, aside], check=True)
    finally:
        subprocess.run(["umount", "-l", state], check=True)
        state.rmdir()
        aside.rename(state)
        place.mortals.serve(name, "worker", "run", "--state", state)
    place.require_exact(place.start())


def test_a_scheduler_that_hides_a_suspension_is_refused_by_every_worker(place: Town):
    place.replace_scheduler(HIDING)
    draft = place.home / "suspension.json"
    authorisation = next((place.home / "bundles").glob("*.authorisation.json"))
    place.run("authorisation", "suspend", authorisation, "--reason", "a doubt", "--out", draft)
    for member in ("habitants", "professionnels"):
        place.run("authorisation", "sign", draft, "--key", place.grid.member(member))
    governance = ("--state", place.home / "governance", "--root", place.grid.root)
    place.run("status", "suspend", *governance, draft)
    told: dict[str, Any] = {}

    def published() -> bool:
        told.update(place.run("status", "show", "--state", place.home / "governance"))
        return int(told["suspensions"]) == 1

    until("governance publishes the suspension", published, SECONDS)
    for worker in place.workers:
        place.mortals.kill(worker)  # a worker asks governance when it starts, then every minute
    until(
        "every worker has heard governance itself",
        lambda: all(
            place.status(worker).get("status_number", 0) >= told["number"]
            for worker in place.workers
        ),
        SECONDS,
    )
    view = place.run("campaign", "start", place.bundle, "--as", place.grid.operator)
    ended = place.follow(view["campaign"])
    assert ended["state"] == "failed"
    assert "authorisation-suspended" in str(ended)
    for worker in place.workers[:3]:
        assert "refused authorisation-suspended" in place.mortals.tail(worker, 100_000)
    place.replace_scheduler(HASTY)


def test_after_all_of_it_everybody_paid_once_and_the_audit_is_green(place: Town):
    place.mortals.require_alive()
    place.require_audited()
    place.require_charged_once()


def fill(ballast: Path) -> None:
    """Take every byte that is left of the disk that holds `ballast`."""
    with ballast.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            return
