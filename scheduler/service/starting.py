"""Starting a campaign: authorisation, parameters inside the voted bounds, once per request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal

from sqlmodel import func, select

from jobs import parameters, state
from protection import accounting
from scheduler.domain.reasons import Reason
from scheduler.domain.states import CampaignState
from scheduler.errors import Conflict, InputRefused, NotAuthorised
from scheduler.service import actions, bundles, outbox
from scheduler.service.actions import Actor, Deed
from scheduler.service.bell import PACE
from scheduler.service.campaigns import CampaignView, view_of
from scheduler.service.desk import Desk
from scheduler.service.facts import facts_of
from scheduler.service.finding import bundle_by
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, BundleRow, CampaignRow
from trust.documents.actions import Act
from trust.documents.rules import Bound
from trust.ids import CampaignId, Digest
from trust.parameters import MAXIMUM_SETTINGS_BYTES
from trust.policy.parameters import require_within


async def start(
    desk: Desk,
    operator: str | None,
    bundle: str,
    values: bytes,
    request: str,
    *,
    reason: str = "",
    actor: Actor | None = None,
) -> CampaignView:
    """Start a campaign of an authorised bundle. The same `request` starts it once.

    `operator` holds the certificate that it was asked with; `actor` is who asked otherwise, and
    is shown under their random name. `reason` may be left out.

    Raises Unknown, NotAuthorised, ParametersRefused, Conflict.
    """
    actions.require_request(request)
    if not request:
        raise InputRefused("a start has a request key, by which it is not done twice")
    why = actions.require_reason(reason) if reason else ""
    if len(values) > MAXIMUM_SETTINGS_BYTES:
        raise InputRefused(f"the parameters take over {MAXIMUM_SETTINGS_BYTES} bytes")
    row, authorisation = await desk.look("find-bundle", lambda tx: _find(tx, bundle))
    facts = await asyncio.to_thread(facts_of, desk, authorisation.digest, row.digest)
    blob = _parameter_blob(values, facts.authorisation.bounds)
    first = state.first(facts.bundle.manifest, blob)
    fresh = CampaignRow(
        id=CampaignId.draw(desk.entropy),
        bundle=row.digest,
        author=row.author,
        authorisation=authorisation.id,
        parameters=Digest.of(blob),
        following=Digest.of(first),
        rounds=facts.bundle.manifest.rounds.maximum,
        rho=accounting.to_text(accounting.rho_of(facts.authorisation.rules)),
        started_by=operator or "",
        request=request,
        state=CampaignState.DRAFT.value,
        reason=Reason.WAITING_FOR_WORKERS.value,
        why="the first round is being planned",
        waits_since=desk.now(),
        created_at=desk.now(),
        # People have to meet for a key ceremony; once it was held, the planning has its time.
        plan_before=desk.now()
        + (desk.limits.ceremony if facts.encrypted else desk.limits.planning),
        updated_at=desk.now(),
        updated_by="start-campaign",
    )
    deed = Deed(
        Act.START_CAMPAIGN,
        why,
        campaign=fresh.id,
        bundle=fresh.bundle,
        request=request,
    )
    who = actor or Actor.member(operator or "")

    def insert(tx: Transaction) -> CampaignView:
        fresh.started_by = operator or actions.account_of(tx, desk, who)
        view, new = _insert(tx, desk, fresh, (blob, first))
        if new:
            actions.record(tx, desk, who, deed)
        return view

    return await desk.run("start-campaign", insert)


def _insert(
    tx: Transaction, desk: Desk, fresh: CampaignRow, blobs: tuple[bytes, bytes]
) -> tuple[CampaignView, bool]:
    """The campaign, and whether it was started now."""
    known = tx.session.exec(
        select(CampaignRow).where(
            CampaignRow.started_by == fresh.started_by, CampaignRow.request == fresh.request
        )
    ).first()
    if known is not None:
        if (known.bundle, known.parameters) != (fresh.bundle, fresh.parameters):
            raise Conflict(
                "this request key started another campaign before",
                remedy="use a fresh request key",
            )
        return view_of(tx, known), False
    authorisation = _find(tx, fresh.bundle)[1]
    if authorisation.id != fresh.authorisation:
        raise Conflict("the authorisation changed meanwhile", remedy="start again")
    used = tx.session.exec(
        select(func.count())
        .select_from(CampaignRow)
        .where(CampaignRow.authorisation == authorisation.id)
    ).one()
    if used >= authorisation.campaigns:
        raise NotAuthorised(
            f"the authorisation allows {authorisation.campaigns} campaigns; all were started",
            remedy="the college must vote a new authorisation",
        )
    for blob in blobs:
        outbox.keep_blob(tx, desk, blob)
    # A copy, because the transaction may run again.
    campaign = CampaignRow(**fresh.model_dump())
    tx.session.add(campaign)
    tx.session.flush()
    tx.rings.add(PACE)
    return view_of(tx, campaign), True


def _find(tx: Transaction, bundle: str) -> tuple[BundleRow, AuthorisationRow]:
    row = bundle_by(tx, bundle)
    valid = bundles.current_authorisation(tx, row.digest)
    if valid is None:
        raise NotAuthorised(
            f"no authorisation of the college holds now for {row.name} {row.version}",
            remedy="`cadastre bundle list` shows its standing; the college must vote first",
        )
    return row, valid


def _parameter_blob(values: bytes, bounds: Mapping[str, Bound]) -> bytes:
    """The one spelling of `values` that workers accept, inside the voted bounds."""

    def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise InputRefused("a parameter is set twice")
        return dict(pairs)

    try:
        plain = json.loads(values or b"{}", parse_float=Decimal, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise InputRefused("the parameters are not JSON", remedy='write {"zones": 9}') from error
    if not isinstance(plain, dict):
        raise InputRefused("the parameters are not a JSON object", remedy='write {"zones": 9}')
    blob = parameters.encode(plain, bounds)
    require_within(blob, bounds)
    return blob
