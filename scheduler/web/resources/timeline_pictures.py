"""The picture of a timeline: attempts by unit, grouped by round, or a line for each round."""

from __future__ import annotations

from scheduler.views.stretches import Stretch
from scheduler.views.timeline import Timeline
from scheduler.web import glance
from scheduler.web import words as states
from web import charts
from web.charts import Chart, Group
from web.sentences import plural, say
from web.speech import Speech


def drawn(found: Timeline, speech: Speech) -> Chart | None:
    """What fits; None where nothing was tried yet."""
    if found.rounds:
        return _rounds(found, speech)
    if found.number:
        caption = say("Attempts of round {number}", number=found.number)
        return glance.lanes_chart(found.lanes, caption, speech)
    return glance.lanes_chart(
        found.lanes,
        say("All attempts of the campaign, by round"),
        speech,
        grouped=say("round"),
        group=lambda work: Group(_named(work.round, speech), _place(found, work.round)),
    )


def _rounds(found: Timeline, speech: Speech) -> Chart:
    return charts.stretches(
        "rounds",
        say("Rounds, from the first lease to the last end"),
        [_line(found, one, speech) for one in found.rounds],
        say("round"),
        speech,
        further=[say("attempts"), say("in vain")],
    )


def _line(found: Timeline, one: Stretch, speech: Speech) -> charts.Stretch:
    notes = []
    if one.attempts is not None and one.failed is not None:
        notes = [
            plural("{number} attempt", "{number} attempts", one.attempts),
            plural("{number} in vain", "{number} in vain", one.failed),
        ]
    return charts.Stretch(
        name=_named(one.number, speech),
        start=one.begun_at,
        end=one.ended_at,
        status=states.ROUNDS[one.state],
        notes=notes,
        href=_place(found, one.number),
        cells=[one.attempts, one.failed],
    )


def _named(number: int, speech: Speech) -> str:
    return speech.text(say("Round {number}", number=number))


def _place(found: Timeline, number: int) -> str:
    return f"/campaigns/{found.run.campaign}/timeline?round={number}"
