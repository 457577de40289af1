"""Policies about the second aggregator: shares are sealed to the helper that the root names."""

from __future__ import annotations

from dataclasses import dataclass

from trust.documents.campaign import UnitKind
from trust.documents.rules import Protection
from trust.ids import Digest
from trust.policy.campaign_key import CampaignKey
from trust.policy.errors import HelperKeyExpired, HelperKeyMismatch, HelperKeyMissing
from trust.policy.request import Held, RunRequest

# Under `clear` a partial carries its own full noise and nobody else has a part in it.
WITH_HELPER = frozenset({Protection.SHARED, Protection.ENCRYPTED})
_HELPER = CampaignKey(
    named="helper",
    owner="helper",
    spared="sealed to",
    missing=HelperKeyMissing,
    mismatch=HelperKeyMismatch,
    expired=HelperKeyExpired,
)


@dataclass(frozen=True)
class HelperCertified:
    """The plan names a key of the territory's helper for this very campaign, where one is needed.

    The plan is the same for every worker, and so is the key that it names: nobody can be made
    to seal a share to a key of the scheduler's own.
    """

    def require(self, request: RunRequest) -> Held:
        """Check one request."""
        plan = request.verified_plan.document
        needed = any(rule.protection in WITH_HELPER for rule in request.facts.rules)
        _HELPER.require_planned(plan, plan.helper, needed=needed)
        if not needed or request.order.kind is not UnitKind.CONTRIBUTE:
            return Held("helper-certified", "no share leaves this worker")
        _HELPER.require_shown(plan, plan.helper, request.helper)
        key = request.verified_helper.document
        _HELPER.require_fit(plan, key, request.now)
        return Held("helper-certified", f"shares sealed to {Digest.of(key.key)}")
