"""Policy about encrypted sums: their key is one that the keyholder and its trustees made."""

from __future__ import annotations

from dataclasses import dataclass

from trust.documents.campaign import UnitKind
from trust.documents.rules import Protection
from trust.policy.campaign_key import CampaignKey
from trust.policy.errors import EpochKeyExpired, EpochKeyMismatch, EpochKeyMissing
from trust.policy.request import Held, RunRequest

_EPOCH = CampaignKey(
    named="key epoch",
    owner="epoch",
    spared="encrypted under",
    missing=EpochKeyMissing,
    mismatch=EpochKeyMismatch,
    expired=EpochKeyExpired,
)


@dataclass(frozen=True)
class EpochCertified:
    """The plan names the key epoch of this very campaign, where sums are encrypted.

    Ciphertexts do not name their key, and nobody else can tell under which one a sum was
    encrypted: what binds a partial to its epoch is the plan that it names, so this is where a
    key of somebody's own is found.
    """

    def require(self, request: RunRequest) -> Held:
        """Check one request."""
        plan = request.verified_plan.document
        needed = any(rule.protection is Protection.ENCRYPTED for rule in request.facts.rules)
        _EPOCH.require_planned(plan, plan.epoch, needed=needed)
        if not needed or request.order.kind is not UnitKind.CONTRIBUTE:
            return Held("epoch-certified", "nothing is encrypted on this worker")
        _EPOCH.require_shown(plan, plan.epoch, request.epoch)
        key = request.verified_epoch.document
        _EPOCH.require_fit(plan, key, request.now)
        return Held("epoch-certified", f"sums encrypted under {key.public}")
