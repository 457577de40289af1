"""An author's bundles: where each stands with the cooperative, and the one thing that blocks it.

For authors, so counts of consents are in tens and foreign words are left out (`discretion`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, func, select

from protection import accounting
from scheduler.domain.discretion import discreet
from scheduler.domain.planning import plan_round
from scheduler.domain.reasons import Reason
from scheduler.domain.states import FINAL_CAMPAIGN, CampaignState
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts, facts_of
from scheduler.service.planning import worker_facts
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, BundleRow, CampaignRow, LogRow
from scheduler.views.own_runs import OwnRun, run_lines
from scheduler.views.reach import Reach, bundle_within, page
from scheduler.views.slices import Slice
from trust.errors import TrustError
from trust.log.entry import Kind

RUNS_SHOWN = 20
_COLUMNS = ("submitted_at", "digest")


class Standing(enum.StrEnum):
    """Where a bundle stands with the cooperative."""

    SUBMITTED = "submitted"  # it lies here; the college has not voted, or not yet handed it in
    COMING = "coming"  # authorised from a moment on that has not come
    AUTHORISED = "authorised"
    SUSPENDED = "suspended"
    EXPIRED = "expired"


class Obstacle(enum.StrEnum):
    """The one thing that keeps a bundle from its next result."""

    NO_VOTE = "no-vote"
    NOT_BEGUN = "not-begun"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    USED_UP = "used-up"  # every campaign that was voted has been started
    WAITS = "waits"  # the newest campaign waits for something
    FAILED = "failed"  # the newest campaign failed or was cancelled
    NOT_STARTED = "not-started"  # an operator may start one
    NONE = "none"


@dataclass(frozen=True)
class Dossier:
    """A bundle's line. `reason` and `why` say more where the obstacle has a cause of its own."""

    bundle: str
    name: str
    version: str
    author: str
    submitted_at: datetime
    standing: Standing
    authorisation: str  # auth_… of the one that counts; "" before the first
    title: str  # as voted
    not_before: datetime | None
    not_after: datetime | None
    campaigns: int  # that the vote allows
    started: int  # of them
    obstacle: Obstacle
    reason: str
    why: str
    newest: str  # camp_…; "" before the first
    state: str  # of the newest campaign


@dataclass(frozen=True)
class Prospect:
    """Whether a round could be planned now; `reason` and `why` are the obstacle, "" for none."""

    reason: str
    why: str


@dataclass(frozen=True)
class DossierDetail:
    """A bundle with what was voted about it and its newest campaigns."""

    dossier: Dossier
    purpose: str
    images: tuple[str, ...]  # digests of the runtimes that it may run on
    libraries: tuple[str, ...]
    rho: str  # zCDP of one campaign, as voted; "" before the vote
    rho_budget: str  # zCDP of all of them
    epsilon: float | None  # of one campaign, at delta = 1e-6
    entry: int | None  # where the authorisation stands in the log
    prospect: Prospect | None  # None unless a campaign could be started
    runs: tuple[OwnRun, ...]


def dossiers(desk: Desk, cut: Slice, reach: Reach) -> list[Dossier]:
    """Bundles by age."""

    def gather(tx: Transaction) -> list[Dossier]:
        columns = [BundleRow.__table__.c[name] for name in _COLUMNS]  # type: ignore[attr-defined]
        return _lines(tx, page(tx, cut, reach, select(BundleRow), columns, author=BundleRow.author))

    return desk.store.read("view-dossiers", gather)


def dossier(desk: Desk, text: str, reach: Reach) -> DossierDetail:
    """The bundle with the digest or unique prefix `text`. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> tuple[Dossier, AuthorisationRow | None, int | None]:
        line = _lines(tx, [bundle_within(tx, text, reach)])[0]
        vote = tx.session.get(AuthorisationRow, line.authorisation)
        return line, vote, None if vote is None else _entry(tx, vote.digest)

    line, vote, entry = desk.store.read("view-dossier", gather)
    facts = None if vote is None else _facts(desk, vote, line)
    runs = desk.store.read("view-dossier-runs", lambda tx: _runs(tx, line.bundle))
    rules = () if facts is None else facts.authorisation.rules
    rho = accounting.rho_of(rules)
    return DossierDetail(
        dossier=line,
        purpose="" if vote is None else vote.purpose,
        images=() if facts is None else tuple(map(str, facts.authorisation.images)),
        libraries=() if facts is None else tuple(facts.bundle.manifest.libraries),
        rho="" if facts is None else accounting.to_text(rho),
        rho_budget="" if facts is None else facts.authorisation.rho_budget,
        epsilon=None if facts is None else round(accounting.epsilon(rho), 4),
        entry=entry,
        prospect=None if facts is None else _prospect(desk, line, facts),
        runs=tuple(runs),
    )


def _lines(tx: Transaction, rows: Sequence[BundleRow]) -> list[Dossier]:
    digests = [row.digest for row in rows]
    votes: dict[str, list[AuthorisationRow]] = {}
    cast = select(AuthorisationRow).where(col(AuthorisationRow.bundle).in_(digests))
    for vote in sorted(tx.session.exec(cast), key=lambda one: one.received_at, reverse=True):
        votes.setdefault(vote.bundle, []).append(vote)
    counting = {bundle: _counting(found, tx.now) for bundle, found in votes.items()}
    started: dict[str, int] = dict(
        tx.session.exec(
            select(CampaignRow.authorisation, func.count())
            .where(col(CampaignRow.authorisation).in_([vote.id for vote in counting.values()]))
            .group_by(CampaignRow.authorisation)
        ).all()
    )
    newest = _newest(tx, digests)
    return [_line(row, counting.get(row.digest), started, newest, tx.now) for row in rows]


def _newest(tx: Transaction, bundles: Sequence[str]) -> dict[str, CampaignRow]:
    """The newest campaign of each; one entry of an index for each bundle."""
    last = (
        select(CampaignRow.id)
        .where(CampaignRow.bundle == BundleRow.digest)
        .order_by(col(CampaignRow.created_at).desc(), col(CampaignRow.id).desc())
        .limit(1)
        .correlate(BundleRow)
        .scalar_subquery()
    )
    ids = tx.session.exec(select(last).where(col(BundleRow.digest).in_(bundles))).all()
    rows = tx.session.exec(
        select(CampaignRow).where(col(CampaignRow.id).in_([one for one in ids if one]))
    )
    return {row.bundle: row for row in rows}


def _line(
    row: BundleRow,
    vote: AuthorisationRow | None,
    started: dict[str, int],
    newest: dict[str, CampaignRow],
    now: datetime,
) -> Dossier:
    run = newest.get(row.digest)
    used = 0 if vote is None else started.get(vote.id, 0)
    standing = standing_of(vote, now)
    obstacle, reason, why = blocks(standing, vote, used, run)
    return Dossier(
        bundle=row.digest,
        name=row.name,
        version=row.version,
        author=row.author,
        submitted_at=row.submitted_at,
        standing=standing,
        authorisation="" if vote is None else vote.id,
        title="" if vote is None else vote.title,
        not_before=None if vote is None else vote.not_before,
        not_after=None if vote is None else vote.not_after,
        campaigns=0 if vote is None else vote.campaigns,
        started=used,
        obstacle=obstacle,
        reason=reason,
        why=why,
        newest="" if run is None else run.id,
        state="" if run is None else run.state,
    )


def _counting(votes: Sequence[AuthorisationRow], now: datetime) -> AuthorisationRow:
    """The newest authorisation that holds now, else the newest of all."""
    holding = (one for one in votes if standing_of(one, now) is Standing.AUTHORISED)
    return next(holding, votes[0])


def standing_of(vote: AuthorisationRow | None, now: datetime) -> Standing:
    """Where a bundle stands whose authorisation is `vote`."""
    if vote is None:
        return Standing.SUBMITTED
    if vote.suspended_at is not None:
        return Standing.SUSPENDED
    if now >= vote.not_after:
        return Standing.EXPIRED
    return Standing.AUTHORISED if now >= vote.not_before else Standing.COMING


_WITHOUT_VOTE = {
    Standing.SUBMITTED: Obstacle.NO_VOTE,
    Standing.COMING: Obstacle.NOT_BEGUN,
    Standing.EXPIRED: Obstacle.EXPIRED,
}


def blocks(
    standing: Standing, vote: AuthorisationRow | None, started: int, newest: CampaignRow | None
) -> tuple[Obstacle, str, str]:
    """What keeps a bundle from its next result: (obstacle, reason's code, sentence)."""
    if standing is Standing.SUSPENDED:
        because = "" if vote is None else vote.suspended_because or ""
        return Obstacle.SUSPENDED, Reason.AUTHORISATION_SUSPENDED.value, because
    if standing in _WITHOUT_VOTE:
        return _WITHOUT_VOTE[standing], "", ""
    state = None if newest is None else CampaignState(newest.state)
    if newest is not None and state not in FINAL_CAMPAIGN:
        if not newest.reason:
            return Obstacle.NONE, "", ""
        return Obstacle.WAITS, newest.reason, discreet(newest.why, newest.reason)
    if newest is not None and state is not CampaignState.RELEASED:
        return Obstacle.FAILED, newest.reason, discreet(newest.why, newest.reason)
    if vote is not None and started >= vote.campaigns:
        return Obstacle.USED_UP, "", ""
    return (Obstacle.NOT_STARTED if newest is None else Obstacle.NONE), "", ""


def _facts(desk: Desk, vote: AuthorisationRow, line: Dossier) -> CampaignFacts | None:
    try:
        return facts_of(desk, vote.digest, line.bundle)
    except TrustError:
        # A vote whose signers a later root dismissed: its row stands, its words count no more.
        return None


def _prospect(desk: Desk, line: Dossier, facts: CampaignFacts) -> Prospect | None:
    """What a campaign would wait for if it were started now."""
    idle = not line.state or CampaignState(line.state) in FINAL_CAMPAIGN
    if line.standing is not Standing.AUTHORISED or not idle or line.started >= line.campaigns:
        return None
    workers = desk.store.read("view-prospect", lambda tx: worker_facts(tx, facts))
    plan = plan_round(workers, facts.needs, desk.now(), b"")
    return Prospect(plan.reason.value, discreet(plan.why, plan.reason.value))


def _runs(tx: Transaction, bundle: str) -> list[OwnRun]:
    query = (
        select(CampaignRow)
        .where(CampaignRow.bundle == bundle)
        .order_by(col(CampaignRow.created_at).desc(), col(CampaignRow.id).desc())
        .limit(RUNS_SHOWN)
    )
    return run_lines(tx, list(tx.session.exec(query)))


def _entry(tx: Transaction, digest: str) -> int | None:
    return tx.session.exec(
        select(LogRow.position).where(
            LogRow.digest == digest, LogRow.kind == Kind.AUTHORISATION.value
        )
    ).first()
