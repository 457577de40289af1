"""An auditor follows a campaign from round to round, and finds one that starts elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from audit.evidence import EvidenceFolder
from audit.replay import audit
from jobs import state
from scheduler.service import concluding, outbox, planning
from tests.scheduler.test_evidence import export
from tests.scheduler.test_following import gathered, one_round
from trust.certificates import Role
from trust.documents.campaign import Plan
from trust.log.entry import Kind


async def founded(world):
    await world.desk.run(
        "log-root", lambda tx: outbox.publish_raw(tx, world.desk, Kind.ROOT, world.root_envelope)
    )


def audited(world, folder, role=Role.AUDITOR):
    asyncio.run(export(world, folder, role))
    return audit(EvidenceFolder(folder))


def line_of(verdict, check):
    (line,) = [line for line in verdict.journal.lines if line.check == check]
    return line


async def walked(world, rounds):
    await founded(world)
    members, judge, campaign = await gathered(world)
    for _ in range(rounds):
        await one_round(world, members, judge)
    return campaign


def test_a_campaign_of_three_rounds_passes_the_audit(world, tmp_path):
    asyncio.run(walked(world, 3))
    verdict = audited(world, tmp_path / "evidence")
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]
    assert line_of(verdict, "plan.carried").found.startswith("2 rounds start with the state")
    public = audited(world, tmp_path / "public", Role.OPERATOR)
    assert public.ok, [line for line in public.journal.lines if not line.ok]
    assert line_of(public, "plan.carried").found.startswith("2 rounds start with the state")


def test_a_campaign_that_stopped_early_passes_at_the_price_of_its_rounds(world, tmp_path):
    world.enough = 2
    asyncio.run(walked(world, 2))
    verdict = audited(world, tmp_path / "evidence")
    assert verdict.ok, [line for line in verdict.journal.lines if not line.ok]


@pytest.mark.parametrize("lie", ["state", "settings", "after"])
def test_a_round_that_starts_with_something_else_is_found(world, tmp_path, monkeypatch, lie):
    honest = state.following

    def swapped(settings, number, arrays):
        if number == 1:
            return honest(settings, number, arrays)
        if lie == "state":
            arrays = {"walked": arrays["walked"] + 1}
        return honest(b'{"zones":4}' if lie == "settings" else settings, number, arrays)

    def unlinked(**fields):
        return Plan(**{**fields, "after": None})

    if lie == "after":
        monkeypatch.setattr(planning, "Plan", unlinked)
    else:
        monkeypatch.setattr(concluding.state, "following", swapped)
    asyncio.run(walked(world, 3))
    monkeypatch.undo()
    verdict = audited(world, tmp_path / "evidence")
    assert not line_of(verdict, "plan.carried").ok


def test_a_release_that_says_another_price_is_found(world, tmp_path, monkeypatch):
    from scheduler.service import release

    honest = release.Release
    monkeypatch.setattr(release, "Release", lambda **fields: honest(**{**fields, "rho": "0.05"}))
    asyncio.run(walked(world, 3))
    monkeypatch.undo()
    verdict = audited(world, tmp_path / "evidence")
    assert not line_of(verdict, "release.provenance").ok
