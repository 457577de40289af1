"""Policy about encrypted sums: their key is one that the keyholder and its trustees made."""

from __future__ import annotations

from dataclasses import dataclass

from trust.documents.campaign import UnitKind
from trust.documents.rules import Protection
from trust.ids import Digest
from trust.policy.errors import EpochKeyExpired, EpochKeyMismatch, EpochKeyMissing
from trust.policy.request import Held, RunRequest


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
        if needed != (plan.epoch is not None):
            raise EpochKeyMissing(
                "the plan names no key epoch, the voted protection needs one"
                if needed
                else "the plan names a key epoch, the voted protection has none",
                remedy="tell the scheduler's operator: plan and vote do not fit together",
                campaign=plan.campaign,
            )
        if not needed or request.order.kind is not UnitKind.CONTRIBUTE:
            return Held("epoch-certified", "nothing is encrypted on this worker")
        if request.epoch is None or Digest.of(request.epoch.envelope) != plan.epoch:
            raise EpochKeyMissing(
                "the order came without the epoch's key that its plan names",
                remedy="the scheduler must exhibit it; tell its operator",
                campaign=plan.campaign,
            )
        key = request.verified_epoch.document
        pairs = (
            ("territory", key.territory, plan.territory),
            ("campaign", key.campaign, plan.campaign),
            ("bundle", key.bundle, plan.bundle),
            ("authorisation", key.authorisation, plan.authorisation),
        )
        for name, certified, planned in pairs:
            if certified != planned:
                raise EpochKeyMismatch(
                    f"the epoch's key is for {name} {certified[:80]}, the plan for {planned[:80]}",
                    remedy="a key of another campaign was passed on; nothing was encrypted under "
                    "it",
                    campaign=plan.campaign,
                )
        if request.now >= key.not_after:
            raise EpochKeyExpired(
                f"the epoch's key ended at {key.not_after:%Y-%m-%d %H:%M} UTC",
                remedy="the campaign must be started again; check this machine's clock",
                campaign=plan.campaign,
            )
        return Held("epoch-certified", f"sums encrypted under {key.public}")
