"""What only the keyholder refuses; every opener's refusals are in governance.batches.errors."""

from __future__ import annotations

from governance.batches.errors import BatchDenied
from governance.errors import GovernanceError
from trust.problem import Kind


class KeyholderError(GovernanceError):
    """Root of the keyholder's own refusals."""

    code = "keyholder"
    kind = Kind.REFUSED


class KeyholderStateRefused(KeyholderError):
    """The keyholder's folder is missing, foreign, damaged, or written by another release."""

    code = "keyholder-state-refused"
    kind = Kind.CONFLICT


class RequestMalformed(KeyholderError):
    """A request that is no message of the leader's or a trustee's, or not signed by them."""

    code = "keyholder-request-malformed"
    kind = Kind.INVALID
    advice = (
        "let the scheduler or a trustee of the root ask, in the release that this keyholder has"
    )


class CeremonyAwaited(KeyholderError):
    """The campaign is admitted, and has no key until the ceremony is held."""

    code = "waiting-for-ceremony"
    kind = Kind.UNAVAILABLE
    retryable = True


class CeremonyRefused(KeyholderError):
    """Trustees' keys that are not those of the root's trustees, one each."""

    code = "key-ceremony-refused"
    kind = Kind.INVALID
    advice = "collect one `cadastre trustee certify` file from every trustee of the root"


class SharesAwaited(KeyholderError):
    """The opening is admitted, and fewer trustees than needed have given their share."""

    code = "waiting-for-trustees"
    kind = Kind.UNAVAILABLE
    retryable = True


class ShareRefused(KeyholderError):
    """A trustee's contribution that is not their share, or not for an opening that waits."""

    code = "trustee-share-refused"
    kind = Kind.UNVERIFIED
    advice = "let the trustee run `cadastre trustee contribute` again, with the key of the ceremony"


class SharesUnfit(KeyholderError):
    """The shares are right and the stored wrapped key is not: damage, not an attack."""

    code = "wrapped-key-damaged"
    kind = Kind.INTERNAL


class EpochUnknown(BatchDenied):
    """The keyholder made no key for this campaign, or its state was lost."""

    code = "epoch-unknown"


class EpochIsRetired(BatchDenied):
    """The campaign's key is retired: nothing of it can be opened any more."""

    code = "epoch-retired"


class EpochMismatch(BatchDenied):
    """The plan is for another key epoch."""

    code = "epoch-mismatch"
    advice = "look into the scheduler: each plan names its own campaign's key, logged before it"


class SumRefused(BatchDenied):
    """A sum that is not signed by whom it should be, or not of this batch and profile."""

    code = "encrypted-sum-refused"
    advice = "look into leader and helper: each signs its sum of exactly the committed batch"


class OpeningRefused(BatchDenied):
    """What was decrypted is no sum of honest partials. One refusal whatever was wrong."""

    code = "opening-implausible"
