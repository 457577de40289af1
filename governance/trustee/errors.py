"""Why a trustee's program keeps its share. Refusals of batches are in governance.batches.errors."""

from __future__ import annotations

from governance.errors import GovernanceError
from trust.problem import Kind


class TrusteeError(GovernanceError):
    """Root of a trustee's own refusals."""

    code = "trustee"
    kind = Kind.REFUSED


class TrusteeStateRefused(TrusteeError):
    """The trustee's folder is missing, foreign, damaged, or written by another release."""

    code = "trustee-state-refused"
    kind = Kind.CONFLICT
    advice = "give the state folder that `cadastre trustee init` made, or restore it from a backup"


class SummonsRefused(TrusteeError):
    """A summons that is not signed, not logged, or not about what it says."""

    code = "summons-refused"
    kind = Kind.UNVERIFIED
    advice = "keep the share and tell the cooperative which document does not fit"


class NotMine(TrusteeError):
    """A share that was not sealed to this trustee's key, or for another epoch."""

    code = "share-not-mine"
    kind = Kind.UNVERIFIED
    advice = (
        "check that this is the state folder of the ceremony; else another trustee gives theirs"
    )


class AlreadyGiven(TrusteeError):
    """The share was given for this round, over another batch or another sum."""

    code = "share-already-given"
    kind = Kind.CONFLICT


class BatchTooSmall(TrusteeError):
    """The committed batch says itself that it is smaller than voted."""

    code = "batch-too-small"
    advice = "keep the share and tell the cooperative: helper and keyholder should have refused"


class KeyholderUnreachable(TrusteeError):
    """The keyholder does not answer, or not now."""

    code = "keyholder-unreachable"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = "check --keyholder and that `cadastre keyholder serve` runs there, then run it again"
