"""What operators did by hand, where it stands in the log; and what a form has to say first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlmodel import col, func, select

from jobs import description
from protection import accounting
from scheduler.errors import Unknown
from scheduler.service import bundles
from scheduler.service.acting import obstacle
from scheduler.service.desk import Desk
from scheduler.service.facts import facts_of
from scheduler.service.finding import action_by, bundle_by, campaign_by, unit_by, worker_by
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    ActionRow,
    AuthorisationRow,
    BundleRow,
    CampaignRow,
    LogRow,
    MemberRow,
)
from scheduler.views.slices import Slice
from scheduler.views.units import works_of
from trust.documents.actions import Act
from trust.documents.rules import Bound
from trust.log.entry import Kind

# Bundles that a page to start one offers; more are found by their digest.
OFFERED = 100
_COLUMNS = ("acted_at", "id")


@dataclass(frozen=True)
class Deed:
    """One deed. `index` is its place in the log, None while it is queued."""

    action: str
    act: str
    means: str
    account: str
    campaign: str | None
    unit: str | None
    worker: str | None
    reason: str
    sealed: bool  # whether the log binds the reason without telling it
    acted_at: datetime
    digest: str
    index: int | None
    proven: bool


@dataclass(frozen=True)
class Target:
    """What a form would act on, as a person must recognise it, and what is in the way."""

    act: Act
    identity: str
    word: str  # what they type to confirm
    title: str
    state: str
    campaign: str | None
    worker: str | None
    obstacle: str
    reason: str = ""  # of a unit: the code of what it waits for or why it ended
    why: str = ""  # the same as a sentence


@dataclass(frozen=True)
class Offer:
    """An authorised bundle, and what may be set when a campaign of it is started."""

    bundle: str
    vote: str  # auth_…, the one that counts now
    name: str
    version: str
    title: str
    not_after: datetime
    campaigns: int  # that the vote allows
    used: int
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)  # the author's, as people type them
    rho: str = ""  # zCDP that one campaign costs a privacy unit
    epsilon: float = 0.0  # the same, at delta 1e-6
    rho_budget: str = ""  # what all of its campaigns together may cost one
    tables: tuple[str, ...] = ()  # of a capsule, that it reads

    @property
    def left(self) -> int:
        """Campaigns that may still be started."""
        return max(0, self.campaigns - self.used)


def deeds(
    desk: Desk, cut: Slice, *, act: str = "", campaign: str = "", worker: str = ""
) -> list[Deed]:
    """Deeds by age. Raises Unknown, Ambiguous for what is not there."""

    def gather(tx: Transaction) -> list[Deed]:
        query = select(ActionRow, LogRow).join(
            LogRow,
            (col(LogRow.digest) == col(ActionRow.digest)) & (LogRow.kind == Kind.ACTION.value),
        )
        if act:
            query = query.where(ActionRow.act == act)
        if campaign:
            query = query.where(ActionRow.campaign == campaign_by(tx, campaign).id)
        if worker:
            query = query.where(ActionRow.worker == worker_by(tx, worker).name)
        columns = [ActionRow.__table__.c[name] for name in _COLUMNS]  # type: ignore[attr-defined]
        return [_deed(row, entry) for row, entry in tx.session.exec(cut.cut(query, columns))]

    return desk.store.read("view-deeds", gather)


def deed(desk: Desk, text: str) -> Deed:
    """The deed with the id or unique prefix `text`. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> Deed:
        row = action_by(tx, text)
        entry = tx.session.exec(
            select(LogRow).where(LogRow.digest == row.digest, LogRow.kind == Kind.ACTION.value)
        ).one()
        return _deed(row, entry)

    return desk.store.read("view-deed", gather)


def target(desk: Desk, act: Act, text: str) -> Target:
    """What `act` would be done to. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> Target:
        in_the_way = obstacle(tx, act, text)
        campaign = worker = None
        reason = why = ""
        match act:
            case Act.CANCEL_CAMPAIGN:
                run = campaign_by(tx, text)
                identity, state, title, campaign = run.id, run.state, _title(tx, run), run.id
            case Act.RETRY_UNIT:
                unit = unit_by(tx, text)
                found = tx.session.get(CampaignRow, unit.campaign)
                assert found is not None
                identity, state, title = unit.id, unit.state, _title(tx, found)
                campaign, worker = unit.campaign, unit.worker
                (line,) = works_of(tx, [unit])
                reason, why = line.reason, line.why
            case _:
                machine = worker_by(tx, text)
                member = tx.session.get(MemberRow, machine.name)
                assert member is not None
                identity, title, worker = machine.name, member.operator, machine.name
                state = (
                    "banned" if member.banned_at else "drained" if machine.drained_at else "at-work"
                )
        return Target(
            act=act,
            identity=identity,
            word=word_of(identity),
            title=title,
            state=state,
            campaign=campaign,
            worker=worker,
            obstacle="" if in_the_way is None else in_the_way.value,
            reason=reason,
            why=why,
        )

    return desk.store.read("view-target", gather)


def word_of(identity: str) -> str:
    """What a person types to confirm: the first letters of an id, as lists show them."""
    return identity.partition("_")[2][:8]


def offers(desk: Desk) -> list[Offer]:
    """Bundles that a campaign may be started of now, the newest first."""

    def gather(tx: Transaction) -> list[Offer]:
        query = select(BundleRow).order_by(col(BundleRow.submitted_at).desc()).limit(OFFERED)
        found = [
            (row, vote)
            for row in tx.session.exec(query).all()
            if (vote := bundles.current_authorisation(tx, row.digest)) is not None
        ]
        used = _used(tx, [vote.id for _, vote in found])
        return [_offer(row, vote, used) for row, vote in found]

    return desk.store.read("view-offers", gather)


def offer(desk: Desk, text: str) -> Offer:
    """One of them, with what may be set. Raises Unknown, Ambiguous, and what its bytes lack."""

    def gather(tx: Transaction) -> tuple[Offer, str]:
        row = bundle_by(tx, text)
        vote = bundles.current_authorisation(tx, row.digest)
        if vote is None:
            raise Unknown(
                f"no authorisation of the college holds now for {row.name} {row.version}",
                remedy="the college must vote first",
            )
        return _offer(row, vote, _used(tx, [vote.id])), vote.digest

    found, vote = desk.store.read("view-offer", gather)
    facts = facts_of(desk, vote, found.bundle)
    rho = accounting.rho_of(facts.authorisation.rules)
    return replace(
        found,
        bounds=facts.authorisation.bounds,
        defaults=description.defaults(facts.bundle.manifest),
        rho=accounting.to_text(rho),
        epsilon=accounting.epsilon(rho),
        rho_budget=facts.authorisation.rho_budget,
        tables=tuple(sorted(facts.authorisation.tables)),
    )


def _used(tx: Transaction, votes: Sequence[str]) -> dict[str, int]:
    """How many campaigns were started under each vote; a vote allows few, so they are few."""
    query = (
        select(CampaignRow.authorisation, func.count())
        .where(col(CampaignRow.authorisation).in_(votes))
        .group_by(CampaignRow.authorisation)
    )
    return dict(tx.session.exec(query).all())


def _offer(row: BundleRow, vote: AuthorisationRow, used: Mapping[str, int]) -> Offer:
    return Offer(
        bundle=row.digest,
        vote=vote.id,
        name=row.name,
        version=row.version,
        title=vote.title,
        not_after=vote.not_after,
        campaigns=vote.campaigns,
        used=used.get(vote.id, 0),
    )


def _deed(row: ActionRow, entry: LogRow) -> Deed:
    return Deed(
        action=row.id,
        act=row.act,
        means=row.means,
        account=row.account,
        campaign=row.campaign,
        unit=row.unit,
        worker=row.worker,
        reason=row.reason,
        sealed=row.salt is not None,
        acted_at=row.acted_at,
        digest=row.digest,
        index=entry.position,
        proven=entry.proof is not None,
    )


def _title(tx: Transaction, campaign: CampaignRow) -> str:
    vote = tx.session.get(AuthorisationRow, campaign.authorisation)
    return "" if vote is None else vote.title
