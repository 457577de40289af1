"""The keyholder's tables, and what a row of each tells."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime

from governance.keyholder.errors import KeyholderStateRefused
from governance.program import Program
from governance.state_file import Layout
from trust import clock
from trust.documents.root import Duty
from trust.ids import CampaignId, Digest, ReportId

KEYHOLDER = Program(Duty.KEYHOLDER, KeyholderStateRefused)
FILE_NAME = KEYHOLDER.state_file

_TABLES = """
CREATE TABLE keyholder (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  territory TEXT NOT NULL,
  status INTEGER NOT NULL           -- highest number of a governance status ever seen
);
CREATE TABLE campaign (
  id TEXT PRIMARY KEY,
  engagement BLOB NOT NULL,         -- the leader's envelope
  authorisation BLOB NOT NULL,      -- the college's envelope
  proof BLOB NOT NULL,              -- that it is logged
  rounds INTEGER NOT NULL           -- over which the vote splits its price
) WITHOUT ROWID;
CREATE TABLE epoch (
  campaign TEXT PRIMARY KEY REFERENCES campaign (id),
  certificate BLOB NOT NULL,        -- EpochKey envelope
  public BLOB NOT NULL,             -- public context
  not_after TEXT NOT NULL,
  wrapped BLOB,                     -- secret key under the shared wrapping key; NULL once retired
  retired BLOB                      -- EpochRetired envelope
);
CREATE TABLE entrusted (
  campaign TEXT NOT NULL REFERENCES epoch (campaign),
  place INTEGER NOT NULL,
  trustee BLOB NOT NULL,            -- TrusteeKey envelope
  sealed BLOB,                      -- the share, sealed to that key; NULL once retired
  PRIMARY KEY (campaign, place)
) WITHOUT ROWID;
CREATE TABLE round (
  campaign TEXT NOT NULL REFERENCES epoch (campaign),
  number INTEGER NOT NULL,
  asked TEXT NOT NULL,              -- digest of what was asked: plan and sorted reports
  plan BLOB NOT NULL,
  proof BLOB NOT NULL,
  epoch_proof BLOB NOT NULL,
  logged INTEGER NOT NULL,          -- the EpochKey's index in the log
  accept BLOB NOT NULL,             -- AcceptList envelope
  question TEXT,                    -- digest of the one opening that was asked for
  opened BLOB,                      -- AggregateOpened envelope
  "values" BLOB,                    -- the blob that it names
  PRIMARY KEY (campaign, number)
) WITHOUT ROWID;
CREATE TABLE report (
  campaign TEXT NOT NULL,
  round INTEGER NOT NULL,
  id TEXT NOT NULL,
  partial BLOB NOT NULL,            -- the worker's envelope
  operator TEXT NOT NULL,
  PRIMARY KEY (campaign, round, id)
) WITHOUT ROWID;
CREATE TABLE record (
  campaign TEXT NOT NULL,
  round INTEGER NOT NULL,
  place INTEGER NOT NULL,           -- 0 is the ShareRequest
  envelope BLOB NOT NULL,
  PRIMARY KEY (campaign, round, place)
) WITHOUT ROWID;
"""

LAYOUT = Layout(
    holder=KEYHOLDER.name,
    refused=KEYHOLDER.refused,
    loss="restore it from a backup; rounds that it had opened stay closed by the log",
    version=1,
    tables=(_TABLES,),
    table="keyholder",
)


@dataclass(frozen=True)
class Campaign:
    """A campaign that the keyholder admitted."""

    id: CampaignId
    engagement: bytes
    authorisation: bytes
    proof: bytes  # of the authorisation
    rounds: int  # over which the vote splits its price


@dataclass(frozen=True)
class Epoch:
    """A campaign's key; what was secret in it is gone once it is retired."""

    campaign: CampaignId
    certificate: bytes  # EpochKey envelope
    public: bytes
    not_after: datetime
    wrapped: bytes | None = field(repr=False)
    retired: bytes | None = None  # EpochRetired envelope


@dataclass(frozen=True)
class Entrusted:
    """One trustee's place in an epoch."""

    place: int
    trustee: bytes  # TrusteeKey envelope
    sealed: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Round:
    """A prepared round; `question` names the only opening that it can still have."""

    campaign: CampaignId
    number: int
    asked: Digest  # what *prepare* was asked: plan and reports
    plan: bytes
    proof: bytes  # of the plan
    epoch_proof: bytes  # of the EpochKey
    logged: int  # the EpochKey's place in the log: batches come later
    accept: bytes
    question: Digest | None = None
    opened: bytes | None = None
    values: bytes | None = None


@dataclass(frozen=True)
class Kept:
    """One accepted report."""

    report: ReportId
    partial: bytes
    operator: str


def campaign_in(sql: sqlite3.Connection, campaign: CampaignId) -> Campaign | None:
    """An admitted campaign."""
    row = sql.execute("SELECT * FROM campaign WHERE id = ?", [campaign]).fetchone()
    if row is None:
        return None
    name, engagement, authorisation, proof, rounds = row
    return Campaign(
        CampaignId.parse(name),
        LAYOUT.blob(engagement),
        LAYOUT.blob(authorisation),
        LAYOUT.blob(proof),
        rounds,
    )


def epoch_in(sql: sqlite3.Connection, campaign: CampaignId) -> Epoch | None:
    """A campaign's key epoch, alive or retired."""
    row = sql.execute("SELECT * FROM epoch WHERE campaign = ?", [campaign]).fetchone()
    if row is None:
        return None
    name, certificate, public, not_after, wrapped, retired = row
    return Epoch(
        CampaignId.parse(name),
        LAYOUT.blob(certificate),
        LAYOUT.blob(public),
        clock.from_text(not_after),
        LAYOUT.blob_or_none(wrapped),
        LAYOUT.blob_or_none(retired),
    )


def round_in(sql: sqlite3.Connection, campaign: CampaignId, number: int) -> Round | None:
    """A prepared round."""
    row = sql.execute(
        "SELECT * FROM round WHERE campaign = ? AND number = ?", [campaign, number]
    ).fetchone()
    if row is None:
        return None
    name, at, asked, plan, proof, epoch, logged, accept, question, opened, values = row
    return Round(
        CampaignId.parse(name),
        at,
        Digest.parse(asked),
        LAYOUT.blob(plan),
        LAYOUT.blob(proof),
        LAYOUT.blob(epoch),
        logged,
        LAYOUT.blob(accept),
        None if question is None else Digest.parse(question),
        LAYOUT.blob_or_none(opened),
        LAYOUT.blob_or_none(values),
    )
