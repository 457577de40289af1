"""The one shape of every refusal in Cadastre: a reason code, a sentence, a remedy.

Each package derives its own hierarchy from `Problem`. An edge (command line, gRPC, HTTP)
maps `kind` once to its own vocabulary; nothing else ever looks at the text.
The idea of one typed error mapped once follows divviup/janus (RFC 9457 problem documents).
"""

from __future__ import annotations

import enum
from typing import ClassVar


class Kind(enum.Enum):
    """What sort of failure it is; edges map it to exit codes, gRPC and HTTP statuses."""

    INVALID = "invalid"  # the input is malformed or out of bounds: the caller must change it
    UNVERIFIED = "unverified"  # a signature, digest or proof does not hold
    REFUSED = "refused"  # well formed and authentic, but a rule says no
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"  # the state moved on: stale token, repeated report, lost race
    EXHAUSTED = "exhausted"  # a quota, a size or a budget is used up
    UNAVAILABLE = "unavailable"  # not now; asking again later is right
    INTERNAL = "internal"  # a broken invariant of our own


class Problem(Exception):
    """A refusal that a person can act on.

    `code` is stable and the same on worker, scheduler and command line; `sentence` names the
    cause, `remedy` what to do about it; `ids` name what it is about (never personal data).
    `advice` is the remedy of every refusal of its class that names no more exact one.
    """

    code: ClassVar[str] = "problem"
    kind: ClassVar[Kind] = Kind.INTERNAL
    retryable: ClassVar[bool] = False
    advice: ClassVar[str] = ""

    def __init__(self, sentence: str, *, remedy: str = "", **ids: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy or self.advice
        self.ids = ids

    def __str__(self) -> str:
        text = f"{self.sentence} [{self.code}]"
        return f"{text}\n  remedy: {self.remedy}" if self.remedy else text
