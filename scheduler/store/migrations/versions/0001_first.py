"""The first schema.

Written out so that later changes of the code never change what this step makes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.types import Moment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "blob",
        sa.Column("digest", sa.Text(), nullable=False, comment="sha256"),
        sa.Column("size", sa.Integer(), nullable=False, comment="bytes"),
        sa.Column(
            "public",
            sa.Boolean(),
            nullable=False,
            comment="readable by every member; else by its giver and auditors",
        ),
        sa.Column(
            "giver", sa.Text(), nullable=False, comment="member that put it; empty: the scheduler"
        ),
        sa.Column("created_at", Moment(), nullable=False, comment="when"),
        sa.PrimaryKeyConstraint("digest"),
        comment="stored blobs",
    )
    op.create_table(
        "bundle",
        sa.Column("digest", sa.Text(), nullable=False, comment="sha256 of the archive"),
        sa.Column(
            "statement",
            sa.Text(),
            nullable=False,
            comment="digest of the author's BundleStatement envelope",
        ),
        sa.Column("manifest", sa.Text(), nullable=False, comment="sha256 of bundle.toml"),
        sa.Column("name", sa.Text(), nullable=False, comment="from the statement"),
        sa.Column("version", sa.Text(), nullable=False, comment="from the statement"),
        sa.Column("author", sa.Text(), nullable=False, comment="the author's public key"),
        sa.Column("submitted_at", Moment(), nullable=False, comment="when"),
        sa.PrimaryKeyConstraint("digest"),
        comment="submitted bundles",
    )
    op.create_table(
        "capsule",
        sa.Column("id", sa.Text(), nullable=False, comment="cap_…: random, names nobody"),
        sa.Column("owner", sa.Text(), nullable=False, comment="public key that signs its consents"),
        sa.PrimaryKeyConstraint("id"),
        comment="owner key per capsule, pinned at first sight",
    )
    op.create_table(
        "commitment",
        sa.Column("digest", sa.Text(), nullable=False, comment="digest of the Commitment envelope"),
        sa.Column("kind", sa.Text(), nullable=False, comment="orders, partials or consents"),
        sa.Column("campaign", sa.Text(), nullable=True, comment="the campaign; NULL for consents"),
        sa.Column(
            "leaves",
            sa.LargeBinary(),
            nullable=False,
            comment="the restricted file: salts, digests and padding in leaf order",
        ),
        sa.Column("created_at", Moment(), nullable=False, comment="when"),
        sa.PrimaryKeyConstraint("digest"),
        comment="commitments over restricted documents",
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False, comment="always 1"),
        sa.Column("territory", sa.Text(), nullable=False, comment="DNS-like name of the territory"),
        sa.Column(
            "clock_mark",
            Moment(),
            nullable=False,
            comment="highest moment given out; time never goes below it",
        ),
        sa.Column(
            "clock_held",
            sa.Boolean(),
            nullable=False,
            comment="true once an operator asked to start in spite of the clock",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="one row: the territory and its clock",
    )
    op.create_table(
        "log_entry",
        sa.Column("id", sa.Integer(), nullable=False, comment="order of appending"),
        sa.Column("kind", sa.Text(), nullable=False, comment="kind of the log entry"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="digest of the envelope, which is a blob already",
        ),
        sa.Column("campaign", sa.Text(), nullable=True, comment="the campaign it belongs to"),
        sa.Column(
            "position", sa.Integer(), nullable=True, comment="index in the log once appended"
        ),
        sa.Column("proof", sa.Text(), nullable=True, comment="C2SP .tlog-proof once witnessed"),
        sa.Column("created_at", Moment(), nullable=False, comment="when it was queued"),
        sa.CheckConstraint(
            "kind IN ('root', 'authorisation', 'suspension', 'plan', 'orders', "
            "'opening', 'release', 'consents', 'enrolment', 'key-event')",
            name="kind_name",
        ),
        sa.CheckConstraint("proof IS NULL OR position IS NOT NULL", name="proof_has_position"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "digest", name="logged_once"),
        comment="what the log holds or will hold next",
    )
    op.create_index(op.f("ix_log_entry_digest"), "log_entry", ["digest"], unique=False)
    op.create_index(
        "log_to_do",
        "log_entry",
        ["id"],
        unique=False,
        sqlite_where=sa.text("proof IS NULL"),
        postgresql_where=sa.text("proof IS NULL"),
    )
    op.create_table(
        "member",
        sa.Column(
            "name", sa.Text(), nullable=False, comment="wrk_… of a worker, else the operator's name"
        ),
        sa.Column("role", sa.Text(), nullable=False, comment="role of its certificates"),
        sa.Column(
            "key", sa.Text(), nullable=False, comment="Ed25519 public key that signs its documents"
        ),
        sa.Column(
            "hpke",
            sa.LargeBinary(),
            nullable=False,
            comment="X25519 public key for what is sealed to it",
        ),
        sa.Column("operator", sa.Text(), nullable=False, comment="who answers for it"),
        sa.Column("site", sa.Text(), nullable=False, comment="where it is"),
        sa.Column("enrolled_at", Moment(), nullable=False, comment="when"),
        sa.Column(
            "enrolment",
            sa.Text(),
            nullable=True,
            comment="digest of its Enrolled envelope in the log",
        ),
        sa.Column(
            "banned_at", Moment(), nullable=True, comment="its certificates are denied since"
        ),
        sa.Column("banned_because", sa.Text(), nullable=True, comment="why, for operators"),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("key"),
        comment="holders of certificates",
    )
    op.create_table(
        "restricted",
        sa.Column("digest", sa.Text(), nullable=False, comment="digest of the envelope"),
        sa.Column("kind", sa.Text(), nullable=False, comment="list that it will be committed in"),
        sa.Column("campaign", sa.Text(), nullable=True, comment="the campaign; NULL for consents"),
        sa.Column("envelope", sa.LargeBinary(), nullable=False, comment="DSSE, verbatim"),
        sa.Column(
            "salt",
            sa.LargeBinary(),
            nullable=False,
            comment="32 random bytes that hide it in its commitment",
        ),
        sa.Column(
            "commitment", sa.Text(), nullable=True, comment="digest of the Commitment envelope"
        ),
        sa.Column("created_at", Moment(), nullable=False, comment="when"),
        sa.CheckConstraint("kind IN ('orders', 'partials', 'consents')", name="kind_name"),
        sa.PrimaryKeyConstraint("digest"),
        comment="orders, partials, conclusions and consents, verbatim",
    )
    op.create_index(
        "restricted_to_commit",
        "restricted",
        ["kind", "campaign"],
        unique=False,
        sqlite_where=sa.text("commitment IS NULL"),
        postgresql_where=sa.text("commitment IS NULL"),
    )
    op.create_table(
        "token",
        sa.Column("digest", sa.Text(), nullable=False, comment="sha256 of the 32-byte secret"),
        sa.Column(
            "role",
            sa.Text(),
            nullable=False,
            comment="role of the certificate that it is exchanged for",
        ),
        sa.Column(
            "operator",
            sa.Text(),
            nullable=False,
            comment="who answers for the machine; the name of a person's certificate",
        ),
        sa.Column("site", sa.Text(), nullable=False, comment="where the machine stands"),
        sa.Column("expires_at", Moment(), nullable=False, comment="not accepted from then on"),
        sa.Column("used_by", sa.Text(), nullable=True, comment="member that used it"),
        sa.Column(
            "used_key",
            sa.Text(),
            nullable=True,
            comment="its public key: the same one may ask again",
        ),
        sa.PrimaryKeyConstraint("digest"),
        comment="one-time enrolment tokens",
    )
    op.create_table(
        "authorisation",
        sa.Column("id", sa.Text(), nullable=False, comment="auth_…"),
        sa.Column("bundle", sa.Text(), nullable=False, comment="the bundle"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="digest of the Authorisation envelope (a blob)",
        ),
        sa.Column("title", sa.Text(), nullable=False, comment="as voted"),
        sa.Column("purpose", sa.Text(), nullable=False, comment="as voted; consents may target it"),
        sa.Column("campaigns", sa.Integer(), nullable=False, comment="campaigns that it allows"),
        sa.Column("not_before", Moment(), nullable=False, comment="start of its window"),
        sa.Column("not_after", Moment(), nullable=False, comment="end of its window"),
        sa.Column(
            "received_at", Moment(), nullable=False, comment="when; the newest valid one is used"
        ),
        sa.Column("suspended_at", Moment(), nullable=True, comment="stopped since"),
        sa.Column("suspended_because", sa.Text(), nullable=True, comment="the college's reason"),
        sa.CheckConstraint(
            "(suspended_at IS NULL) = (suspended_because IS NULL)", name="suspended_has_reason"
        ),
        sa.ForeignKeyConstraint(
            ["bundle"],
            ["bundle.digest"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        comment="authorisations of the college",
    )
    op.create_index(op.f("ix_authorisation_bundle"), "authorisation", ["bundle"], unique=False)
    op.create_table(
        "consent",
        sa.Column("capsule", sa.Text(), nullable=False, comment="the capsule"),
        sa.Column("target", sa.Text(), nullable=False, comment="bundle digest or purpose:…"),
        sa.Column("worker", sa.Text(), nullable=False, comment="host that the owner chose"),
        sa.Column("serial", sa.Integer(), nullable=False, comment="grows with every decision"),
        sa.Column("decision", sa.Text(), nullable=False, comment="grant or revoke"),
        sa.Column(
            "tables",
            sa.Text(),
            nullable=False,
            comment="space-separated names of the tables it covers",
        ),
        sa.Column("expires_at", Moment(), nullable=False, comment="end of a grant"),
        sa.Column("received_at", Moment(), nullable=False, comment="when it came in"),
        sa.Column("digest", sa.Text(), nullable=False, comment="digest of the envelope"),
        sa.Column("delivered", sa.Boolean(), nullable=False, comment="its host has it"),
        sa.Column(
            "delivering",
            sa.Integer(),
            nullable=False,
            comment="exchange sequence that carried it; 0: none",
        ),
        sa.CheckConstraint("decision IN ('grant', 'revoke')", name="decision_name"),
        sa.ForeignKeyConstraint(
            ["capsule"],
            ["capsule.id"],
        ),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["restricted.digest"],
        ),
        sa.PrimaryKeyConstraint("capsule", "target"),
        comment="newest consent per capsule and target",
    )
    op.create_index("consent_of_worker", "consent", ["worker", "target"], unique=False)
    op.create_index(
        "consent_to_deliver",
        "consent",
        ["worker"],
        unique=False,
        sqlite_where=sa.text("NOT delivered"),
        postgresql_where=sa.text("NOT delivered"),
    )
    op.create_table(
        "worker",
        sa.Column("name", sa.Text(), nullable=False, comment="the member"),
        sa.Column("last_seen", Moment(), nullable=True, comment="last exchange"),
        sa.Column(
            "sequence",
            sa.Integer(),
            nullable=False,
            comment="number of its last accepted report batch",
        ),
        sa.Column("slots", sa.Integer(), nullable=False, comment="attempts that it can start now"),
        sa.Column("level", sa.Text(), nullable=False, comment="sandbox level of its self-test"),
        sa.Column(
            "image", sa.Text(), nullable=True, comment="digest of its runtime image (a claim)"
        ),
        sa.Column("libraries", sa.Text(), nullable=False, comment="space-separated names"),
        sa.Column("contributes", sa.Boolean(), nullable=False, comment="hosts capsules"),
        sa.Column("concludes", sa.Boolean(), nullable=False, comment="says that it concludes"),
        sa.Column("draining", sa.Boolean(), nullable=False, comment="its keeper wants nothing new"),
        sa.Column("quota_daily", sa.Integer(), nullable=False, comment="attempts a day"),
        sa.Column(
            "quota_used", sa.Integer(), nullable=False, comment="attempts leased on quota_day"
        ),
        sa.Column("quota_day", sa.Integer(), nullable=False, comment="days since 1970"),
        sa.ForeignKeyConstraint(
            ["name"],
            ["member.name"],
        ),
        sa.PrimaryKeyConstraint("name"),
        comment="live view of workers",
    )
    op.create_table(
        "campaign",
        sa.Column("id", sa.Text(), nullable=False, comment="camp_…"),
        sa.Column("bundle", sa.Text(), nullable=False, comment="digest of the bundle"),
        sa.Column(
            "authorisation",
            sa.Text(),
            nullable=False,
            comment="the college's decision that it rests on",
        ),
        sa.Column("parameters", sa.Text(), nullable=False, comment="digest of the parameter blob"),
        sa.Column("started_by", sa.Text(), nullable=False, comment="operator that started it"),
        sa.Column("request", sa.Text(), nullable=False, comment="the operator's idempotency key"),
        sa.Column("state", sa.Text(), nullable=False, comment="CampaignState"),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="reason code why it waits or ended; empty when it moves",
        ),
        sa.Column("why", sa.Text(), nullable=False, comment="the same as a sentence"),
        sa.Column("created_at", Moment(), nullable=False, comment="when it was started"),
        sa.Column(
            "plan_before",
            Moment(),
            nullable=False,
            comment="a draft that is not planned by then fails",
        ),
        sa.Column("updated_at", Moment(), nullable=False, comment="last change"),
        sa.Column(
            "updated_by",
            sa.Text(),
            nullable=False,
            comment="name of the transaction that changed it last",
        ),
        sa.Column("release", sa.Text(), nullable=True, comment="digest of the Release envelope"),
        sa.CheckConstraint(
            "(state = 'released') = (release IS NOT NULL)", name="released_has_release"
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'running', 'concluding', 'released', 'failed', 'cancelled')",
            name="state_name",
        ),
        sa.ForeignKeyConstraint(
            ["authorisation"],
            ["authorisation.id"],
        ),
        sa.ForeignKeyConstraint(
            ["bundle"],
            ["bundle.digest"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("started_by", "request", name="request_once"),
        comment="runs of authorised bundles",
    )
    op.create_index(
        "campaign_moving",
        "campaign",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state IN ('draft', 'running', 'concluding')"),
        postgresql_where=sa.text("state IN ('draft', 'running', 'concluding')"),
    )
    op.create_table(
        "exchange",
        sa.Column("worker", sa.Text(), nullable=False, comment="the worker"),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="number of the report batch"),
        sa.Column(
            "request", sa.Text(), nullable=False, comment="digest of the report batch's envelope"
        ),
        sa.Column(
            "acknowledgements",
            sa.LargeBinary(),
            nullable=False,
            comment="JSON list, what the reports came to; fixed at acceptance",
        ),
        sa.Column(
            "answer",
            sa.LargeBinary(),
            nullable=True,
            comment="the whole ExchangeResponse; NULL while polling",
        ),
        sa.Column("created_at", Moment(), nullable=False, comment="when the batch was accepted"),
        sa.ForeignKeyConstraint(
            ["worker"],
            ["worker.name"],
        ),
        sa.PrimaryKeyConstraint("worker", "sequence"),
        comment="idempotent exchanges; the last few per worker are kept",
    )
    op.create_table(
        "round",
        sa.Column("campaign", sa.Text(), nullable=False, comment="the campaign"),
        sa.Column("number", sa.Integer(), nullable=False, comment="from 1"),
        sa.Column("state", sa.Text(), nullable=False, comment="RoundState"),
        sa.Column("plan", sa.Text(), nullable=False, comment="digest of the Plan envelope"),
        sa.Column(
            "issued_at",
            Moment(),
            nullable=False,
            comment="the plan's moment: consents live then may be counted",
        ),
        sa.Column(
            "deadline", Moment(), nullable=False, comment="no report is accepted from then on"
        ),
        sa.Column(
            "capsules",
            sa.Integer(),
            nullable=False,
            comment="live consents of the chosen workers when it was planned",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="reason code"),
        sa.Column("why", sa.Text(), nullable=False, comment="the same as a sentence"),
        sa.Column("batch", sa.Text(), nullable=True, comment="digest of the frozen batch lines"),
        sa.Column("aggregate", sa.Text(), nullable=True, comment="digest of the aggregate blob"),
        sa.Column("opening", sa.Text(), nullable=True, comment="digest of the Opening envelope"),
        sa.Column(
            "contributors",
            sa.Integer(),
            nullable=False,
            comment="privacy units in the batch, exact; never published",
        ),
        sa.CheckConstraint("(state = 'opened') = (opening IS NOT NULL)", name="opened_has_opening"),
        sa.CheckConstraint(
            "state = 'open' OR state = 'aborted' OR batch IS NOT NULL", name="prepared_has_batch"
        ),
        sa.CheckConstraint(
            "state IN ('open', 'preparing', 'opened', 'aborted')", name="state_name"
        ),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["campaign.id"],
        ),
        sa.PrimaryKeyConstraint("campaign", "number"),
        sa.UniqueConstraint("opening"),
        comment="rounds of campaigns",
    )
    op.create_table(
        "unit",
        sa.Column("id", sa.Text(), nullable=False, comment="unit_…"),
        sa.Column("campaign", sa.Text(), nullable=False, comment="the campaign"),
        sa.Column("round", sa.Integer(), nullable=False, comment="the round"),
        sa.Column("kind", sa.Text(), nullable=False, comment="UnitKind"),
        sa.Column("worker", sa.Text(), nullable=True, comment="who must do it; NULL: any that can"),
        sa.Column("state", sa.Text(), nullable=False, comment="UnitState"),
        sa.Column("reason", sa.Text(), nullable=False, comment="reason code"),
        sa.Column("why", sa.Text(), nullable=False, comment="the same as a sentence"),
        sa.Column(
            "capsules",
            sa.Integer(),
            nullable=False,
            comment="live consents of the worker when the round was planned",
        ),
        sa.Column("deadline", Moment(), nullable=False, comment="the unit ends by then"),
        sa.Column("not_before", Moment(), nullable=True, comment="end of back-off"),
        sa.Column(
            "maximum_attempts", sa.Integer(), nullable=False, comment="leases that it may have"
        ),
        sa.Column("lease_seconds", sa.Integer(), nullable=False, comment="length of one lease"),
        sa.Column(
            "needs",
            sa.Text(),
            nullable=False,
            comment="digest of the envelope that must be logged before it is ready",
        ),
        sa.Column("done", sa.Integer(), nullable=False, comment="live progress, in capsules"),
        sa.Column("updated_at", Moment(), nullable=False, comment="last change"),
        sa.Column(
            "updated_by",
            sa.Text(),
            nullable=False,
            comment="name of the transaction that changed it last",
        ),
        sa.CheckConstraint("kind IN ('contribute', 'conclude')", name="kind_name"),
        sa.CheckConstraint(
            "state IN ('waiting', 'ready', 'leased', 'satisfied', 'failed', 'cancelled')",
            name="state_name",
        ),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["campaign.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("campaign", "round", "kind", "worker", name="one_unit_per_worker"),
        comment="what one worker has to do in one round",
    )
    op.create_index(op.f("ix_unit_campaign"), "unit", ["campaign"], unique=False)
    op.create_index(
        "unit_moving",
        "unit",
        ["deadline"],
        unique=False,
        sqlite_where=sa.text("state IN ('waiting', 'ready', 'leased')"),
        postgresql_where=sa.text("state IN ('waiting', 'ready', 'leased')"),
    )
    op.create_index(
        "unit_to_lease",
        "unit",
        ["worker", "kind"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Text(), nullable=False, comment="att_…"),
        sa.Column("unit", sa.Text(), nullable=False, comment="the unit"),
        sa.Column("number", sa.Integer(), nullable=False, comment="from 1"),
        sa.Column(
            "token", sa.Text(), nullable=False, comment="fencing token that its report must present"
        ),
        sa.Column("worker", sa.Text(), nullable=False, comment="who leased it"),
        sa.Column("state", sa.Text(), nullable=False, comment="AttemptState"),
        sa.Column("reason", sa.Text(), nullable=False, comment="reason code"),
        sa.Column("why", sa.Text(), nullable=False, comment="the same as a sentence"),
        sa.Column("leased_at", Moment(), nullable=False, comment="when"),
        sa.Column(
            "expires_at",
            Moment(),
            nullable=False,
            comment="the lease ends by the scheduler's clock",
        ),
        sa.Column("statement", sa.Text(), nullable=True, comment="digest of the accepted envelope"),
        sa.Column("report", sa.Text(), nullable=True, comment="a partial's random name"),
        sa.Column(
            "values_digest", sa.Text(), nullable=True, comment="digest of the values or result blob"
        ),
        sa.Column("capsules", sa.Integer(), nullable=False, comment="capsules in the partial"),
        sa.Column(
            "contributors", sa.Integer(), nullable=False, comment="privacy units in the partial"
        ),
        sa.CheckConstraint(
            "state <> 'accepted' OR statement IS NOT NULL", name="accepted_has_statement"
        ),
        sa.CheckConstraint(
            "state IN ('leased', 'reported', 'accepted', 'rejected', "
            "'expired', 'abandoned', 'cancelled')",
            name="state_name",
        ),
        sa.ForeignKeyConstraint(
            ["unit"],
            ["unit.id"],
        ),
        sa.ForeignKeyConstraint(
            ["worker"],
            ["worker.name"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("report"),
        sa.UniqueConstraint("unit", "number", name="attempt_number"),
        comment="leases of units",
    )
    op.create_index(
        "attempt_expiry",
        "attempt",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state IN ('leased', 'reported')"),
        postgresql_where=sa.text("state IN ('leased', 'reported')"),
    )
    op.create_index(
        "attempt_live",
        "attempt",
        ["unit"],
        unique=True,
        sqlite_where=sa.text("state IN ('leased', 'reported')"),
        postgresql_where=sa.text("state IN ('leased', 'reported')"),
    )
    op.create_index(
        "attempt_of_worker",
        "attempt",
        ["worker"],
        unique=False,
        sqlite_where=sa.text("state IN ('leased', 'reported')"),
        postgresql_where=sa.text("state IN ('leased', 'reported')"),
    )
    op.create_index(op.f("ix_attempt_unit"), "attempt", ["unit"], unique=False)


def downgrade() -> None:
    """Forget everything."""
    op.drop_table("attempt")
    op.drop_table("unit")
    op.drop_table("round")
    op.drop_table("exchange")
    op.drop_table("campaign")
    op.drop_table("worker")
    op.drop_table("consent")
    op.drop_table("authorisation")
    op.drop_table("token")
    op.drop_table("restricted")
    op.drop_table("member")
    op.drop_table("log_entry")
    op.drop_table("installation")
    op.drop_table("commitment")
    op.drop_table("capsule")
    op.drop_table("bundle")
    op.drop_table("blob")
