"""From the authors' read models to what pages show: facts and rows; no route and no query."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.views.dossiers import DossierDetail
from scheduler.views.own_runs import OwnRun, OwnRunDetail
from scheduler.views.releases import Provenance
from scheduler.web import stages, words
from scheduler.web.authors.tables import bundle_ident, release_link, run_ident
from scheduler.web.authors.words import STANDINGS
from scheduler.web.reasons import told
from web.cells import Cell, Exact, Ident, Link
from web.sentences import Sentence, say

Facts = list[tuple[Sentence, Cell]]
Rows = list[list[Cell]]


def of_dossier(found: DossierDetail) -> Facts:
    """A bundle's facts."""
    one = found.dossier
    facts: Facts = [
        (say("Dossier"), STANDINGS[one.standing]),
        (say("Bundle"), Ident(one.bundle)),
        (say("Author's key"), Ident(one.author)),
        (say("Submitted"), one.submitted_at),
    ]
    if one.authorisation:
        facts += [
            (say("Voted as"), one.title),
            (say("Purpose"), found.purpose),
            (say("Authorisation"), Ident(one.authorisation)),
            (say("Authorised from"), one.not_before),
            (say("Authorised until"), one.not_after),
            (
                say("Campaigns"),
                say("{used} of {most}", used=one.started, most=one.campaigns),
            ),
            (say("The vote in the log"), entry_link(found.entry)),
        ]
    if found.rho:
        facts += [
            (say("Libraries"), ", ".join(found.libraries)),
            (say("Privacy cost of a campaign (zCDP)"), Exact(found.rho)),
            (say("The same as epsilon, at delta 10⁻⁶"), found.epsilon),
            (say("Budget of all its campaigns (zCDP)"), Exact(found.rho_budget)),
        ]
    return facts


def of_run(found: OwnRunDetail) -> Facts:
    """A campaign's facts."""
    run = found.run
    return [
        (say("State"), words.CAMPAIGNS[run.state]),
        (say("Why"), told(run.why, run.reason)),
        (say("Release"), release_link(run)),
        (say("Round"), say("{number} of {most} at most", number=run.round, most=run.rounds)),
        (say("Started"), run.created_at),
        (say("Last change"), run.updated_at),
        (say("Campaign"), Ident(run.campaign)),
        (say("Bundle"), bundle_ident(run.bundle)),
        (say("Authorisation"), Ident(found.authorisation)),
        (say("Privacy cost as voted (zCDP)"), Exact(found.rho)),
        (say("Release in the log"), entry_link(found.release_index)),
    ]


def of_release(source: Provenance) -> Facts:
    """Where a release comes from and what it cost."""
    stamp = source.stamp
    covered: Cell = None
    if stamp.size is not None:
        covered = say("checkpoint of {size} entries", size=stamp.size)
    return [
        (say("Territory"), source.territory),
        (say("Campaign"), run_ident(source.campaign)),
        (say("Bundle"), bundle_ident(source.bundle)),
        (say("Name and version"), f"{source.name} {source.version}"),
        (say("Authorisation"), Ident(source.authorisation)),
        (say("Released"), source.released_at),
        (
            say("Privacy spent, of each {unit} (zCDP)", unit=_unit(source.unit)),
            Exact(source.rho),
        ),
        (say("The same as epsilon, at delta 10⁻⁶"), source.epsilon),
        (say("Contributions, in tens"), source.contributions_rounded),
        (
            say("Rounds"),
            say("{number} of {most} at most", number=source.rounds, most=source.rounds_voted),
        ),
        (say("Release in the log"), entry_link(stamp.index)),
        (say("Covered by"), covered),
        (say("Root of the log's tree"), Ident(stamp.root) if stamp.root else None),
        (say("Report"), Ident(source.report)),
    ]


def run_rows(found: Sequence[OwnRun]) -> Rows:
    """A bundle's campaigns, the newest first."""
    return [
        [
            run_ident(run.campaign),
            words.CAMPAIGNS[run.state],
            told(run.why, run.reason),
            run.created_at,
            release_link(run),
        ]
        for run in found
    ]


def stage_rows(found: OwnRunDetail) -> Rows:
    """A campaign's rounds, the newest first."""
    return [
        stages.cells(stages.OWN_ROUNDS, one, say("Round {number}", number=one.number))
        for one in found.stages
    ]


def image_rows(found: DossierDetail) -> Rows:
    """The runtime images that the vote permits."""
    return [[Ident(image)] for image in found.images]


def entry_link(index: int | None) -> Cell:
    """The way to an entry of the log."""
    if index is None:
        return say("not in the log yet")
    return Link(f"/log/{index}", say("entry {index}", index=index))


def _unit(unit: str) -> Sentence:
    return say("person") if unit == "person" else say("owner")
