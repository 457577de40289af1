"""Whose streams they are: nobody takes the places, or the work, that all share.

A stream costs little beside others of its fragment, and a rendering each second where it is the
first. So whoever may see ten thousand campaigns follows a few of them at a time, and leaves places
to the others however many windows they open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from web.errors import TooManyReaders

# A control room's wall signs in as one person; everybody together has 500.
STREAMS_EACH = 300
FRAGMENTS_EACH = 20


class Places:
    """What each visitor holds; "" is nobody in particular, who is not counted."""

    def __init__(self) -> None:
        self._held: dict[str, Counter[Hashable]] = {}

    def take(self, who: str, fragment: Hashable) -> None:
        """One more stream of `fragment` for `who`. Raises TooManyReaders."""
        if not who:
            return
        held = self._held.get(who, Counter())
        if held.total() >= STREAMS_EACH:
            raise TooManyReaders
        if fragment not in held and len(held) >= FRAGMENTS_EACH:
            raise TooManyReaders
        held[fragment] += 1
        self._held[who] = held

    def give_back(self, who: str, fragment: Hashable) -> None:
        """The stream has ended."""
        held = self._held.get(who)
        if held is None:
            return
        held[fragment] -= 1
        if not held[fragment]:
            del held[fragment]
        if not held:
            del self._held[who]
