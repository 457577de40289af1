"""Which consents a registry may take at all: whose, for what, how long, and for how much room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from governance.errors import ConsentForeign, ConsentMalformed, ConsentOutOfTime, RegistryFull
from trust.documents import signed
from trust.documents.consent import PURPOSE_PREFIX, Consent, Decision
from trust.errors import TrustError
from trust.ids import Digest

# Consents last 12 months by default; a month of slack for a renewal made early.
MAXIMUM_VALIDITY = timedelta(days=400)
# Owners' clocks are the clocks of phones and home computers.
CLOCK_SKEW = timedelta(minutes=10)
MAXIMUM_SERIAL = 2**63 - 1  # an SQL integer
MAXIMUM_PURPOSE = 400  # letters, as in a bundle's manifest

# What a line of the status takes, in bytes of JSON (`trust.documents.governance.Status`).
TOKEN_BYTES = 74  # "sha256:" and 64 letters, quotes, comma
WORKER_BYTES = 48  # a worker's id and its count
TARGET_BYTES = 8  # around a target


def admit(raw: bytes, territory: str, now: datetime) -> signed.Signed[Consent]:
    """The consent in `raw`, which its own owner signed for this territory.

    Raises Malformed, WrongType, SignatureInvalid, or a ConsentRefused that says why.
    """
    consent = signed.verify_self_named(Consent, raw, "owner")
    document = consent.document
    if document.territory != territory:
        raise ConsentForeign(
            f"the consent is for {document.territory[:80]}, this registry for {territory}"
        )
    if not 0 <= document.serial <= MAXIMUM_SERIAL:
        raise ConsentMalformed(f"a serial is 0 to {MAXIMUM_SERIAL}")
    _require_target(document.target)
    if document.issued_at > now + CLOCK_SKEW:
        raise ConsentOutOfTime("the consent is dated in the future")
    if document.decision is Decision.REVOKE:
        # Never too late: whoever holds a revocation back until its date would win by it.
        return consent
    if document.expires_at <= now:
        raise ConsentOutOfTime("the consent has expired")
    if document.expires_at - document.issued_at > MAXIMUM_VALIDITY:
        raise ConsentOutOfTime(f"a consent lasts at most {MAXIMUM_VALIDITY.days} days")
    return consent


def kept_until(consent: Consent, now: datetime) -> datetime:
    """When `consent`, arrived at `now`, has no more effect.

    A revocation must outlive every grant that it withdraws, also one that only the worker has
    seen: those end at most a full validity after its arrival, whatever the owner's clock says.
    """
    if consent.decision is Decision.GRANT:
        return consent.expires_at
    return now + CLOCK_SKEW + MAXIMUM_VALIDITY


@dataclass
class Room:
    """What strangers may still add.

    Anybody can make a capsule and consent for it, and a status that no longer fits an envelope
    would stop every later suspension from being heard.
    """

    consents: int  # rows
    status: int  # bytes of the next status

    def take(self, *, rows: int, status: int) -> None:
        """Use some. Raises RegistryFull, and then nothing was used."""
        if rows > self.consents:
            raise RegistryFull("the registry holds as many consents as it was built for")
        if status > 0 and status > self.status:
            raise RegistryFull(
                "the status that workers fetch can hold no more entries",
                remedy="tell the cooperative; a revocation also acts through the scheduler",
            )
        self.consents -= rows
        self.status -= status


def _require_target(target: str) -> None:
    """As a worker reads it: what no worker could match is not kept."""
    if target.startswith(PURPOSE_PREFIX):
        purpose = target.removeprefix(PURPOSE_PREFIX)
        if purpose.isprintable() and 1 <= len(purpose) <= MAXIMUM_PURPOSE:
            return
    else:
        try:
            Digest.parse(target)
        except TrustError:
            pass
        else:
            return
    raise ConsentMalformed(f"a consent's target is a bundle digest or {PURPOSE_PREFIX}<text>")
