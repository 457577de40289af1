"""The helper's tables, and what a row of each tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from governance.helper.errors import HelperStateRefused
from governance.program import Program
from governance.state_file import Layout
from trust import clock
from trust.documents.root import Duty
from trust.ids import CampaignId, Digest, ReportId

HELPER = Program(Duty.HELPER, HelperStateRefused)
FILE_NAME = HELPER.state_file

_TABLES = """
CREATE TABLE helper (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  territory TEXT NOT NULL,
  status INTEGER NOT NULL           -- highest number of a governance status ever seen
);
CREATE TABLE campaign (
  id TEXT PRIMARY KEY,
  engagement BLOB NOT NULL,         -- the leader's envelope
  authorisation BLOB NOT NULL,      -- the college's envelope
  secret BLOB,                      -- X25519 private key; NULL once destroyed
  certificate BLOB NOT NULL,        -- HelperKey envelope
  rounds INTEGER NOT NULL,          -- over which the vote splits its price
  logged INTEGER NOT NULL,          -- log size when engaged: its batches come later
  not_after TEXT NOT NULL,
  destroyed BLOB                    -- KeyDestroyed envelope
) WITHOUT ROWID;
CREATE TABLE round (
  campaign TEXT NOT NULL REFERENCES campaign (id),
  number INTEGER NOT NULL,
  asked TEXT NOT NULL,              -- digest of what was asked: plan and sorted reports
  plan TEXT NOT NULL,               -- digest of the plan's envelope
  parameters TEXT NOT NULL,
  accept BLOB NOT NULL,             -- AcceptList envelope
  batch BLOB NOT NULL,              -- the batch's bytes
  profile TEXT,                     -- of its ciphertexts; NULL where shares are summed
  share BLOB,                       -- AggregateShare envelope, once committed
  masks BLOB,                       -- the blob that it names
  PRIMARY KEY (campaign, number)
) WITHOUT ROWID;
CREATE TABLE report (
  campaign TEXT NOT NULL,
  round INTEGER NOT NULL,
  partial BLOB NOT NULL,            -- the worker's envelope
  sealed BLOB NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (campaign, round, id)
) WITHOUT ROWID;
"""

LAYOUT = Layout(
    holder=HELPER.name,
    refused=HELPER.refused,
    loss="restore it from a backup; rounds that it had answered stay closed by the log",
    version=1,
    tables=(_TABLES,),
    table="helper",
)


@dataclass(frozen=True)
class Campaign:
    """A campaign that the helper was engaged for."""

    id: CampaignId
    engagement: bytes
    authorisation: bytes
    secret: bytes | None = field(repr=False)
    certificate: bytes
    rounds: int
    logged: int
    not_after: datetime
    destroyed: bytes | None


@dataclass(frozen=True)
class Round:
    """A prepared round, with the answer once it was given."""

    campaign: CampaignId
    number: int
    asked: Digest
    plan: Digest
    parameters: Digest
    accept: bytes
    batch: bytes
    profile: str | None = None  # of protection.ckks.profile, where ciphertexts are summed
    share: bytes | None = None
    masks: bytes | None = None


@dataclass(frozen=True)
class Kept:
    """One accepted report."""

    report: ReportId
    partial: bytes
    sealed: bytes


def campaign_of(row: Sequence[object]) -> Campaign:
    """The row of table `campaign`."""
    name, engagement, authorisation, secret, certificate, rounds, logged, not_after, end = row
    return Campaign(
        CampaignId.parse(str(name)),
        LAYOUT.blob(engagement),
        LAYOUT.blob(authorisation),
        LAYOUT.blob_or_none(secret),
        LAYOUT.blob(certificate),
        int(str(rounds)),
        int(str(logged)),
        clock.from_text(str(not_after)),
        LAYOUT.blob_or_none(end),
    )


def round_of(row: Sequence[object]) -> Round:
    """The row of table `round`."""
    campaign, number, asked, plan, parameters, accept, batch, profile, share, masks = row
    return Round(
        CampaignId.parse(str(campaign)),
        int(str(number)),
        Digest.parse(str(asked)),
        Digest.parse(str(plan)),
        Digest.parse(str(parameters)),
        LAYOUT.blob(accept),
        LAYOUT.blob(batch),
        None if profile is None else str(profile),
        LAYOUT.blob_or_none(share),
        LAYOUT.blob_or_none(masks),
    )
