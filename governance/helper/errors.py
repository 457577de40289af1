"""What only the helper refuses; the refusals of every opener are in governance.batches.errors."""

from __future__ import annotations

from governance.batches.errors import BatchDenied
from governance.errors import GovernanceError
from trust.problem import Kind


class HelperError(GovernanceError):
    """Root of the helper's refusals."""

    code = "helper"
    kind = Kind.REFUSED


class HelperStateRefused(HelperError):
    """The helper's folder is missing, foreign, damaged, or written by another release."""

    code = "helper-state-refused"
    kind = Kind.CONFLICT


class RequestMalformed(HelperError):
    """A request that is no message of the leader's, or not signed with the order key."""

    code = "helper-request-malformed"
    kind = Kind.INVALID
    advice = "let the scheduler that the root names ask, in the release that this helper has"


class KeyUnknown(BatchDenied):
    """The helper was never engaged for this campaign, or its state was lost."""

    code = "helper-key-unknown"


class KeyGone(BatchDenied):
    """The campaign's key was destroyed: nothing of it can be opened any more."""

    code = "helper-key-destroyed"
