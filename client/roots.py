"""Which of the territory's roots was in force where a document stands in the log.

What a key signed before its successor was logged counts for ever, what it signs afterwards never:
the order of the log decides, as it does in an audit.
"""

from __future__ import annotations

from dataclasses import dataclass

from client import proofs
from client.session import Session
from trust.errors import LogRefused
from trust.log.entry import Kind
from trust.problem import Kind as Why
from trust.root import TrustedRoot
from wire.status import RemoteProblem


@dataclass(frozen=True)
class Roots:
    """The territory's roots, oldest first, each with the place from which it is in force."""

    places: tuple[tuple[int, TrustedRoot], ...]

    def at(self, index: int) -> TrustedRoot:
        """The root in force at a place of the log."""
        return next(root for place, root in reversed(self.places) if place <= index)


async def in_force(session: Session) -> Roots:
    """The roots that this terminal knows, placed by the log's own proofs.

    Raises LogRefused where the log does not hold them in their order, or as `proofs.prove`.
    """
    first, *later = session.identity.roots
    places = [(0, first)]  # the log begins with it
    for root in later:
        version = root.document.version
        try:
            found = await proofs.prove(session, root.digest)
        except RemoteProblem as refused:
            if refused.kind is not Why.NOT_FOUND:
                raise
            raise LogRefused(
                f"the territory root version {version} is not in the log, so nothing tells when "
                "the keys before it ended",
                remedy="the scheduler logs a root when it starts with it: ask its operator",
            ) from refused
        if found.kind is not Kind.ROOT or found.index <= places[-1][0]:
            raise LogRefused(
                f"the log holds the territory root version {version} as a {found.kind.value} at "
                f"{found.index}, not after the root before it",
                remedy="show it to an auditor: the log's order is not that of the roots",
            )
        places.append((found.index, root))
    return Roots(tuple(places))
