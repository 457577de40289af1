"""Acts, their effects and what stands in their way, in words."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.domain.allowing import Obstacle
from trust.documents.actions import Act, Means
from web.cells import Status, Tone
from web.sentences import Sentence, mark, say

ACTS: Mapping[str, Status] = {
    Act.START_CAMPAIGN: Status("start-campaign", say("campaign started"), Tone.GOOD),
    Act.CANCEL_CAMPAIGN: Status("cancel-campaign", say("campaign cancelled"), Tone.OFF),
    Act.RETRY_UNIT: Status("retry-unit", say("work unit tried again"), Tone.BUSY),
    Act.DRAIN_WORKER: Status("drain-worker", say("worker drained"), Tone.WAIT),
    Act.RESUME_WORKER: Status("resume-worker", say("worker let to work again"), Tone.GOOD),
    Act.EXCLUDE_WORKER: Status("exclude-worker", say("worker excluded"), Tone.BAD),
}
VERBS: Mapping[str, str] = {
    Act.START_CAMPAIGN: mark("Start a campaign"),
    Act.CANCEL_CAMPAIGN: mark("Cancel the campaign"),
    Act.RETRY_UNIT: mark("Try the work unit again"),
    Act.DRAIN_WORKER: mark("Drain the worker"),
    Act.RESUME_WORKER: mark("Let the worker work again"),
    Act.EXCLUDE_WORKER: mark("Exclude the worker for good"),
}
GRAVE = frozenset({Act.CANCEL_CAMPAIGN, Act.EXCLUDE_WORKER})  # what nobody can undo
EFFECTS: Mapping[str, str] = {
    Act.START_CAMPAIGN: mark(
        "A campaign of this algorithm begins. It uses up one of those that the college allowed, "
        "and what capsules are charged for it is never given back."
    ),
    Act.CANCEL_CAMPAIGN: mark(
        "The campaign ends without a release: leases end, reports that are under way are refused, "
        "and no batch is opened any more. What capsules were charged stays charged. This cannot "
        "be undone."
    ),
    Act.RETRY_UNIT: mark(
        "The unit may be taken once more, at once. No capsule pays again: its worker hands in what "
        "it has made, or makes it for the first time."
    ),
    Act.DRAIN_WORKER: mark(
        "The worker takes nothing new and finishes what it has. Units that only it can do wait "
        "until it works again, at most until their deadline. This can be undone."
    ),
    Act.RESUME_WORKER: mark("The worker gets work again from its next exchange on."),
    Act.EXCLUDE_WORKER: mark(
        "The worker gets no order and no certificate from now on; its open connections end within "
        "seconds. Units that only it can do fail at their deadline. This cannot be undone."
    ),
}
MEANS: Mapping[str, str] = {
    Means.PAGE: mark("on these pages"),
    Means.PROGRAM: mark("by a program of theirs"),
    Means.CERTIFICATE: mark("on the command line, with their certificate"),
    Means.CONSOLE: mark("on the scheduler's own machine"),
}
STATES: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status("banned", say("excluded"), Tone.OFF),
        Status("drained", say("drained by an operator"), Tone.WAIT),
        Status("at-work", say("takes work"), Tone.GOOD),
    )
}
# The scheduler's own sentences, letter by letter (a test compares them).
OBSTACLES: Mapping[str, str] = {
    Obstacle.CAMPAIGN_ENDED: mark("the campaign has ended"),
    Obstacle.ALREADY_DRAINED: mark("the worker takes nothing new already"),
    Obstacle.NOT_DRAINED: mark("no operator keeps the worker from new work"),
    Obstacle.ALREADY_EXCLUDED: mark("the worker is excluded already, for good"),
    Obstacle.UNIT_CONCLUDES: mark(
        "a conclusion that failed has failed its campaign: what it reads was opened once"
    ),
    Obstacle.UNIT_SATISFIED: mark(
        "the unit is done: its report was accepted, and capsules paid for it"
    ),
    Obstacle.UNIT_CANCELLED: mark("the unit was cancelled with its round or its campaign"),
    Obstacle.UNIT_AT_WORK: mark("an attempt is alive: it reports, or its lease ends by itself"),
    Obstacle.UNIT_READY: mark("the unit is ready already: another try would change nothing"),
    Obstacle.UNIT_WAITS_FOR_LOG: mark("the unit waits until its plan is proven in the log"),
    Obstacle.BATCH_FIXED: mark("the round's batch is fixed: no report can enter it any more"),
    Obstacle.DEADLINE_PAST: mark("the unit's deadline has passed"),
    Obstacle.WORKER_EXCLUDED: mark("the unit's worker is excluded: no other one has its capsules"),
    Obstacle.WORKER_DRAINED: mark("the unit's worker takes nothing new: let it work again first"),
}


def obstacle(code: str) -> Sentence:
    """What stands in the way."""
    return Sentence(OBSTACLES[code])
