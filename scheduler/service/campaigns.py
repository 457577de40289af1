"""What an operator does with campaigns: look at them, watch, cancel, fetch the report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import bindparam
from sqlmodel import col, func, select

from scheduler.domain.planning import round_down
from scheduler.domain.reasons import Reason, quote, sentence
from scheduler.domain.states import FINAL_CAMPAIGN, AttemptState, CampaignState
from scheduler.errors import AlreadyEnded, NotReleased
from scheduler.service import actions, endings, spending
from scheduler.service.actions import CONSOLE, Actor, Deed
from scheduler.service.bell import for_campaign, for_exclusion
from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by
from scheduler.service.holding import told_of
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    ActionRow,
    AttemptRow,
    AuthorisationRow,
    BlobRow,
    BundleRow,
    CampaignRow,
    RoundRow,
    UnitRow,
)
from trust import schema
from trust.documents.actions import Act
from trust.documents.campaign import Release, UnitKind
from trust.dsse import Envelope
from trust.ids import Digest

LIST_LIMIT = 200
WATCH_SECONDS = 10.0
# Between two views of one watcher: short to an eye, and at most a tenth of a core for the looks.
WATCH_PAUSE_SECONDS = 0.5
WATCH_PAUSE_FACTOR = 10
_ITS = col(UnitRow.campaign) == bindparam("campaign")
_UNITS = select(UnitRow).where(_ITS).order_by(UnitRow.kind, UnitRow.id)
_ROUNDS = (
    select(RoundRow)
    .where(col(RoundRow.campaign) == bindparam("campaign"))
    .order_by(col(RoundRow.number))
)
_ATTEMPTS = (
    select(AttemptRow.unit, func.count())
    .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
    .where(_ITS)
    .group_by(AttemptRow.unit)
)
_SIZES = (
    select(AttemptRow.unit, func.coalesce(BlobRow.size, 0))
    .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
    .join(BlobRow, col(BlobRow.digest) == col(AttemptRow.values_digest), isouter=True)
    .where(
        _ITS,
        UnitRow.kind == UnitKind.CONTRIBUTE.value,
        AttemptRow.state == AttemptState.ACCEPTED.value,
    )
)


@dataclass(frozen=True)
class UnitView:
    """A unit as an operator sees it."""

    row: UnitRow
    attempts: int
    reason: str  # what it waits for at this moment, or why it ended
    why: str  # the same as a sentence


@dataclass(frozen=True)
class RoundView:
    """A round with its units; progress in capsules, rounded down to tens."""

    row: RoundRow
    units: tuple[UnitView, ...]
    sizes: Mapping[str, int]  # bytes of the blobs that workers put, by unit
    # What all rounds up to this one cost one privacy unit, at delta = 1e-6. None before it is
    # opened, and where nothing is noised.
    epsilon: float | None

    @property
    def participants(self) -> int:
        """Workers whose partials were accepted."""
        return sum(unit.row.id in self.sizes for unit in self.units)

    @property
    def traffic(self) -> int:
        """Bytes that they sent as partials; what they received is the same for all."""
        return sum(self.sizes.values())

    @property
    def metrics(self) -> dict[str, float]:
        """What the round's conclusion told in single numbers; empty before it."""
        found: dict[str, float] = json.loads(self.row.told or "{}")
        return found

    @property
    def capsules_done(self) -> int:
        """Capsules that were worked through so far."""
        done = sum(
            unit.row.capsules if unit.row.state == "satisfied" else unit.row.done
            for unit in self.units
        )
        return round_down(min(done, self.row.capsules))

    @property
    def capsules_total(self) -> int:
        """Capsules of the chosen workers."""
        return round_down(self.row.capsules)


@dataclass(frozen=True)
class CampaignView:
    """A campaign, its rounds, its title, and by their digests who voted and who wrote it."""

    row: CampaignRow
    title: str
    authorisation: str  # of the college's envelope
    statement: str  # of the author's envelope about the bundle
    rounds: tuple[RoundView, ...]

    @property
    def epsilon(self) -> float:
        """What the rounds that were opened cost one privacy unit, at delta = 1e-6."""
        opened = sum(entry.row.opening is not None for entry in self.rounds)
        return spending.epsilon(spending.spent(self.row.rho, opened, self.row.rounds))


async def cancel(desk: Desk, campaign: str, reason: str, *, actor: Actor = CONSOLE) -> CampaignView:
    """Stop a campaign. Raises Unknown, AlreadyEnded; cancelling twice is fine."""
    why = actions.require_reason(reason)

    def stop(tx: Transaction) -> CampaignView:
        row = campaign_by(tx, campaign)
        if row.state != CampaignState.CANCELLED.value:
            stop_campaign(tx, desk, row, actor, Deed(Act.CANCEL_CAMPAIGN, why, campaign=row.id))
        return view_of(tx, row)

    return await desk.run("cancel-campaign", stop)


def stop_campaign(
    tx: Transaction, desk: Desk, row: CampaignRow, actor: Actor, deed: Deed
) -> ActionRow:
    """Cancel a campaign that has not ended. Raises AlreadyEnded.

    Live leases end, no batch is opened any more, helper and keyholder are told that their keys
    are no longer needed. What capsules were charged stays charged: a partial may have left.
    """
    if CampaignState(row.state) in FINAL_CAMPAIGN:
        raise AlreadyEnded(f"the campaign is {row.state} already")
    why = sentence(Reason.CAMPAIGN_CANCELLED, what=quote(deed.reason))
    endings.end(tx, desk, row, CampaignState.CANCELLED, reason=Reason.CAMPAIGN_CANCELLED, why=why)
    return actions.record(tx, desk, actor, deed)


async def show(desk: Desk, campaign: str) -> CampaignView:
    """One campaign as it stands. Raises Unknown, Ambiguous."""
    return await desk.look("show-campaign", lambda tx: view_of(tx, campaign_by(tx, campaign)))


async def list_all(
    desk: Desk, state: CampaignState | None, limit: int, after: str
) -> list[CampaignView]:
    """A page of campaigns, newest first, without units."""

    def gather(tx: Transaction) -> list[CampaignView]:
        query = select(CampaignRow)
        if state is not None:
            query = query.where(CampaignRow.state == state.value)
        if after:
            last = campaign_by(tx, after)
            query = query.where(
                (col(CampaignRow.created_at) < last.created_at)
                | (
                    (col(CampaignRow.created_at) == last.created_at)
                    & (col(CampaignRow.id) < last.id)
                )
            )
        query = query.order_by(col(CampaignRow.created_at).desc(), col(CampaignRow.id).desc())
        rows = tx.session.exec(query.limit(min(limit or LIST_LIMIT, LIST_LIMIT))).all()
        return [view_of(tx, row, deep=False) for row in rows]

    return await desk.look("list-campaigns", gather)


async def watch(desk: Desk, watcher: str, campaign: str) -> AsyncIterator[CampaignView]:
    """The newest view after changes, at least one every 10 s, until the campaign ends.

    Changes that come close together are one view: a campaign with short rounds changes twenty
    times a second, and whoever watches must not slow down what is watched.

    The exclusion of the member `watcher` ends the wait too: whoever sends the views asks whether
    that member may have the next one.
    """
    row = await desk.look("find-campaign", lambda tx: campaign_by(tx, campaign))
    moment = asyncio.get_running_loop().time
    while True:
        out = desk.bell.heard(for_exclusion(watcher))
        heard = {**desk.bell.heard(for_campaign(row.id)), **out}
        begun = moment()
        view = await show(desk, row.id)
        again = begun + max(WATCH_PAUSE_SECONDS, WATCH_PAUSE_FACTOR * (moment() - begun))
        yield view
        if CampaignState(view.row.state) in FINAL_CAMPAIGN or desk.bell.closed:
            return
        await desk.bell.wait(heard, WATCH_SECONDS)
        await desk.bell.wait(out, min(again - moment(), WATCH_SECONDS))


async def report(desk: Desk, campaign: str) -> tuple[bytes, bytes]:
    """(release envelope, report blob). Raises NotReleased."""
    row = await desk.look("find-campaign", lambda tx: campaign_by(tx, campaign))
    if row.release is None:
        raise NotReleased(
            f"the campaign is {row.state}: {row.why or 'no release yet'}",
            remedy="`cadastre campaign watch` shows how far it is",
        )
    raw = desk.blobs.get(Digest(row.release))
    # Named by its digest since we signed it; the orders key may have been replaced meanwhile.
    release = schema.decode(Release, Envelope.parse(raw).payload)
    return raw, desk.blobs.get(release.report)


def view_of(tx: Transaction, row: CampaignRow, *, deep: bool = True) -> CampaignView:
    """The campaign in `row`; without its rounds when not `deep`."""
    authorisation = tx.session.get(AuthorisationRow, row.authorisation)
    bundle = tx.session.get(BundleRow, row.bundle)
    assert authorisation is not None
    assert bundle is not None
    rounds: list[RoundView] = []
    if deep:
        named = {"campaign": row.id}
        counts = dict(tx.session.exec(_ATTEMPTS, params=named).all())
        units = tx.session.exec(_UNITS, params=named).all()
        sizes = dict(tx.session.exec(_SIZES, params=named).all())
        told = told_of(tx, units)
        entries = tx.session.exec(_ROUNDS, params=named).all()
        # A round is planned once the one before was opened: so many are paid for with each.
        opened = accumulate(entry.opening is not None for entry in entries)
        rounds = [
            RoundView(
                entry,
                tuple(
                    UnitView(unit, counts.get(unit.id, 0), *told[unit.id])
                    for unit in units
                    if unit.round == entry.number
                ),
                {
                    unit.id: sizes[unit.id]
                    for unit in units
                    if unit.round == entry.number and unit.id in sizes
                },
                None
                if entry.opening is None
                else spending.epsilon_after(row.rho, so_far, row.rounds),
            )
            for entry, so_far in zip(entries, opened, strict=True)
        ]
    return CampaignView(
        row, authorisation.title, authorisation.digest, bundle.statement, tuple(rounds)
    )
