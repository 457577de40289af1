"""Consents on the worker: kept durably, the highest serial wins, and the default is no.

Every consent is verified against the owner key in the capsule's signed header, both when it
comes in and each time the gate is asked, so that an edited state file opens nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from capsule_runtime.capsules.decisions import MAXIMUM_LIFETIME, read_directory
from capsule_runtime.capsules.errors import (
    ConsentExpired,
    ConsentMissing,
    ConsentRefused,
    ConsentRevoked,
    ConsentStale,
)
from capsule_runtime.capsules.grants import CLOCK_TOLERANCE
from capsule_runtime.database import Database
from trust import clock, schema
from trust.documents import signed
from trust.documents.consent import PURPOSE_PREFIX, Consent, Decision
from trust.dsse import Envelope
from trust.errors import TrustError
from trust.ids import CapsuleId, Digest, WorkerId
from trust.keys import PublicKey
from trust.problem import Problem

__all__ = [
    "MAXIMUM_LIFETIME",
    "ConsentGate",
    "ConsentImport",
    "ConsentStore",
    "VerifiedConsent",
    "read_directory",
]

FILE_NAME = "consents.sqlite"
MAXIMUM_PURPOSE_LETTERS = 400  # as a manifest's purpose
# Ours: an owner is asked a few times a year. Withdrawals have room beyond every yes.
MAXIMUM_GRANTED_TARGETS = 256
MAXIMUM_TARGETS = 1024
_APPLICATION = 0x43414403  # "CAD", file kind 3
_VERSION = 1
_SCHEMA = (
    # The decision with the highest serial per capsule and target; `envelope` is verbatim.
    """CREATE TABLE consent (
        capsule TEXT NOT NULL, target TEXT NOT NULL, serial INTEGER NOT NULL,
        decision TEXT NOT NULL, expires_at TEXT NOT NULL, envelope BLOB NOT NULL,
        PRIMARY KEY (capsule, target)
    ) WITHOUT ROWID""",
)

OwnerOf = Callable[[CapsuleId], PublicKey]


@dataclass(frozen=True)
class VerifiedConsent:
    """A live yes whose signature, owner, host, tables and dates held at the moment asked."""

    consent: Consent
    digest: Digest  # of the verbatim envelope


@dataclass(frozen=True)
class ConsentImport:
    """What one import did; a refused consent never holds up the others (or a withdrawal)."""

    accepted: int
    unchanged: int
    refused: tuple[tuple[int, Problem], ...]  # (position in the batch, why)


class ConsentStore:
    """Consents in `<state>/consents.sqlite`."""

    def __init__(self, state: Path) -> None:
        self._database = Database(
            state / FILE_NAME, application=_APPLICATION, version=_VERSION, schema=_SCHEMA
        )

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def add(self, raws: Iterable[bytes], owner_of: OwnerOf) -> ConsentImport:
        """Verify and keep consents, in one transaction.

        `owner_of` gives the owner key of a hosted capsule or raises CapsuleMissing. Refusals
        (ConsentStale, ConsentRefused, CapsuleMissing) are returned per consent; the others are
        on disk when this returns. Raises StorageFailed; then none of them is.
        """
        accepted, unchanged = 0, 0
        refused: list[tuple[int, Problem]] = []
        with self._database.transaction() as connection:
            for position, raw in enumerate(raws):
                try:
                    if _insert(connection, verify(raw, owner_of)):
                        accepted += 1
                    else:
                        unchanged += 1
                except Problem as problem:
                    refused.append((position, problem))
        return ConsentImport(accepted, unchanged, tuple(refused))

    def latest(self, capsule: CapsuleId, target: str, owner: PublicKey) -> VerifiedConsent | None:
        """The owner's last word on `target`, signature re-verified; None when there is none."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT envelope FROM consent WHERE capsule=? AND target=?", (capsule, target)
            ).fetchone()
        if row is None:
            return None
        found = verify(bytes(row[0]), lambda _: owner)
        if (found.document.capsule, found.document.target) != (capsule, target):
            raise ConsentRefused(
                "a stored consent is filed under another capsule or target",
                remedy="restore the worker's state from its backup: its consents were altered",
            )
        return VerifiedConsent(found.document, found.digest)

    def decisions(self) -> list[tuple[CapsuleId, str, int, Decision, datetime]]:
        """Every last word: (capsule, target, serial, decision, expiry)."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT capsule, target, serial, decision, expires_at FROM consent"
                " ORDER BY capsule, target"
            ).fetchall()
        return [
            (CapsuleId(capsule), target, serial, Decision(decision), clock.from_text(expires))
            for capsule, target, serial, decision, expires in rows
        ]

    def erase(self, capsules: Iterable[CapsuleId]) -> None:
        """Forget every consent about erased capsules, and overwrite them."""
        with self._database.transaction() as connection:
            connection.executemany(
                "DELETE FROM consent WHERE capsule=?", [(capsule,) for capsule in capsules]
            )
        self._database.scrub()


class ConsentGate:
    """Answers, on one worker, whether one capsule may be used now."""

    def __init__(
        self, store: ConsentStore, owner_of: OwnerOf, *, worker: WorkerId, territory: str
    ) -> None:
        self._store = store
        self._owner_of = owner_of
        self._worker = worker
        self._territory = territory

    def live_consent(
        self,
        capsule: CapsuleId,
        bundle: Digest,
        purpose: str,
        tables: Collection[str],
        now: datetime,
    ) -> VerifiedConsent:
        """The consent that covers `tables` for this bundle, or for its purpose.

        A withdrawal from the bundle always denies. A withdrawal from the purpose denies unless
        the owner said yes to this very bundle later. Raises ConsentMissing, ConsentRevoked,
        ConsentExpired, ConsentRefused or CapsuleMissing.
        """
        owner = self._owner_of(capsule)
        exact = self._store.latest(capsule, bundle, owner)
        general = self._store.latest(capsule, PURPOSE_PREFIX + purpose, owner)
        withdrawn = [
            found.consent
            for found in (exact, general)
            if found is not None and found.consent.decision is Decision.REVOKE
        ]
        refusal: Problem | None = None
        for found in (exact, general):
            if found is None or found.consent.decision is not Decision.GRANT:
                continue
            denied = any(
                no.target == bundle or no.issued_at >= found.consent.issued_at for no in withdrawn
            )
            if denied:
                continue
            try:
                self._require(found.consent, tables, now)
            except (ConsentMissing, ConsentExpired) as problem:
                refusal = refusal or problem
                continue
            return found
        if withdrawn:
            raise ConsentRevoked(
                "the owner withdrew the consent",
                remedy="leave the capsule out; only its owner can consent again",
                capsule=capsule,
            )
        raise refusal or ConsentMissing(
            "the owner has not consented to this bundle or purpose",
            remedy="the owner runs `cadastre consent grant`; the default is no",
            capsule=capsule,
        )

    def _require(self, consent: Consent, tables: Collection[str], now: datetime) -> None:
        if (consent.worker, consent.territory) != (self._worker, self._territory):
            raise ConsentMissing(
                "the owner consented on another worker or in another territory",
                remedy="the owner consents again with this worker's card",
                capsule=consent.capsule,
            )
        uncovered = set(tables) - set(consent.tables)
        if uncovered:
            raise ConsentMissing(
                f"the consent does not cover {', '.join(sorted(uncovered))}",
                remedy="the owner consents again and names those tables",
                capsule=consent.capsule,
            )
        if consent.issued_at > now + CLOCK_TOLERANCE:
            raise ConsentMissing(
                f"the consent starts at {clock.to_text(consent.issued_at)}, still to come",
                remedy="check this machine's clock (`cadastre doctor`)",
                capsule=consent.capsule,
            )
        if now >= consent.expires_at:
            raise ConsentExpired(
                f"the consent ended at {clock.to_text(consent.expires_at)}",
                remedy="the owner consents again for up to twelve months",
                capsule=consent.capsule,
            )


def verify(raw: bytes, owner_of: OwnerOf) -> signed.Signed[Consent]:
    """The consent in `raw`, signed by the owner of its capsule. Raises ConsentRefused."""
    try:
        # The claimed capsule is only used to look up whose signature must hold.
        claimed = schema.decode(Consent, Envelope.parse(raw).payload)
        owner = owner_of(claimed.capsule)
        found = signed.verify(Consent, raw, {owner})
    except TrustError as error:
        raise ConsentRefused(
            f"this is not a consent by the capsule's owner: {error.sentence}",
            remedy="sign it with the key that sealed the capsule",
        ) from error
    consent = found.document
    _require_target(consent)
    lifetime = consent.expires_at - consent.issued_at
    if consent.owner != owner or consent.serial < 1 or lifetime > MAXIMUM_LIFETIME:
        raise ConsentRefused(
            "the consent names another owner, has no serial, or lasts more than twelve months",
            remedy="make it with `cadastre consent grant`",
            capsule=consent.capsule,
        )
    return found


def _require_target(consent: Consent) -> None:
    if consent.target.startswith(PURPOSE_PREFIX):
        purpose = consent.target.removeprefix(PURPOSE_PREFIX)
        if purpose.isprintable() and 1 <= len(purpose) <= MAXIMUM_PURPOSE_LETTERS:
            return
    else:
        try:
            Digest.parse(consent.target)
        except TrustError:
            pass
        else:
            return
    raise ConsentRefused(
        "the consent's target is neither a bundle's digest nor the one line of a purpose",
        remedy="make it with `cadastre consent grant`",
        capsule=consent.capsule,
    )


def _insert(connection: sqlite3.Connection, found: signed.Signed[Consent]) -> bool:
    consent = found.document
    row: Sequence[object] | None = connection.execute(
        "SELECT serial, envelope FROM consent WHERE capsule=? AND target=?",
        (consent.capsule, consent.target),
    ).fetchone()
    if row is not None:
        serial, envelope = row
        if (serial, envelope) == (consent.serial, found.envelope.raw):
            return False
        if not isinstance(serial, int) or consent.serial <= serial:
            raise ConsentStale(
                f"serial {consent.serial} is not above {serial}, the last one known here",
                remedy="the owner signs a new decision with a higher serial",
                capsule=consent.capsule,
            )
    if row is None:
        known = connection.execute(
            "SELECT count(*) FROM consent WHERE capsule=?", (consent.capsule,)
        ).fetchone()[0]
        grants = consent.decision is Decision.GRANT
        if known >= (MAXIMUM_GRANTED_TARGETS if grants else MAXIMUM_TARGETS):
            raise ConsentRefused(
                f"the capsule's owner has decided on {known} bundles and purposes already",
                remedy="decide anew on one of those, or seal the data into a new capsule",
                capsule=consent.capsule,
            )
    connection.execute(
        "INSERT OR REPLACE INTO consent VALUES (?,?,?,?,?,?)",
        (
            consent.capsule,
            consent.target,
            consent.serial,
            consent.decision.value,
            clock.to_text(consent.expires_at),
            found.envelope.raw,
        ),
    )
    return True
