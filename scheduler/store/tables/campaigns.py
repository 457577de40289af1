"""Campaigns, rounds, units and attempts: the words of the state machines."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import SQLModel

from scheduler.domain.states import AttemptState, CampaignState, RoundState, UnitState
from scheduler.store.columns import moment, raw, whole, words
from scheduler.store.types import one_of
from trust.documents.campaign import UnitKind


class CampaignRow(SQLModel, table=True):
    """draft -> running -> concluding -> released | failed | cancelled."""

    __tablename__ = "campaign"
    __table_args__ = (
        one_of("state", CampaignState),
        CheckConstraint(
            "(state = 'released') = (release IS NOT NULL)", name="released_has_release"
        ),
        UniqueConstraint("started_by", "request", name="request_once"),
        Index(
            "campaign_moving",
            "state",
            sqlite_where=text("state IN ('draft', 'running', 'concluding')"),
            postgresql_where=text("state IN ('draft', 'running', 'concluding')"),
        ),
        Index("campaign_by_age", "created_at", "id"),
        Index("campaign_of_state", "state", "created_at", "id"),
        # Beside the one before, an index over failed campaigns alone would not be chosen.
        Index("campaign_changed", "state", "updated_at"),
        Index("campaign_of_bundle", "bundle", "created_at", "id"),
        Index("campaign_of_author", "author", "created_at", "id"),
        Index("campaign_of_authorisation", "authorisation", "created_at", "id"),
        {"comment": "runs of authorised bundles"},
    )

    id: str = words("camp_…", key=True)
    bundle: str = words("digest of the bundle", of="bundle.digest")
    author: str = words("key of the bundle's author", default="")
    authorisation: str = words("the college's decision that it rests on", of="authorisation.id")
    parameters: str = words("digest of the operator's settings")
    started_by: str = words("operator that started it")
    request: str = words("the operator's idempotency key")
    state: str = words("CampaignState")
    reason: str = words("reason code why it waits or ended; empty when it moves")
    why: str = words("the same as a sentence")
    waits_since: datetime = moment("since when it has this state and this reason code")
    rounds: int = whole("so many at most, as voted")
    rho: str = words("zCDP of all of them together, as voted")
    created_at: datetime = moment("when it was started")
    plan_before: datetime = moment("fails if its next round is not planned by then")
    updated_at: datetime = moment("last change")
    updated_by: str = words("name of the transaction that changed it last")
    following: str | None = words(
        "digest of the parameter blob that the next round starts with; none while one runs",
        optional=True,
    )
    release: str | None = words("digest of the Release envelope", optional=True)
    helper: str | None = words("digest of the HelperKey envelope", optional=True)
    destroyed: str | None = words(
        "digest of the helper's notice that its key is gone", optional=True
    )
    epoch: str | None = words("digest of the EpochKey envelope", optional=True)
    retired: str | None = words(
        "digest of the keyholder's notice that its key is gone", optional=True
    )


class RoundRow(SQLModel, table=True):
    """open -> preparing -> opened | aborted."""

    __tablename__ = "round"
    __table_args__ = (
        one_of("state", RoundState),
        CheckConstraint("(state = 'opened') = (opening IS NOT NULL)", name="opened_has_opening"),
        CheckConstraint(
            "state = 'open' OR state = 'aborted' OR batch IS NOT NULL", name="prepared_has_batch"
        ),
        {"comment": "rounds of campaigns"},
    )

    campaign: str = words("the campaign", key=True, of="campaign.id")
    number: int = whole("from 1", key=True)
    state: str = words("RoundState")
    plan: str = words("digest of the Plan envelope")
    parameters: str = words("digest of the round's parameter blob")
    target: int = whole("partials that close the round before its deadline")
    told: str | None = words("the concluded report's single values, JSON by name", optional=True)
    issued_at: datetime = moment("the plan's moment: consents live then may be counted")
    deadline: datetime = moment("no report is accepted from then on")
    capsules: int = whole("live consents of the chosen workers when it was planned")
    reason: str = words("reason code")
    why: str = words("the same as a sentence")
    waits_since: datetime = moment("since when it has this state and this reason code")
    batch: str | None = words("digest of the frozen batch lines", optional=True)
    aggregate: str | None = words("digest of the aggregate blob", optional=True)
    opening: str | None = words("digest of the Opening envelope", optional=True, unique=True)
    contributors: int = whole("privacy units in the batch, exact; never published", default=0)
    accepted: str | None = words("digest of the helper's AcceptList envelope", optional=True)
    commitment: str | None = words("digest of the BatchCommitment envelope", optional=True)
    examined: str | None = words("digest of the keyholder's AcceptList envelope", optional=True)
    leader: str | None = words("digest of the leader's AggregateShare envelope", optional=True)
    helper: str | None = words("digest of the helper's AggregateShare envelope", optional=True)
    # No blobs: nobody but the keyholder ever gets these, and they go with the round.
    ciphertext: bytes | None = raw("the leader's sum of masked ciphertexts", optional=True)
    masks: bytes | None = raw("the helper's sum of their masks", optional=True)


class UnitRow(SQLModel, table=True):
    """waiting -> ready -> leased -> satisfied | failed | cancelled."""

    __tablename__ = "unit"
    __table_args__ = (
        one_of("state", UnitState),
        one_of("kind", UnitKind),
        UniqueConstraint("campaign", "round", "kind", "worker", name="one_unit_per_worker"),
        Index(
            "unit_to_lease",
            "worker",
            "kind",
            sqlite_where=text("state = 'ready'"),
            postgresql_where=text("state = 'ready'"),
        ),
        Index(
            "unit_moving",
            "deadline",
            sqlite_where=text("state IN ('waiting', 'ready', 'leased')"),
            postgresql_where=text("state IN ('waiting', 'ready', 'leased')"),
        ),
        Index("unit_of_campaign", "campaign", "round", "id"),
        # Without the many that went well: whoever filters by them finds them in the one before.
        # A whole one would also be read from end to end by counts of what is ready.
        Index(
            "unit_of_state",
            "campaign",
            "state",
            "round",
            "id",
            sqlite_where=text("state <> 'satisfied'"),
            postgresql_where=text("state <> 'satisfied'"),
        ),
        Index(
            "unit_failed",
            "updated_at",
            sqlite_where=text("state = 'failed'"),
            postgresql_where=text("state = 'failed'"),
        ),
        # For the lists over all campaigns alone, which say `round > 0` as every row has it: what
        # leases and ticks keeps to the small indexes before, however a planner would estimate.
        Index(
            "unit_listed",
            "deadline",
            "id",
            sqlite_where=text("round > 0"),
            postgresql_where=text("round > 0"),
        ),
        Index(
            "unit_listed_of_state",
            "state",
            "deadline",
            "id",
            sqlite_where=text("state <> 'satisfied' AND round > 0"),
            postgresql_where=text("state <> 'satisfied' AND round > 0"),
        ),
        Index(
            "unit_listed_of_worker",
            "worker",
            "deadline",
            "id",
            sqlite_where=text("round > 0"),
            postgresql_where=text("round > 0"),
        ),
        {"comment": "what one worker has to do in one round"},
    )

    id: str = words("unit_…", key=True)
    campaign: str = words("the campaign", of="campaign.id", index=True)
    round: int = whole("the round")
    kind: str = words("UnitKind")
    worker: str | None = words("who must do it; NULL: any that can", optional=True)
    state: str = words("UnitState")
    reason: str = words("reason code")
    why: str = words("the same as a sentence")
    capsules: int = whole("live consents of the worker when the round was planned", default=0)
    deadline: datetime = moment("the unit ends by then")
    not_before: datetime | None = moment("end of back-off", optional=True)
    maximum_attempts: int = whole("leases that it may have")
    lease_seconds: int = whole("length of one lease")
    needs: str = words("digest of the envelope that must be logged before it is ready")
    done: int = whole("live progress, in capsules", default=0)
    updated_at: datetime = moment("last change")
    updated_by: str = words("name of the transaction that changed it last")


class AttemptRow(SQLModel, table=True):
    """leased -> reported -> accepted | rejected; leased -> expired | abandoned | cancelled."""

    __tablename__ = "attempt"
    __table_args__ = (
        one_of("state", AttemptState),
        UniqueConstraint("unit", "number", name="attempt_number"),
        CheckConstraint(
            "state <> 'accepted' OR statement IS NOT NULL", name="accepted_has_statement"
        ),
        Index(
            "attempt_live",
            "unit",
            unique=True,
            sqlite_where=text("state IN ('leased', 'reported')"),
            postgresql_where=text("state IN ('leased', 'reported')"),
        ),
        Index(
            "attempt_of_worker",
            "worker",
            sqlite_where=text("state IN ('leased', 'reported')"),
            postgresql_where=text("state IN ('leased', 'reported')"),
        ),
        Index(
            "attempt_expiry",
            "expires_at",
            sqlite_where=text("state IN ('leased', 'reported')"),
            postgresql_where=text("state IN ('leased', 'reported')"),
        ),
        Index(
            "attempt_by_end",
            "ended_at",
            sqlite_where=text("ended_at IS NOT NULL"),
            postgresql_where=text("ended_at IS NOT NULL"),
        ),
        {"comment": "leases of units"},
    )

    id: str = words("att_…", key=True)
    unit: str = words("the unit", of="unit.id", index=True)
    number: int = whole("from 1")
    token: str = words("fencing token that its report must present")
    worker: str = words("who leased it", of="worker.name")
    state: str = words("AttemptState")
    reason: str = words("reason code")
    why: str = words("the same as a sentence")
    leased_at: datetime = moment("when")
    expires_at: datetime = moment("the lease ends by the scheduler's clock")
    ended_at: datetime | None = moment("when it ended; NULL while it lives", optional=True)
    statement: str | None = words("digest of the accepted envelope", optional=True)
    report: str | None = words("a partial's random name", optional=True, unique=True)
    values_digest: str | None = words("digest of the values or result blob", optional=True)
    capsules: int = whole("capsules in the partial", default=0)
    contributors: int = whole("privacy units in the partial", default=0)
    sealed: bytes | None = raw("the helper's share, sealed; gone with the round", optional=True)
