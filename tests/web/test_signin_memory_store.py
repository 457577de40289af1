"""The store in memory keeps what the ports promise."""

from __future__ import annotations

import pytest

from tests.web.signin_store_contract import SignInStoreContract
from web.signin.memory import MemoryStore
from web.signin.stores import SignInStore


class TestMemoryStore(SignInStoreContract):
    @pytest.fixture
    def store(self) -> SignInStore:
        return MemoryStore()
