"""What operators did by hand, where it stands in the log; and what a form has to say first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select

from jobs import description
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
    name: str
    version: str
    title: str
    not_after: datetime
    bounds: Mapping[str, Bound]
    defaults: Mapping[str, str]  # the author's, as a person would type them


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
        found = []
        for row in tx.session.exec(query).all():
            vote = bundles.current_authorisation(tx, row.digest)
            if vote is not None:
                found.append(_offer(row, vote, {}, {}))
        return found

    return desk.store.read("view-offers", gather)


def offer(desk: Desk, text: str) -> Offer:
    """One of them, with what may be set. Raises Unknown, Ambiguous, and what its bytes lack."""

    def gather(tx: Transaction) -> tuple[BundleRow, AuthorisationRow]:
        row = bundle_by(tx, text)
        vote = bundles.current_authorisation(tx, row.digest)
        if vote is None:
            raise Unknown(
                f"no authorisation of the college holds now for {row.name} {row.version}",
                remedy="the college must vote first",
            )
        return row, vote

    row, vote = desk.store.read("view-offer", gather)
    facts = facts_of(desk, vote.digest, row.digest)
    proposed = description.defaults(facts.bundle.manifest)
    return _offer(row, vote, facts.authorisation.bounds, proposed)


def _offer(
    row: BundleRow,
    vote: AuthorisationRow,
    bounds: Mapping[str, Bound],
    defaults: Mapping[str, str],
) -> Offer:
    return Offer(row.digest, row.name, row.version, vote.title, vote.not_after, bounds, defaults)


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
