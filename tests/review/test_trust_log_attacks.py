"""Attacks on the verifying half of the log."""

from __future__ import annotations

import pytest

from trust.errors import Malformed
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.tiles import Tile

pytestmark = pytest.mark.base

KEY = PrivateKey(bytes(32))


def test_a_log_cannot_be_its_own_witness() -> None:
    text = (
        f"log {LogKey('log.example', KEY.public)}\n"
        f"witness w {CosignerKey('w.example', KEY.public)}\nquorum w\n"
    )
    with pytest.raises(Malformed, match="repeats the key"):
        Policy.parse(text.encode())
    log, witness, quorum = text.splitlines(keepends=True)
    with pytest.raises(Malformed, match="repeats the key"):
        Policy.parse((witness + log + quorum).encode())


@pytest.mark.parametrize("width", ["257", "999"])
def test_a_tile_is_never_wider_than_a_full_one(width: str) -> None:
    with pytest.raises(Malformed):
        Tile.parse(f"tile/0/000.p/{width}")
