"""Who somebody is to the pages, and what they may do there."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_SUBJECT = 512  # an issuer's address and its `sub`, of which OpenID Connect allows 255
LONGEST_NAME = 80


class Role(enum.StrEnum):
    """What a page or an API route asks for. None implies another: each route names all it takes."""

    OPERATOR = "operator"  # runs the grid: sees it all, starts and stops campaigns
    AUDITOR = "auditor"  # reads the log and whoever signed what; changes nothing
    AUTHOR = "author"  # follows their own bundles and runs
    VIEWER = "viewer"  # sees what operators see; changes nothing


@dataclass(frozen=True)
class Person:
    """Somebody who proved who they are.

    `subject` is unique for ever and says by whom it was given: `<issuer>#<sub>` of an identity
    provider, or `local:<id>` of an invitation. `name` is only for showing. Raises ValueError.
    """

    subject: str
    name: str
    roles: frozenset[Role]

    def __post_init__(self) -> None:
        if not 0 < len(self.subject) <= LONGEST_SUBJECT or not self.subject.isprintable():
            raise ValueError("a subject has 1 to 512 printable letters")
        if not self.name or tidy_name(self.name) != self.name:
            raise ValueError("a name has 1 to 80 printable letters")

    @property
    def local(self) -> bool:
        """Whether this machine knows them itself, without an identity provider."""
        return self.subject.startswith("local:")

    @property
    def tag(self) -> str:
        """What a log of this machine calls them: the same person has the same, nobody is named."""
        return hashlib.sha256(self.subject.encode()).hexdigest()[:12]


def tidy_name(text: str) -> str:
    """`text` as a name that can be shown: printable, on one line, not too long; may be empty."""
    kept = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(kept.split())[:LONGEST_NAME].strip()


def in_order(roles: Iterable[Role]) -> tuple[Role, ...]:
    """`roles` in the order of their declaration, each once."""
    held = set(roles)
    return tuple(role for role in Role if role in held)
