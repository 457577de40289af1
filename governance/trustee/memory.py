"""What a trustee's program must not forget: one SQLite file, 0600.

It holds the private key that shares are sealed to, and for each round the one opening that the
share was given for. A share itself is never in it, other than sealed to the keyholder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from governance.program import Program
from governance.state_file import Layout, StateFile
from governance.trustee.errors import TrusteeStateRefused
from trust.documents.root import Duty
from trust.ids import CampaignId, Digest

TRUSTEE = Program(Duty.TRUSTEE, TrusteeStateRefused)
FILE_NAME = TRUSTEE.state_file

_TABLES = """
CREATE TABLE trustee (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  territory TEXT NOT NULL,
  status INTEGER NOT NULL,          -- highest number of a governance status ever seen
  secret BLOB,                      -- X25519 private key
  certificate BLOB                  -- TrusteeKey envelope
);
CREATE TABLE given (
  campaign TEXT NOT NULL,
  round INTEGER NOT NULL,
  question TEXT NOT NULL,           -- digest of epoch, batch and sums: the only one for ever
  request TEXT NOT NULL,            -- digest of the ShareRequest that was answered last
  returned BLOB NOT NULL,           -- ShareReturned envelope
  sealed BLOB NOT NULL,             -- the share, sealed to that request's key
  PRIMARY KEY (campaign, round)
) WITHOUT ROWID;
"""

LAYOUT = Layout(
    holder=TRUSTEE.name,
    refused=TRUSTEE.refused,
    loss="restore it from a backup, or make a new key with `cadastre trustee init`",
    version=1,
    tables=(_TABLES,),
    table="trustee",
    journal="DELETE",  # one file whenever nothing runs, on whatever a person keeps it
)


@dataclass(frozen=True)
class Identity:
    """The sealing key, and its public half as the trustee signed it."""

    secret: bytes = field(repr=False)
    certificate: bytes


@dataclass(frozen=True)
class Given:
    """The share as it was given for one round."""

    campaign: CampaignId
    round: int
    question: Digest
    request: Digest
    returned: bytes
    sealed: bytes


class Memory(StateFile):
    """A trustee's state; every method is one durable transaction."""

    def __init__(self, folder: Path, territory: str) -> None:
        """Open or make it. Raises TrusteeStateRefused."""
        super().__init__(LAYOUT, folder / FILE_NAME, territory)

    def identity(self) -> Identity | None:
        """The trustee's sealing key, once it was made."""
        with self._transaction() as sql:
            secret, certificate = sql.execute("SELECT secret, certificate FROM trustee").fetchone()
        return None if secret is None else Identity(secret, certificate)

    def become(self, make: Callable[[], Identity]) -> Identity:
        """The key that is there, or else the one that `make` gives, kept."""
        with self._transaction() as sql:
            secret, certificate = sql.execute("SELECT secret, certificate FROM trustee").fetchone()
            if secret is not None:
                return Identity(secret, certificate)
            made = make()
            sql.execute(
                "UPDATE trustee SET secret = ?, certificate = ?", [made.secret, made.certificate]
            )
        return made

    def given(self, campaign: CampaignId, number: int) -> Given | None:
        """For what the share was given in one round."""
        with self._transaction() as sql:
            row = sql.execute(
                "SELECT * FROM given WHERE campaign = ? AND round = ?", [campaign, number]
            ).fetchone()
        return None if row is None else _given(row)

    def give(self, given: Given) -> Given:
        """Remember it before it is sent; answers what counts.

        Another request for the same question replaces the answer; another question never does.
        """
        with self._transaction() as sql:
            sql.execute(
                "INSERT INTO given VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (campaign, round) "
                "DO UPDATE SET request = excluded.request, returned = excluded.returned, "
                "sealed = excluded.sealed WHERE question = excluded.question",
                [
                    given.campaign,
                    given.round,
                    given.question,
                    given.request,
                    given.returned,
                    given.sealed,
                ],
            )
            row = sql.execute(
                "SELECT * FROM given WHERE campaign = ? AND round = ?",
                [given.campaign, given.round],
            ).fetchone()
        return _given(row)

    def history(self) -> list[Given]:
        """Every round that the share was given for."""
        with self._transaction() as sql:
            rows = sql.execute("SELECT * FROM given ORDER BY campaign, round").fetchall()
        return [_given(row) for row in rows]


def _given(row: Sequence[object]) -> Given:
    campaign, number, question, request, returned, sealed = row
    return Given(
        CampaignId.parse(str(campaign)),
        int(str(number)),
        Digest.parse(str(question)),
        Digest.parse(str(request)),
        LAYOUT.blob(returned),
        LAYOUT.blob(sealed),
    )
