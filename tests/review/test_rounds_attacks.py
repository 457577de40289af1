"""Attacks on campaigns of several rounds: what each of them could do, and where it ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent / "guard"))
sys.path.insert(0, str(Path(__file__).parent.parent / "policy"))
sys.path.insert(0, str(Path(__file__).parent.parent / "scheduler"))

from following_bundle import ALGORITHM, MANIFEST, expected, files
from helping import Scene
from worker_territory import FACTS, Territory

from audit.checks import conclusions
from audit.errors import AuditFailure
from capsule_runtime import guard
from capsule_runtime.broker.program import Program, read_program
from capsule_runtime.portions import Portion, drawn
from capsule_runtime.rehearsal import Rehearsal, rehearse
from capsule_runtime.sandbox import Zygote
from governance.helper import campaigns
from jobs import archive, parameters, state
from jobs import conclusion as results
from protection import accounting, columns
from tests.scheduler.conftest import build
from tests.scheduler.test_following import gathered, one_round, plans_of
from trust.documents.campaign import Plan
from trust.documents.reporting import Outcome
from trust.entropy import seeded
from trust.ids import Digest
from trust.policy import RUN_POLICIES, RunRequest
from trust.policy.errors import RunRefused

RUN_AS = (64123, 64123) if os.geteuid() == 0 else None
VALUES = [1.0, 3.0, 8.0, 16.0]
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote.start(("numpy",), run_as=RUN_AS, keep_stderr=True) as warm:
        yield warm


@pytest.fixture
def world(tmp_path):
    made = build(tmp_path)
    yield made
    made.desk.store.close()


# --- updates that are none ---


def walked(
    zygote: Zygote, program: Program, values: list[float] = VALUES
) -> tuple[Rehearsal, list[float]]:
    manifest, seen = program.bundle_file.manifest, []
    blob = parameters.encode({"rate": "0.5", "enough": 100}, manifest.bounds())
    capsules = [{"readings": {"value": np.array([int(value)])}} for value in values]
    found = rehearse(
        zygote,
        program,
        blob,
        capsules,
        seeded(b"n"),
        progress=lambda _number, told: seen.append(float(told["mean"][0])),
    )
    return found, seen


def liar(answer: str, manifest: bytes = MANIFEST) -> Program:
    """The walk, in which the capsule with the value 16 answers something else."""
    honest = b'    return {"update": np.array([value - position, 1.0])}'
    assert honest in ALGORITHM
    lying = b"    if value == 16:\n        return " + answer.encode() + b"\n" + honest
    contents = files(manifest=manifest)
    contents["algorithm.py"] = ALGORITHM.replace(honest, lying)
    return read_program(archive.pack(contents), {"numpy"})


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ('{"update": np.array([np.nan, 1.0])}', "not-finite"),
        ('{"update": np.array([-np.inf, 1.0])}', "not-finite"),
        ('{"update": np.array([1e300, 1.0])}', "out-of-range"),
        ('{"update": np.zeros(3)}', "no-frame"),
        ('{"update": np.zeros((1, 2))}', "no-frame"),
        ('{"update": np.array(["a", "b"])}', "no-frame"),
        ("{}", "no-frame"),
        ('{"update": np.zeros(2), "position": np.zeros(1)}', "no-frame"),
        ("[np.zeros(2)]", "no-frame"),
    ],
)
def test_an_update_that_is_none_counts_as_zeros_and_the_rounds_go_on(
    zygote: Zygote, answer: str, verdict: str
) -> None:
    found, seen = walked(zygote, liar(answer))
    assert found.verdicts == {"accepted": 12, verdict: 4}
    assert seen == pytest.approx(expected(VALUES[:3], 4), abs=1e-3)


@pytest.mark.sandbox
def test_a_client_that_sends_a_hundred_times_its_update_moves_the_model_by_the_clip(
    zygote: Zygote,
) -> None:
    bound = MANIFEST.replace(b"bound = 1000", b"bound = 20")
    louder = "{'update': np.array([100 * (value - position), 1.0])}"
    _, honest = walked(zygote, liar("{'update': np.array([value - position, 1.0])}", bound))
    _, loud = walked(zygote, liar(louder, bound))
    _, unbound = walked(zygote, liar(louder))
    # One step is half of the sum over four clients: 20 / 4 / 2 and no more, however loud.
    assert abs(loud[0] - honest[0]) <= 20 / 4 / 2
    assert abs(unbound[0] - honest[0]) > 100


@pytest.mark.sandbox
def test_a_negative_weight_is_bounded_and_cannot_be_divided_by_unseen(zygote: Zygote) -> None:
    bound = MANIFEST.replace(b"bound = 1000", b"bound = 20")
    found, seen = walked(zygote, liar("{'update': np.array([0.0, -3.0])}", bound))
    # The weights sum to nothing: no model comes of that, and the campaign says so.
    assert (found.report, seen) == (None, [])
    assert any("not finite" in line for line in found.complaints)
    _, less = walked(zygote, liar("{'update': np.array([0.0, -1e6])}", bound))
    assert less[0] == pytest.approx(0.5 * 12 / (3 - 20), abs=1e-3)


def test_how_far_bad_clients_move_a_sum() -> None:
    """In numbers: 100 clients of one step each way, and m of them that lie."""
    (rule,) = read_program(archive.pack(files()), {"numpy"}).rules
    rule = replace(rule, bound="1")
    draw = np.random.default_rng(1)
    honest = np.array([0.6, -0.3]) + 0.1 * draw.normal(size=(100, 2))

    def summed(updates: Array) -> Array:
        total = guard.Sum((rule,))
        for update in updates:
            total.add_capsule(((guard.judge((rule,), update.tobytes()), 1),))
        return total.values["update"] * float(accounting.step_of(rule))

    for liars in (1, 5, 20):
        for lie in (100 * honest, -honest, -100 * honest, np.full_like(honest, 1e9)):
            sent = np.concatenate([lie[:liars], honest[liars:]])
            moved = np.abs(summed(sent) - summed(honest[liars:])).max()
            raw = np.abs(sent.sum(axis=0) - honest[liars:].sum(axis=0)).max()
            assert moved <= liars * 1.0 + 1e-9
            assert raw >= moved - 0.01
    loud = np.concatenate([100 * honest[:1], honest[1:]])
    assert np.abs(loud.sum(axis=0) - honest.sum(axis=0)).max() > 50
    assert np.abs(summed(loud) - summed(honest)).max() < 1


# --- conclude ---


GROWING = b"""
grown = parameters['state']['position'] * 1e6 + 1e6
return {'mean': grown, 'position': grown, 'stop': np.zeros(1, np.int64)}
"""


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"while True:\n    pass", "conclude ended with"),
        (b"raise ValueError('no')", "conclude ended with"),
        (b"import os\nos._exit(0)", "conclude ended with"),
        (b"return np.ones((1 << 30,))", "conclude ended with"),
        (GROWING, "over 1e+12"),
    ],
)
def test_a_conclude_that_never_ends_well_ends_the_campaign(
    zygote: Zygote, body: bytes, why: str
) -> None:
    short = MANIFEST.replace(b"cpu_seconds = 5", b"cpu_seconds = 1")
    program = read_program(archive.pack(files(manifest=short, conclude=body)), {"numpy"})
    found, seen = walked(zygote, program)
    assert found.report is None
    assert any(why in line for line in found.complaints)
    assert len(seen) == (1 if "1e+12" in why else 0)


def arrays(**changes: object) -> columns.Tables:
    made = {
        results.REPORT: {"counts": np.zeros(3, np.int64)},
        results.STATE: {"walked": np.zeros(1)},
        results.ROUNDS: {results.STOP: np.zeros(1, np.int64)},
    }
    return {**made, **changes}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "blob",
    [
        columns.encode(arrays(state={"walked": np.array([np.inf])})),
        columns.encode(arrays(state={"walked": np.array([2e12])})),
        columns.encode(arrays(state={"walked": np.zeros(2)})),
        columns.encode(arrays(state={"walked": np.zeros(1, np.int64)})),
        columns.encode(arrays(state={"walked": np.zeros(1), "more": np.zeros(1)})),
        columns.encode(arrays(state={"walked": np.zeros(3 << 20)})),
        columns.encode(arrays(state={})),
        columns.encode(arrays(rounds={results.STOP: np.array([2])})),
        columns.encode(arrays(rounds={results.STOP: np.array([1.0])})),
        columns.encode(arrays(other={"x": np.zeros(1)})),
        b"no columns",
    ],
)
def test_a_state_that_a_worker_made_up_is_not_carried(world, blob: bytes) -> None:
    async def story():
        members, judge, campaign = await gathered(world)
        await world.turn()
        for worker in members:
            await worker.exchange()
            await worker.exchange([worker.report(worker.held[0])])
        await world.turn()
        await judge.exchange()
        lie = judge.report(judge.held[0], result=world.desk.blobs.put(blob))
        batch = await judge.exchange([lie])
        assert not batch.acknowledgements[0].accepted
        row = (await world.view(campaign)).row
        assert row.following is None
        assert len((await world.view(campaign)).rounds) == 1

    asyncio.run(story())


def test_a_conclude_that_always_fails_fails_the_campaign_after_its_attempts(world) -> None:
    async def story():
        members, judge, campaign = await gathered(world)
        await one_round(world, members, judge)
        await world.turn()
        for worker in members:
            await worker.exchange()
            await worker.exchange([worker.report(worker.held[0])])
        await world.turn()
        for _ in range(world.desk.limits.maximum_attempts):
            world.clock.advance(300)
            await world.turn()
            await judge.exchange()
            for order in list(judge.held):
                await judge.exchange([judge.refusal(order, Outcome.FAILED)])
        for _ in range(8):  # longer each time between the attempts
            world.clock.advance(600)
            await judge.exchange()
            await world.turn()
        row = (await world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "conclusion-failed")
        assert len((await world.view(campaign)).rounds) == 2

    asyncio.run(story())


def test_a_worker_that_vanishes_in_round_two_is_not_waited_for_beyond_the_deadline(world) -> None:
    async def story():
        members, judge, campaign = await gathered(world, workers=3)
        assert await one_round(world, members, judge) == 3
        await world.turn()
        for worker in members:
            await worker.exchange()
            assert [order.round for order in worker.held] == [2]
        for worker in members[:2]:
            await worker.exchange([worker.report(worker.held[0])])
        await world.turn()
        assert (await world.view(campaign)).rounds[1].row.state == "open"
        world.clock.advance(700)
        await world.turn()
        second = (await world.view(campaign)).rounds[1].row
        assert second.state == "opened"
        assert second.contributors == 8
        late = await members[2].exchange([members[2].report(members[2].held[0])])
        assert not late.acknowledgements[0].accepted
        await judge.exchange()
        await judge.exchange([judge.report(judge.held[0])])
        for worker in members:
            await worker.exchange()
        await world.turn()
        assert len((await world.view(campaign)).rounds) == 3

    asyncio.run(story())


# --- one victim, another model ---


def several(territory: Territory, blob: bytes, number: int = 2, **changes: object) -> RunRequest:
    """A request for round `number` of a bundle of three rounds, whose blob is `blob`."""
    facts = replace(FACTS, rounds=3, charge=Fraction(1, 30))
    before = changes.pop("after", Digest.of(b"conclusion") if number > 1 else None)
    plan = territory.plan(parameters=blob, round=number, after=before)
    values = {"plan": plan, "facts": facts, "parameters": blob, **changes}
    return territory.request(**values)


def model(number: int, *weights: float) -> bytes:
    return state.following(b'{"hour":8}', number, {"model": np.array(weights)})


def test_one_victim_gets_no_other_model() -> None:
    territory = Territory()
    RUN_POLICIES.require(several(territory, model(2, 0.5)))
    known = Digest.of(territory.plan(parameters=model(2, 0.5), round=2).envelope)
    for request, code in [
        (several(territory, model(2, 0.5), parameters=model(2, 0.7)), "parameters-altered"),
        (several(territory, model(1, 0.5)), "parameters-refused"),
        (several(territory, model(3, 0.5)), "parameters-refused"),
        (several(territory, model(2, 0.7), known_plan=known), "two-plans"),
        (several(territory, model(4, 0.5), 4), "round-out-of-range"),
        (several(territory, model(2, 0.5), after=None), "plan-mismatch"),
        (several(territory, model(1, 0.0), 1, after=Digest.of(b"last")), "plan-mismatch"),
        (several(territory, model(2, 0.5)[:10]), "parameters-refused"),
    ]:
        with pytest.raises(RunRefused) as caught:
            RUN_POLICIES.require(request)
        assert caught.value.code == code


# --- who is drawn: `rounds.draw` ---

THIRD = Fraction(1, 3)


def company(persons: list[int]) -> tuple[Portion, ...]:
    return tuple(Portion(b"record %d" % number, count) for number, count in enumerate(persons))


def told(parts: tuple[Portion, ...]) -> dict[bytes, int]:
    return {part.data: part.units for part in parts}


def test_one_person_more_changes_nobody_elses_lot() -> None:
    # The seed is no secret to whoever knows the plan and the capsule: if one person could change
    # who else is drawn, the sum would move by more than what noise and price were made for.
    for trial in range(40):
        seed = Digest.of(b"round %d" % trial)
        chance = np.random.default_rng(trial)
        persons = chance.integers(1, 4, size=30).tolist()
        before = told(drawn(company(persons), THIRD, seed))
        somebody = company(persons)
        joined = [
            (*somebody[:trial], Portion(b"somebody new", 1), *somebody[trial:]),
            company([count + (number == trial % 30) for number, count in enumerate(persons)]),
        ]
        for parts in joined:
            after = told(drawn(parts, THIRD, seed))
            moved = [
                after.get(data, 0) - before.get(data, 0) for data in before.keys() | after.keys()
            ]
            assert min(moved) >= 0
            assert sum(moved) in {0, 1}


def test_everybody_is_as_likely_as_anybody_else() -> None:
    parts = company([1] * 200 + [3_000_000])
    rounds = [drawn(parts, THIRD, Digest.of(b"%d" % number)) for number in range(20)]
    alone = [sum(part.units for part in found[:-1]) for found in rounds]
    assert 0.28 < sum(alone) / (20 * 200) < 0.39
    assert all(abs(found[-1].units / 3_000_000 - 1 / 3) < 0.002 for found in rounds)


def test_who_draws_everybody_draws_nobody_out() -> None:
    parts = company([5, 0, 2])
    assert drawn(parts, Fraction(1), Digest.of(b"seed")) is parts


# --- settings, keys, the round before ---


def test_settings_that_change_between_rounds_show_without_the_conclusion(
    world, monkeypatch
) -> None:
    """The blob is public; who concluded is not. The settings have to be the first round's."""
    plans = asyncio.run(_planned(world))
    bundle = world.bundle
    bundles = {bundle.digest: bundle}
    blobs = {plan.parameters: world.desk.blobs.get(plan.parameters) for plan in plans}

    class Public(dict):
        def get(self, digest, _what):
            return self[digest]

    def carried(second: bytes) -> str:
        swapped = {**blobs, plans[1].parameters: second}
        logged = [SimpleNamespace(index=n, document=plan) for n, plan in enumerate(plans)]
        return conclusions.carried(SimpleNamespace(plans=logged), bundles, Public(swapped))

    assert "1 whose conclusions are not here" in carried(blobs[plans[1].parameters])
    walked_to = {"walked": np.array([1.0])}
    for lie in (
        state.following(b'{"zones":4}', 2, walked_to),
        state.following(b'{"zones":3}', 3, walked_to),
    ):
        with pytest.raises(AuditFailure, match="other settings"):
            carried(lie)


async def _planned(world) -> list[Plan]:
    members, judge, campaign = await gathered(world)
    await one_round(world, members, judge)
    return await plans_of(world, campaign)


@pytest.mark.parametrize(("life", "state"), [(300, "running"), (20, "failed")])
def test_no_round_is_planned_beyond_the_end_of_the_helpers_key(
    world, tmp_path, monkeypatch, life: int, state: str
) -> None:
    """Owners would pay for a round of 600 s that nobody could open any more."""
    monkeypatch.setattr(campaigns, "KEY_LIFE", timedelta(seconds=life))
    scene = Scene(world, tmp_path)

    async def story():
        await scene.found()
        began = world.clock.now()
        campaign = await world.start()
        await world.turn()
        row = (await world.view(campaign)).row
        assert row.state == state
        if state == "running":
            (plan,) = await plans_of(world, campaign)
            assert plan.deadline <= began + timedelta(seconds=life)
        else:
            assert (row.reason, "keys end" in row.why) == ("never-planned", True)

    asyncio.run(story())
