"""The helper's masks are of the profile that the keyholder certified for the planned epoch."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from custody_world import Story, World

from governance.batches.errors import HistoryUnreadable, PlanMismatch
from governance.helper.profiles import profile_of
from protection.ckks.profile import SOMME
from trust.documents import signed
from trust.documents.campaign import Plan
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.entropy import seeded
from trust.ids import CampaignId, Digest


class Case:
    """A plan with its vote, and what the log's site gives."""

    def __init__(self, world: World) -> None:
        self.world, self.story = world, Story(world, world.keyholder())
        root = world.territory.root
        self.plan = root.verify(Plan, self.story.plan.envelope, Duty.ORDERS).document
        self.vote = root.verify(Authorisation, world.authorisation.envelope, Duty.COLLEGE).document

    def profile(self, plan: Plan, vote: Authorisation | None = None, *objects: bytes) -> Any:
        shown = {Digest.of(raw): raw for raw in objects}
        office: Any = SimpleNamespace(root=self.world.territory.root, bundle=shown.get)
        return profile_of(office, plan, vote or self.vote)

    def certificate(self, key: Any, **changes: Any) -> bytes:
        return signed.sign(replace(self.story.document, **changes), [key]).envelope.raw


def test_it_is_the_certified_one(world: World) -> None:
    case = Case(world)
    assert case.profile(case.plan, None, case.story.key) is SOMME


def test_none_where_shares_are_summed(world: World) -> None:
    case = Case(world)
    rules = tuple(replace(rule, protection=Protection.SHARED) for rule in case.vote.rules)
    shared = replace(case.vote, rules=rules)
    assert case.profile(replace(case.plan, epoch=None), shared) is None
    with pytest.raises(PlanMismatch):
        case.profile(case.plan, shared, case.story.key)


def test_a_plan_without_an_epoch(world: World) -> None:
    case = Case(world)
    with pytest.raises(PlanMismatch):
        case.profile(replace(case.plan, epoch=None))


def test_a_certificate_that_is_not_shown_is_waited_for(world: World) -> None:
    case = Case(world)
    with pytest.raises(HistoryUnreadable):
        case.profile(case.plan)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"campaign": CampaignId.draw(seeded(b"other"))},
        {"bundle": Digest.of(b"other")},
        {"territory": "elsewhere.example"},
        {"profile": "unheard-of"},
    ],
)
def test_a_certificate_of_something_else(world: World, changes: dict[str, Any]) -> None:
    case = Case(world)
    territory: Any = world.territory
    # Without a change it is signed by the leader, who could choose the masks then.
    key = territory.keyholder_key if changes else territory.orders_key
    raw = case.certificate(key, **changes)
    with pytest.raises(PlanMismatch):
        case.profile(replace(case.plan, epoch=Digest.of(raw)), None, raw)
