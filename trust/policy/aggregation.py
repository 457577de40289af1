"""Policies about the second aggregator: shares are sealed to the helper that the root names."""

from __future__ import annotations

from dataclasses import dataclass

from trust.documents.campaign import UnitKind
from trust.documents.rules import Protection
from trust.ids import Digest
from trust.policy.errors import HelperKeyExpired, HelperKeyMismatch, HelperKeyMissing
from trust.policy.request import Held, RunRequest

# Under `clear` a partial carries its own full noise and nobody else has a part in it.
WITH_HELPER = frozenset({Protection.SHARED, Protection.ENCRYPTED})


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
        if needed != (plan.helper is not None):
            raise HelperKeyMissing(
                "the plan names no helper, the voted protection needs one"
                if needed
                else "the plan names a helper, the voted protection has none",
                remedy="tell the scheduler's operator: plan and vote do not fit together",
                campaign=plan.campaign,
            )
        if not needed or request.order.kind is not UnitKind.CONTRIBUTE:
            return Held("helper-certified", "no share leaves this worker")
        if request.helper is None or Digest.of(request.helper.envelope) != plan.helper:
            raise HelperKeyMissing(
                "the order came without the helper's key that its plan names",
                remedy="the scheduler must exhibit it; tell its operator",
                campaign=plan.campaign,
            )
        key = request.verified_helper.document
        pairs = (
            ("territory", key.territory, plan.territory),
            ("campaign", key.campaign, plan.campaign),
            ("bundle", key.bundle, plan.bundle),
            ("authorisation", key.authorisation, plan.authorisation),
        )
        for name, certified, planned in pairs:
            if certified != planned:
                raise HelperKeyMismatch(
                    f"the helper's key is for {name} {certified[:80]}, the plan for {planned[:80]}",
                    remedy="a key of another campaign was passed on; nothing was sealed to it",
                    campaign=plan.campaign,
                )
        if request.now >= key.not_after:
            raise HelperKeyExpired(
                f"the helper's key ended at {key.not_after:%Y-%m-%d %H:%M} UTC",
                remedy="the campaign must be started again; check this machine's clock",
                campaign=plan.campaign,
            )
        return Held("helper-certified", f"shares sealed to {Digest.of(key.key)}")
