"""Which actions a page offers beside what it shows; the form says what stands in their way."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.web.actions.words import VERBS
from trust.documents.actions import Act
from web.sentences import Sentence

Offered = Sequence[tuple[str, Sentence]]  # the form's address, and what it does
START: Offered = [("/actions/start-campaign", Sentence(VERBS[Act.START_CAMPAIGN]))]
_MOVING = frozenset({"draft", "running", "concluding"})
_RETRIED = frozenset({"failed", "waiting"})


def for_campaign(campaign: str, state: str) -> Offered:
    """What may be done to a campaign."""
    return [_way(Act.CANCEL_CAMPAIGN, campaign)] if state in _MOVING else []


def for_unit(unit: str, state: str, kind: str) -> Offered:
    """What may be done to a work unit."""
    return [_way(Act.RETRY_UNIT, unit)] if state in _RETRIED and kind == "contribute" else []


def for_worker(worker: str, *, excluded: bool, drained: bool) -> Offered:
    """What may be done to a worker."""
    if excluded:
        return []
    turn = Act.RESUME_WORKER if drained else Act.DRAIN_WORKER
    return [_way(turn, worker), _way(Act.EXCLUDE_WORKER, worker)]


def _way(act: Act, subject: str) -> tuple[str, Sentence]:
    return f"/actions/{act.value}/{subject}", Sentence(VERBS[act])
