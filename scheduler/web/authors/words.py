"""Standings and obstacles in words."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.views.dossiers import Dossier, Obstacle, Prospect
from scheduler.web import words
from scheduler.web.reasons import told
from web.cells import Status, Tone
from web.sentences import Sentence, plural, say

STANDINGS: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status(
            "submitted", say("submitted, not voted yet as far as this scheduler knows"), Tone.WAIT
        ),
        Status("coming", say("voted, not yet in force"), Tone.WAIT),
        Status("authorised", say("authorised"), Tone.GOOD),
        Status("suspended", say("suspended"), Tone.BAD),
        Status("expired", say("no longer authorised"), Tone.OFF),
    )
}


def blocked(one: Dossier) -> Sentence:
    """What keeps a bundle from its next result, in one sentence."""
    why = told(one.why, one.reason) or say("no reason is known yet")
    match one.obstacle:
        case Obstacle.NO_VOTE:
            return say("It waits for the cooperative's vote: no authorisation was handed in yet.")
        case Obstacle.NOT_BEGUN:
            assert one.not_before is not None
            return say("Its authorisation begins at {moment}.", moment=one.not_before)
        case Obstacle.SUSPENDED:
            return say("The cooperative suspended it: {why}", why=one.why or why)
        case Obstacle.EXPIRED:
            return say("Its authorisation has expired: only a new vote lets it run again.")
        case Obstacle.USED_UP:
            return plural(
                "The one campaign that was voted has been started: more need a new vote.",
                "All {number} campaigns that were voted have been started: more need a new vote.",
                one.campaigns,
            )
        case Obstacle.WAITS:
            return say("Its newest campaign: {why}", why=why)
        case Obstacle.FAILED:
            return say("Its newest campaign ended without a release: {why}", why=why)
        case Obstacle.NOT_STARTED:
            return say("Nobody has started a campaign yet: ask an operator.")
        case Obstacle.NONE:
            state = words.CAMPAIGNS[one.state].word
            return say("Nothing: its newest campaign is {state}.", state=state)


def foreseen(one: Prospect) -> Sentence:
    """Whether a campaign could begin now."""
    if not one.reason:
        return say("A campaign that is started now can begin at once.")
    why = told(one.why, one.reason) or say("no reason is known yet")
    return say("A campaign that is started now would wait: {why}", why=why)
