"""Signed documents and blobs: what was submitted, logged or kept for accredited auditors."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import SQLModel

from scheduler.store.columns import flag, moment, raw, whole, words
from scheduler.store.types import one_of
from trust.documents.consent import Decision
from trust.log.entry import Kind


class BundleRow(SQLModel, table=True):
    """A submitted bundle; its bytes and its statement are blobs."""

    __tablename__ = "bundle"
    __table_args__ = (
        Index("bundle_by_age", "submitted_at", "digest"),
        Index("bundle_of_author", "author", "submitted_at", "digest"),
        {"comment": "submitted bundles"},
    )

    digest: str = words("sha256 of the archive", key=True)
    statement: str = words("digest of the author's BundleStatement envelope")
    manifest: str = words("sha256 of bundle.toml")
    name: str = words("from the statement")
    version: str = words("from the statement")
    author: str = words("the author's public key")
    submitted_at: datetime = moment("when")
    fingerprint: str = words("short name of the author's key", default="", index=True)


class AuthorisationRow(SQLModel, table=True):
    """The college's decision about one bundle."""

    __tablename__ = "authorisation"
    __table_args__ = (
        CheckConstraint(
            "(suspended_at IS NULL) = (suspended_because IS NULL)", name="suspended_has_reason"
        ),
        {"comment": "authorisations of the college"},
    )

    id: str = words("auth_…", key=True)
    bundle: str = words("the bundle", of="bundle.digest", index=True)
    digest: str = words("digest of the Authorisation envelope (a blob)", unique=True)
    title: str = words("as voted")
    purpose: str = words("as voted; consents may target it")
    campaigns: int = whole("campaigns that it allows")
    not_before: datetime = moment("start of its window")
    not_after: datetime = moment("end of its window")
    received_at: datetime = moment("when; the newest valid one is used")
    suspended_at: datetime | None = moment("stopped since", optional=True)
    suspended_because: str | None = words("the college's reason", optional=True)


class CapsuleRow(SQLModel, table=True):
    """Who speaks for a capsule: the key of its first consent, pinned."""

    __tablename__ = "capsule"
    __table_args__ = ({"comment": "owner key per capsule, pinned at first sight"},)

    id: str = words("cap_…: random, names nobody", key=True)
    owner: str = words("public key that signs its consents")


class ConsentRow(SQLModel, table=True):
    """The newest decision per capsule and target."""

    __tablename__ = "consent"
    __table_args__ = (
        one_of("decision", Decision),
        Index("consent_of_worker", "worker", "target"),
        Index(
            "consent_live",
            "worker",
            "decision",  # so that a count reads the index and not the rows
            "capsule",
            "expires_at",
            sqlite_where=text("decision = 'grant'"),
            postgresql_where=text("decision = 'grant'"),
        ),
        Index(
            "consent_to_deliver",
            "worker",
            sqlite_where=text("NOT delivered"),
            postgresql_where=text("NOT delivered"),
        ),
        {"comment": "newest consent per capsule and target"},
    )

    capsule: str = words("the capsule", key=True, of="capsule.id")
    target: str = words("bundle digest or purpose:…", key=True)
    worker: str = words("host that the owner chose")
    serial: int = whole("grows with every decision")
    decision: str = words("grant or revoke")
    tables: str = words("space-separated names of the tables it covers")
    expires_at: datetime = moment("end of a grant")
    received_at: datetime = moment("when it came in")
    digest: str = words("digest of the envelope", of="restricted.digest")
    delivered: bool = flag("its host has it")
    delivering: int = whole("exchange sequence that carried it; 0: none", default=0)


class LogRow(SQLModel, table=True):
    """Outbox of the log: written with the change, appended afterwards, in this order."""

    __tablename__ = "log_entry"
    __table_args__ = (
        one_of("kind", Kind),
        UniqueConstraint("kind", "digest", name="logged_once"),
        CheckConstraint("proof IS NULL OR position IS NOT NULL", name="proof_has_position"),
        Index(
            "log_to_do",
            "id",
            sqlite_where=text("proof IS NULL"),
            postgresql_where=text("proof IS NULL"),
        ),
        Index("log_position", "position"),
        Index("log_of_kind", "kind", "position"),
        Index("log_of_campaign", "campaign", "position"),
        Index("log_of_bundle", "bundle", "position"),
        {"comment": "what the log holds or will hold next"},
    )

    id: int | None = whole("order of appending", key=True, optional=True)
    kind: str = words("kind of the log entry")
    digest: str = words("digest of the envelope, which is a blob already", index=True)
    campaign: str | None = words("the campaign it belongs to", optional=True)
    position: int | None = whole("index in the log once appended", optional=True)
    proof: str | None = words("C2SP .tlog-proof once witnessed", optional=True)
    created_at: datetime = moment("when it was queued")
    leaf: str | None = words("hash of the entry in the tree, hex", optional=True, index=True)
    bundle: str | None = words("the bundle that it is about", optional=True)


class CheckpointRow(SQLModel, table=True):
    """A checkpoint that the log published; the newest cosignatures of it are kept."""

    __tablename__ = "log_checkpoint"
    __table_args__ = ({"comment": "checkpoints that the log published"},)

    size: int = whole("entries that it covers", key=True)
    root: str = words("root of the tree, hex")
    note: str = words("as signed, with the newest cosignatures")
    seen_at: datetime = moment("when the scheduler published it")


class RestrictedRow(SQLModel, table=True):
    """A document for accredited auditors only; the public sees salted, padded roots."""

    __tablename__ = "restricted"
    __table_args__ = (
        CheckConstraint("kind IN ('orders', 'partials', 'consents')", name="kind_name"),
        Index(
            "restricted_to_commit",
            "kind",
            "campaign",
            sqlite_where=text("commitment IS NULL"),
            postgresql_where=text("commitment IS NULL"),
        ),
        {"comment": "orders, partials, conclusions and consents, verbatim"},
    )

    digest: str = words("digest of the envelope", key=True)
    kind: str = words("list that it will be committed in")
    campaign: str | None = words("the campaign; NULL for consents", optional=True)
    envelope: bytes = raw("DSSE, verbatim")
    salt: bytes = raw("32 random bytes that hide it in its commitment")
    commitment: str | None = words("digest of the Commitment envelope", optional=True)
    created_at: datetime = moment("when")


class CommitmentRow(SQLModel, table=True):
    """A logged commitment and the restricted list behind it."""

    __tablename__ = "commitment"
    __table_args__ = ({"comment": "commitments over restricted documents"},)

    digest: str = words("digest of the Commitment envelope", key=True)
    kind: str = words("orders, partials or consents")
    campaign: str | None = words("the campaign; NULL for consents", optional=True)
    leaves: bytes = raw("the restricted file: salts, digests and padding in leaf order")
    created_at: datetime = moment("when")


class BlobRow(SQLModel, table=True):
    """Who may read a blob; the bytes are in the content-addressed folder."""

    __tablename__ = "blob"
    __table_args__ = ({"comment": "stored blobs"},)

    digest: str = words("sha256", key=True)
    size: int = whole("bytes")
    public: bool = flag("readable by every member; else by its giver and auditors")
    giver: str = words("member that put it; empty: the scheduler")
    created_at: datetime = moment("when")
