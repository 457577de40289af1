"""What operators do with the grid by hand: one signed entry of the log for each deed."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.ids import AccountId, ActionId, CampaignId, Digest, UnitId, WorkerId

MAXIMUM_REASON = 200  # letters
SALT_BYTES = 32
_SEALS = b"cadastre/v1 reason of an operator's action\0"


class Act(enum.StrEnum):
    """What was done."""

    START_CAMPAIGN = "start-campaign"
    CANCEL_CAMPAIGN = "cancel-campaign"
    RETRY_UNIT = "retry-unit"
    DRAIN_WORKER = "drain-worker"
    RESUME_WORKER = "resume-worker"
    EXCLUDE_WORKER = "exclude-worker"

    @property
    def about_worker(self) -> bool:
        """Whether it is done to a worker, which is somebody's."""
        return self.value.endswith("-worker")


class Means(enum.StrEnum):
    """How the scheduler was asked."""

    PAGE = "page"  # a person, signed in to the pages
    PROGRAM = "program"  # a program, with a token that a person made for it
    CERTIFICATE = "certificate"  # the command line, with an operator's certificate
    CONSOLE = "console"  # a command on the scheduler's own machine


class ActingRole(enum.StrEnum):
    """In which role somebody acts. Nobody else may."""

    OPERATOR = "operator"


@dataclass(frozen=True)
class OperatorAction:
    """The scheduler says that an operator did this; the deed and this entry are one transaction.

    `campaign`, `unit`, `worker` and `bundle` are what it was done to: those that belong to the
    act, and no others (`flaw`). A deed about a campaign or a unit says its `reason`. One about a
    worker, which has a keeper, only binds itself to it: `sealed` is `seal(salt, reason)`.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.operator-action.v1+json"

    id: ActionId
    territory: str
    act: Act
    campaign: CampaignId | None
    unit: UnitId | None
    worker: WorkerId | None
    bundle: Digest | None
    reason: str
    sealed: Digest | None
    actor: AccountId
    role: ActingRole
    means: Means
    acted_at: datetime


_SUBJECTS: dict[Act, frozenset[str]] = {
    Act.START_CAMPAIGN: frozenset({"campaign", "bundle"}),
    Act.CANCEL_CAMPAIGN: frozenset({"campaign"}),
    Act.RETRY_UNIT: frozenset({"campaign", "unit"}),
    Act.DRAIN_WORKER: frozenset({"worker"}),
    Act.RESUME_WORKER: frozenset({"worker"}),
    Act.EXCLUDE_WORKER: frozenset({"worker"}),
}


def seal(salt: bytes, reason: str) -> Digest:
    """What binds a deed to its reason without telling it; `salt` are 32 random bytes."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes")
    return Digest.from_bytes(hashlib.sha256(_SEALS + salt + reason.encode()).digest())


def tidy_reason(text: str) -> str:
    """`text` as a reason may be written: printable, on one line; "" for nothing.

    What turns the direction of writing or hides letters is not printable. It is not cut: one of
    over MAXIMUM_REASON letters is for its writer to shorten.
    """
    kept = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(kept.split())


def flaw(action: OperatorAction) -> str:
    """What is wrong with the form of `action`, as part of a sentence; "" where nothing is."""
    named = {
        name
        for name in ("campaign", "unit", "worker", "bundle")
        if getattr(action, name) is not None
    }
    if named != _SUBJECTS[action.act]:
        return f"{action.act.value} names {', '.join(sorted(named)) or 'nothing'}"
    if len(action.reason) > MAXIMUM_REASON or action.reason != tidy_reason(action.reason):
        return "its reason is too long, or holds what cannot be shown"
    if action.act.about_worker:
        if action.reason or action.sealed is None:
            return "a deed about a worker tells its reason, or is bound to none"
    elif action.sealed is not None:
        return "a deed about a campaign seals its reason"
    elif not action.reason and action.act is not Act.START_CAMPAIGN:
        return "it has no reason"
    return ""
