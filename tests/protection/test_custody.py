from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protection import custody
from protection.ckks import scheme
from protection.ckks.profile import SOMME
from protection.custody import CustodyRefused, EntrustedKey, KeyEpoch, KeyEpochId, Leg
from protection.shamir import Share, ShareInvalid, SharesMissing, SharingRefused
from tests.protection.ckks_world import ENTROPY, decryptor, encryptor, keys
from trust.entropy import seeded

KEY = bytes(range(256)) * 240  # as long as a CKKS secret key
EPOCH = KeyEpoch("hauts-de-x", KeyEpochId.draw(ENTROPY), "somme")
NAMES = ("dpo", "board", "residents", "companies", "outside")
HOLDERS = {name: X25519PrivateKey.from_private_bytes(seeded(name.encode())(32)) for name in NAMES}
PUBLIC = {name: key.public_key() for name, key in HOLDERS.items()}


def entrusted(secret: bytes = KEY, epoch: KeyEpoch = EPOCH) -> EntrustedKey:
    return custody.entrust(secret, epoch, PUBLIC, ENTROPY)


def share_of(kept: EntrustedKey, name: str) -> Share:
    place = kept.trustees.index(name)
    return custody.open_share(
        kept.sealed[place], kept.epoch, kept.dealing, HOLDERS[name], trustee=name, leg=Leg.ENTRUSTED
    )


def test_any_three_of_five_trustees_bring_the_key_back() -> None:
    kept = entrusted()
    assert all(len(sealed) == custody.SEALED_SHARE_BYTES for sealed in kept.sealed)
    for three in itertools.combinations(NAMES, 3):
        assert custody.recover(kept, [share_of(kept, name) for name in three]) == KEY
    with pytest.raises(SharesMissing):
        custody.recover(kept, [share_of(kept, name) for name in NAMES[:2]])


def test_shares_travel_back_sealed_to_the_keyholder() -> None:
    kept, keyholder = entrusted(), X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    back = []
    for name in NAMES[2:]:
        sealed = custody.seal_share(
            share_of(kept, name), EPOCH, kept.dealing, keyholder.public_key(),
            trustee=name, leg=Leg.CONTRIBUTED,
        )  # fmt: skip
        back.append(
            custody.open_share(
                sealed, EPOCH, kept.dealing, keyholder, trustee=name, leg=Leg.CONTRIBUTED
            )
        )
        with pytest.raises(CustodyRefused):
            custody.open_share(
                sealed, EPOCH, kept.dealing, keyholder, trustee=name, leg=Leg.ENTRUSTED
            )
    assert custody.recover(kept, back) == KEY


def test_a_sealed_share_opens_for_its_trustee_epoch_rule_and_leg_only() -> None:
    kept = entrusted()
    sealed = kept.sealed[0]
    elsewhere = dataclasses.replace(EPOCH, territory="elsewhere")
    later = dataclasses.replace(EPOCH, epoch=KeyEpochId.draw(ENTROPY))
    wider = dataclasses.replace(kept.dealing, threshold=2)
    dpo, board = HOLDERS["dpo"], HOLDERS["board"]
    leg = Leg.ENTRUSTED
    for raw, epoch, dealing, key, name in (
        (sealed, elsewhere, kept.dealing, dpo, "dpo"),
        (sealed, later, kept.dealing, dpo, "dpo"),
        (sealed, EPOCH, wider, dpo, "dpo"),
        (sealed, EPOCH, entrusted().dealing, dpo, "dpo"),
        (sealed, EPOCH, kept.dealing, board, "dpo"),
        (sealed, EPOCH, kept.dealing, dpo, "board"),
        (sealed[:-1], EPOCH, kept.dealing, dpo, "dpo"),
        (b"", EPOCH, kept.dealing, dpo, "dpo"),
        (bytes(custody.SEALED_SHARE_BYTES), EPOCH, kept.dealing, dpo, "dpo"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), EPOCH, kept.dealing, dpo, "dpo"),
    ):
        with pytest.raises(CustodyRefused):
            custody.open_share(raw, epoch, dealing, key, trustee=name, leg=leg)


def test_a_trustee_who_sends_another_share_is_named() -> None:
    kept = entrusted()
    wrong = Share(2, bytes(32))
    sealed = custody.seal_share(
        wrong, EPOCH, kept.dealing, PUBLIC["dpo"], trustee="dpo", leg=Leg.CONTRIBUTED
    )
    with pytest.raises(ShareInvalid) as invalid:
        custody.open_share(
            sealed, EPOCH, kept.dealing, HOLDERS["dpo"], trustee="dpo", leg=Leg.CONTRIBUTED
        )
    assert invalid.value.ids == {"share": "2"}


def test_an_altered_wrapped_key_does_not_open() -> None:
    kept = entrusted()
    shares = [share_of(kept, name) for name in NAMES[:3]]
    wrapped = kept.wrapped
    later = dataclasses.replace(EPOCH, epoch=KeyEpochId.draw(ENTROPY))
    for changed in (
        dataclasses.replace(kept, wrapped=wrapped[:-1]),
        dataclasses.replace(kept, wrapped=wrapped[:40] + b"\0" + wrapped[41:]),
        dataclasses.replace(kept, wrapped=bytes([wrapped[0] ^ 1]) + wrapped[1:]),
        dataclasses.replace(kept, wrapped=b""),
        dataclasses.replace(kept, wrapped=bytes(2 << 20)),
        dataclasses.replace(kept, wrapped=entrusted().wrapped),
        dataclasses.replace(kept, epoch=later),
    ):
        with pytest.raises(CustodyRefused):
            custody.recover(changed, shares)


def test_keys_and_trustees_that_make_no_custody_are_refused() -> None:
    with pytest.raises(CustodyRefused, match="same key"):
        custody.entrust(KEY, EPOCH, {**PUBLIC, "twice": PUBLIC["dpo"]}, ENTROPY)
    for secret in (b"", bytes(2 << 20)):
        with pytest.raises(CustodyRefused):
            entrusted(secret)
    few: dict[str, X25519PublicKey] = {name: PUBLIC[name] for name in NAMES[:2]}
    with pytest.raises(SharingRefused):
        custody.entrust(KEY, EPOCH, few, ENTROPY)
    low_order = X25519PublicKey.from_public_bytes(bytes(32))
    with pytest.raises(CustodyRefused, match="X25519"):
        custody.entrust(KEY, EPOCH, {**PUBLIC, "low": low_order}, ENTROPY)


def test_names_that_run_into_each_other_give_different_contexts() -> None:
    one = KeyEpoch("ab", EPOCH.epoch, "c")
    two = KeyEpoch("a", EPOCH.epoch, "bc")
    assert one.context != two.context


def test_neither_wrapped_key_nor_shares_show_in_text() -> None:
    kept = entrusted()
    assert repr(kept.wrapped[20:60])[2:-1] not in repr(kept)
    assert kept.epoch.epoch in repr(kept)


def test_a_real_ckks_key_comes_back_from_its_trustees_and_decrypts() -> None:
    kept = entrusted(keys().secret)
    shares = [share_of(kept, name) for name in NAMES[1:4]]
    again = scheme.Decryptor(SOMME, custody.recover(kept, shares))
    one = encryptor().encrypt(np.ones(SOMME.slots))
    np.testing.assert_array_equal(again.decrypt(one).real, decryptor().decrypt(one).real)
