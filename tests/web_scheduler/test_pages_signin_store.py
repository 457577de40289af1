"""Sign-in on the scheduler's own database keeps what the ports promise, also over a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.meters import Meters
from scheduler.store.store import Store, open_store
from scheduler.web.signin_store import SignInTables
from tests.web.signin_store_contract import NOW, SignInStoreContract, credential, session
from trust.clock import ManualClock
from web.signin.credentials import CredentialKind
from web.signin.roles import Person, Role
from web.signin.stores import SignInStore

ROOT = Person("local:root", "Root", frozenset({Role.OPERATOR}))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "s.db", ManualClock(NOW), Meters())
    yield made
    made.close()


class TestSignInTables(SignInStoreContract):
    @pytest.fixture
    def store(self, database: Store) -> SignInStore:
        return SignInTables(database)


def test_a_restart_signs_nobody_out(tmp_path: Path) -> None:
    one, key = session(), credential()
    for turn in range(2):
        database = open_store(tmp_path / "s.db", ManualClock(NOW), Meters())
        store = SignInTables(database)
        if turn == 0:
            store.add_session(one, now=NOW, replacing=None, each=10, most=10)
            store.add_credential(key, now=NOW, each=10, most=10)
        else:
            assert store.find_session(one.id) == one
            assert store.find_credential(key.id) == key
        database.close()


def test_no_secret_and_no_token_is_in_the_database(database: Store, tmp_path: Path) -> None:
    store = SignInTables(database)
    one = session()
    store.add_session(one, now=NOW, replacing=None, each=10, most=10)
    database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert one.digest in stored
    assert b"cadastre-sign-in-v1." not in stored


def test_an_operator_can_enter_while_a_key_or_an_invitation_is_good(database: Store) -> None:
    store = SignInTables(database)
    assert not store.operator_can_enter(NOW)
    store.add_credential(credential(), now=NOW, each=9, most=9)  # a viewer's
    store.add_credential(credential(ROOT, CredentialKind.START), now=NOW, each=9, most=9)
    assert not store.operator_can_enter(NOW)
    key = credential(ROOT)
    store.add_credential(key, now=NOW, each=9, most=9)
    assert store.operator_can_enter(NOW)
    assert not store.operator_can_enter(key.expires)
    store.revoke(key.id, NOW)
    assert not store.operator_can_enter(NOW)
