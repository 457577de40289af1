"""Where a commit can be made to fail, for tests of what is true then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Faults(Protocol):
    """Where tests make a commit fail: before it is stored, or after."""

    def before_commit(self, names: Sequence[str]) -> None: ...
    def after_commit(self, names: Sequence[str]) -> None: ...


class NoFaults:
    """Nothing is made to fail."""

    def before_commit(self, names: Sequence[str]) -> None:
        del names

    def after_commit(self, names: Sequence[str]) -> None:
        del names
