from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from capsule_runtime.capsules import card, grants
from capsule_runtime.capsules.errors import CardRefused, GrantExpired, GrantRefused
from trust.documents import signed
from trust.ids import CapsuleId, WorkerId


def test_the_worker_unwraps_the_capsule_key(world: Any) -> None:
    key = world.owner()
    grant = grants.verify(world.grant(key), key.signing.public)
    assert grants.unwrap(grant, world.hpke, world.clock.now()) == key.capsule_key
    assert len(grant.wrapped) == 80


def test_nobody_else_unwraps_it(world: Any) -> None:
    key = world.owner()
    grant = grants.verify(world.grant(key), key.signing.public)
    with pytest.raises(GrantRefused, match="another worker"):
        grants.unwrap(grant, X25519PrivateKey.generate(), world.clock.now())


def test_every_field_is_bound_to_the_wrapped_key(world: Any) -> None:
    key = world.owner()
    grant = grants.verify(world.grant(key), key.signing.public)
    others: dict[str, Any] = {
        "id": grants.GrantId.draw(world.entropy),
        "territory": "elsewhere",
        "capsule": CapsuleId.draw(world.entropy),
        "worker": WorkerId.draw(world.entropy),
        "issued_at": grant.issued_at - timedelta(seconds=1),
        "expires_at": grant.expires_at + timedelta(days=1),
        "wrapped": grant.wrapped[:-1] + bytes([grant.wrapped[-1] ^ 1]),
    }
    for name, value in others.items():
        with pytest.raises(GrantRefused):
            grants.unwrap(replace(grant, **{name: value}), world.hpke, world.clock.now())


def test_a_grant_ends_on_the_second_and_survives_clock_jumps(world: Any) -> None:
    key = world.owner()
    grant = grants.verify(world.grant(key, days=1), key.signing.public)
    world.clock.advance(86_399)
    assert grants.unwrap(grant, world.hpke, world.clock.now()) == key.capsule_key
    world.clock.advance(1)
    with pytest.raises(GrantExpired):
        grants.unwrap(grant, world.hpke, world.clock.now())
    world.clock.jump(-3 * 86_400)
    with pytest.raises(GrantRefused, match="clock"):
        grants.unwrap(grant, world.hpke, world.clock.now())


def test_a_grant_by_somebody_else_is_refused(world: Any) -> None:
    key, thief = world.owner(), world.owner()
    with pytest.raises(GrantRefused):
        grants.verify(world.grant(key, owner=thief.signing), key.signing.public)
    with pytest.raises(GrantRefused):
        grants.verify(b"{}", key.signing.public)


@pytest.mark.parametrize("days", [0, -1, 32])
def test_lifetimes_out_of_bounds_are_refused(world: Any, days: int) -> None:
    with pytest.raises(GrantRefused):
        world.grant(world.owner(), days=days)


def test_a_card_speaks_only_for_the_key_that_signed_it(world: Any) -> None:
    forged = replace(world.card, worker=WorkerId.draw(world.entropy))
    with pytest.raises(CardRefused):
        card.verify_card(signed.sign(forged, [world.worker]).envelope.raw)
    with pytest.raises(CardRefused):
        card.verify_card(signed.sign(world.card, [world.owner().signing]).envelope.raw)
    short = replace(world.card, hpke=bytes(31))
    with pytest.raises(CardRefused):
        card.verify_card(signed.sign(short, [world.worker]).envelope.raw)
