"""A Flower campaign whose workers vanish: its round ends with an error, nobody waits for ever.

In Flower a ServerApp below its quorum sleeps until nodes come. Here the bundle's quorum and
deadline end its round, whatever the app would do. No flwr is needed: the bundle is the one that
`bundle from-flower` writes, from what a probe of the app found.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.flower import app as flower_apps
from jobs.flower import bundle
from jobs.flower import choices as chosen
from jobs.flower.adapter.plan import Kind, Plan
from jobs.flower.probe import Probed
from scheduler.service import starting
from tests.scheduler.conftest import IMAGE

APP = Path(__file__).parents[1] / "flower" / "apps" / "line_numpy"
WORKERS = 3
TIMEOUT = 120.0  # what the app would wait for its clients
TRAIN = Kind("train", [["arrays", "arrays", [["0", "float64", [3]]]]])


def flower_files(patience: float = TIMEOUT, **run: int) -> dict[str, bytes]:
    """The bundle of the numpy app, of two rounds."""
    app = flower_apps.read(APP)
    choices = chosen.read(APP / chosen.FILE)
    choices = choices.model_copy(
        update={
            "run": choices.run.model_copy(update=run),
            "release": choices.release.model_copy(update={"minimum_workers": 2}),
        }
    )
    plan = Plan(
        app.server, app.client, dict(app.config), 2, "num-examples", 100.0, "points",
        ["x", "z", "y"], "data.csv", "", [TRAIN], [], 40, 3, 20, counts_replies=True,
    )  # fmt: skip
    probed = Probed(plan, 2, 3, 1, ("train loss",), (("0", "float64", (3,)),), 1.0, 1.0, patience)
    return bundle.files(app, choices, probed, frozenset({"numpy", "flwr"}))


async def gathered(world, **run):
    """A Flower bundle in force, workers whose capsules consented to it, and its campaign."""
    world.files = flower_files(**run)
    await world.authorised(rho_budget="0")
    members = [await world.worker(f"o{n}", capsules=4) for n in range(WORKERS)]
    for worker in members:
        worker.libraries, worker.images = ("numpy", "flwr"), {"flwr": IMAGE}
        await worker.exchange()
    view = await starting.start(world.desk, "ana", world.bundle.digest, b"{}", "one")
    await world.turn()
    for worker in members:
        await worker.exchange()
        assert len(worker.held) == 1, (await world.view(view.row.id)).row.why
    return members, view.row.id


def test_a_flower_round_below_its_quorum_ends_with_an_error(world, run):
    async def story():
        members, campaign = await gathered(world, quorum=3)
        for worker in members[:2]:
            batch = await worker.exchange([worker.report(worker.held[0])])
            assert batch.acknowledgements[0].accepted, batch.acknowledgements[0]
        world.clock.advance(TIMEOUT - 20)
        await world.turn()
        assert (await world.view(campaign)).row.state == "running"
        world.clock.advance(40)
        await world.turn()
        row = (await world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "quorum-missed")

    run(story())


def test_a_flower_round_with_its_quorum_goes_on_without_the_one_that_vanished(world, run):
    async def story():
        members, campaign = await gathered(world, quorum=2)
        for worker in members[:2]:
            await worker.exchange([worker.report(worker.held[0])])
        world.clock.advance(TIMEOUT + 20)
        await world.turn()
        (first,) = (await world.view(campaign)).rounds
        assert first.row.state == "opened"

    run(story())


@pytest.mark.parametrize(
    ("patience", "chosen_seconds", "deadline"),
    [(3600.0, None, 600), (TIMEOUT, None, 120), (5.0, None, 60), (TIMEOUT, 400, 400)],
)
def test_a_rounds_deadline_is_no_longer_than_the_app_would_wait(
    patience, chosen_seconds, deadline, world
):
    world.files = flower_files(patience, deadline_seconds=chosen_seconds)
    assert world.bundle.manifest.rounds.deadline_seconds == deadline
