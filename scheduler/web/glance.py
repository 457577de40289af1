"""From read models to what pages show: cells, alerts and charts; no route and no query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from scheduler.views.alerts import AlertKind
from scheduler.views.health import Health
from scheduler.views.lateness import SHOWN, LateUnit
from scheduler.views.runs import Run, RunDetail
from scheduler.views.stages import Stage
from scheduler.views.units import Try, UnitDetail, Work
from scheduler.web import stages, words
from scheduler.web.reasons import told
from scheduler.web.resources.alert_words import Told
from scheduler.web.tables import campaign_ident, unit_ident, worker_ident
from web import charts
from web.cells import Cell, Exact, Ident, Link, Status, Tone
from web.charts import Chart, Group, Lane, Span
from web.sentences import Sentence, plural, say
from web.speech import Speech

WELL = Status("well", say("in order"), Tone.GOOD)
LOOK = Status("look", say("needs a look"), Tone.WARN)
BAD = Status("bad", say("needs you now"), Tone.BAD)
Rows = Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Glance:
    """The first page: one verdict, tiles, and the lines behind each number."""

    verdict: Status
    verdict_says: Sentence | None  # what neither `troubles` nor `calls` tells already
    troubles: Sequence[tuple[Sentence, Sentence]]
    late: Rows
    moving: Rows
    failed: Rows
    health: Health
    more_late: bool
    calls: Sequence[Told]  # alerts

    @property
    def workers_state(self) -> Status:
        """How the workers' tile feels: as the worst of them."""
        if self.health.lost:
            return words.WORKERS["lost"]
        return words.WORKERS["late" if self.health.late else "fresh"]


def glance(found: Health, calls: Sequence[Told] = ()) -> Glance:
    """What the first page shows."""
    return Glance(
        verdict=_verdict(found, calls),
        verdict_says=_verdict_says(found, calls),
        troubles=[words.trouble(one) for one in found.troubles],
        late=late_rows(found.late_units),
        moving=[_run_row(row) for row in found.moving[:SHOWN]],
        failed=[_run_row(row) for row in found.failed[:SHOWN]],
        health=found,
        more_late=found.late_count > SHOWN,
        calls=calls,
    )


def late_rows(found: Sequence[LateUnit], *, campaign: bool = True) -> Rows:
    """Late units, each with what is known about why; and whose it is, unless the page says so."""
    return [
        [
            unit_ident(one.work.unit),
            words.UNITS[one.work.state],
            words.late_because(one),
            told(one.work.why, one.work.reason),
            stages.plan_link(one.plan),
            one.work.deadline,
            *([campaign_ident(one.work.campaign)] if campaign else []),
        ]
        for one in found[:SHOWN]
    ]


def _verdict(found: Health, calls: Sequence[Told]) -> Status:
    if found.troubles or found.lost or any(one.status.tone is Tone.BAD for one in calls):
        return BAD
    return WELL if found.well and not calls else LOOK


def _verdict_says(found: Health, calls: Sequence[Told]) -> Sentence | None:
    if found.well and not calls:
        return say("Every worker is here, nothing is late, nothing failed in 24 hours.")
    told_lost = any(one.alert.kind is AlertKind.WORKER_LOST for one in calls)
    parts = [
        part
        for part, number in (
            (
                plural("{number} worker lost", "{number} workers lost", found.lost),
                0 if told_lost else found.lost,
            ),
            (
                plural("{number} unit late", "{number} units late", found.late_count),
                found.late_count,
            ),
            (
                plural("{number} campaign failed in 24 hours",
                       "{number} campaigns failed in 24 hours", found.failed_count),
                found.failed_count,
            ),
        )
        if number
    ]  # fmt: skip
    said = parts[0] if parts else None
    for part in parts[1:]:
        said = say("{first}, {second}", first=said or "", second=part)
    return said


def _run_row(row: Run) -> list[Cell]:
    return [
        Link(f"/campaigns/{row.campaign}", row.title),
        words.CAMPAIGNS[row.state],
        told(row.why, row.reason) or say("It moves."),
        row.waits_since,
    ]


def run_facts(found: RunDetail) -> list[tuple[Sentence, Cell]]:
    """A campaign's facts."""
    run = found.run
    return [
        (say("State"), words.CAMPAIGNS[run.state]),
        (say("Why"), told(run.why, run.reason)),
        (say("Since"), run.waits_since),
        (say("Round"), say("{number} of {most} at most", number=run.round, most=run.rounds)),
        (say("Started"), run.created_at),
        (say("Last change"), run.updated_at),
        (say("Campaign"), Ident(run.campaign)),
        (say("Bundle"), Ident(run.bundle, f"/bundles/{run.bundle[7:]}")),
        (say("Authorisation"), Ident(found.authorisation)),
        (say("Started by"), Ident(run.started_by) if run.started_by else None),
        (say("Privacy budget as voted (zCDP)"), Exact(found.epsilon_rho)),
        (say("Release"), _release_link(run)),
        (say("Release in the log"), _proven_link(found.release_index)),
        (
            say("Energy and carbon"),
            Link(f"/energy?campaign={run.campaign}", say("by day, estimated")),
        ),
        (say("All of it in the log"), Link(f"/log?campaign={run.campaign}", say("its entries"))),
        (
            say("Evidence"),
            Link(f"/log/campaigns/{run.campaign}/evidence", say("all of it as one file")),
        ),
        (say("Proofs"), Link("/log/verify", say("where they are verified"))),
    ]


def _release_link(run: Run) -> Cell:
    if run.state != "released":
        return None
    return Link(f"/releases/{run.campaign}", say("what was released"))


def _proven_link(index: int | None) -> Cell:
    """To the entry's page, where its proof is taken away."""
    if index is None:
        return None
    return Link(f"/log/{index}", say("entry {index}, with its proof", index=index))


def stage_rows(found: RunDetail) -> Rows:
    """A campaign's rounds, the newest first."""
    return [stages.cells(stages.ROUNDS, one, _round_link(found, one)) for one in found.stages]


def _round_link(found: RunDetail, one: Stage) -> Link:
    return Link(
        f"/campaigns/{found.run.campaign}/timeline?round={one.number}",
        say("Round {number}", number=one.number),
    )


def metric_rows(found: RunDetail) -> Rows:
    """The numbers that rounds told, a row per round."""
    names = stages.names_told(found.stages)
    return [
        [say("Round {number}", number=one.number), *(one.told.get(name) for name in names)]
        for one in found.stages
        if one.told
    ]


def attempts_chart(found: RunDetail, speech: Speech) -> Chart | None:
    """The attempts of the newest round, a line per unit; None where there is none yet."""
    return lanes_chart(found.lanes, say("Attempts of the newest round"), speech)


def lanes_chart(
    lanes: Sequence[tuple[Work, tuple[Try, ...]]],
    caption: Sentence,
    speech: Speech,
    *,
    grouped: Sentence | str = "",
    group: Callable[[Work], Group | None] = lambda _: None,
) -> Chart | None:
    """The attempts of some units, a line for each; None where there is none yet."""
    drawn = [
        Lane(work.unit[:13], [_span(one) for one in tries], f"/units/{work.unit}", group(work))
        for work, tries in lanes
        if tries
    ]
    return charts.gantt("attempts", caption, drawn, speech, grouped=grouped) if drawn else None


def unit_chart(found: UnitDetail, speech: Speech) -> Chart | None:
    """The attempts of one unit, a line for each."""
    if not found.tries:
        return None
    lanes = [
        Lane(speech.text(say("attempt {number}", number=one.number)), [_span(one)])
        for one in found.tries
    ]
    return charts.gantt("attempts", say("Attempts over time"), lanes, speech)


def _span(one: Try) -> Span:
    live = one.state in {"leased", "reported"}
    # An attempt from before ends were written down ended by its lease's end at the latest.
    ended = max(one.ended_at or one.expires_at, one.leased_at + timedelta(seconds=1))
    return Span(one.leased_at, None if live else ended, words.ATTEMPTS[one.state], str(one.number))


def unit_facts(found: UnitDetail) -> list[tuple[Sentence, Cell]]:
    """A unit's facts."""
    work = found.work
    return [
        (say("State"), words.UNITS[work.state]),
        (say("Why"), told(work.why, work.reason)),
        (say("Task"), words.UNIT_KINDS[work.kind]),
        (say("Campaign"), Link(f"/campaigns/{work.campaign}", found.title or work.campaign)),
        (say("Round"), work.round),
        (say("Worker"), worker_ident(work.worker) if work.worker else say("any that can")),
        (say("Answers for it"), found.operator or None),
        (say("Attempts"), say("{used} of {most} at most", used=len(found.tries),
                              most=found.maximum_attempts)),
        (say("Deadline"), work.deadline),
        (say("Next attempt not before"), found.not_before),
        (say("Capsules, in tens"), say("{done} of {total}", done=work.done, total=work.capsules)),
        (say("Work unit"), Ident(work.unit)),
        (say("Plan"), Ident(found.plan.digest)),
    ]  # fmt: skip


def try_rows(found: UnitDetail) -> Rows:
    """A unit's attempts, the newest first."""
    return [
        [
            one.number,
            words.ATTEMPTS[one.state],
            told(one.why, one.reason),
            worker_ident(one.worker),
            one.leased_at,
            one.ended_at,
            None if one.ended_at is None else one.ended_at - one.leased_at,
        ]
        for one in reversed(found.tries)
    ]
