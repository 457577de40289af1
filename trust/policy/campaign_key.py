"""The key that an institution made for one campaign: named by its plan, shown with the order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from trust.documents.aggregation import HelperKey
from trust.documents.campaign import Plan
from trust.documents.custody import EpochKey
from trust.ids import Digest
from trust.policy.errors import RunRefused
from trust.policy.request import Exhibit


@dataclass(frozen=True)
class CampaignKey:
    """How refusals speak of one such key, and with which codes."""

    named: str  # what a plan names: "helper"
    owner: str  # as in "the helper's key"
    spared: str  # what was not done with a wrong one: "sealed to"
    missing: type[RunRefused]
    mismatch: type[RunRefused]
    expired: type[RunRefused]

    def require_planned(self, plan: Plan, key: Digest | None, *, needed: bool) -> None:
        """Raise `missing` unless `plan` names a key exactly where the voted rules need one."""
        if needed != (key is not None):
            raise self.missing(
                f"the plan names no {self.named}, the voted protection needs one"
                if needed
                else f"the plan names a {self.named}, the voted protection has none",
                remedy="tell the scheduler's operator: plan and vote do not fit together",
                campaign=plan.campaign,
            )

    def require_shown(self, plan: Plan, key: Digest | None, exhibit: Exhibit | None) -> None:
        """Raise `missing` unless the order came with the very key that `plan` names."""
        if exhibit is None or Digest.of(exhibit.envelope) != key:
            raise self.missing(
                f"the order came without the {self.owner}'s key that its plan names",
                remedy="the scheduler must exhibit it; tell its operator",
                campaign=plan.campaign,
            )

    def require_fit(self, plan: Plan, key: HelperKey | EpochKey, now: datetime) -> None:
        """Raise `mismatch` for a key of another campaign, `expired` for one whose time is over."""
        pairs = (
            ("territory", key.territory, plan.territory),
            ("campaign", key.campaign, plan.campaign),
            ("bundle", key.bundle, plan.bundle),
            ("authorisation", key.authorisation, plan.authorisation),
        )
        for name, certified, planned in pairs:
            if certified != planned:
                raise self.mismatch(
                    f"the {self.owner}'s key is for {name} {certified[:80]}, the plan for "
                    f"{planned[:80]}",
                    remedy=f"a key of another campaign was passed on; nothing was {self.spared} it",
                    campaign=plan.campaign,
                )
        if now >= key.not_after:
            raise self.expired(
                f"the {self.owner}'s key ended at {key.not_after:%Y-%m-%d %H:%M} UTC",
                remedy="the campaign must be started again; check this machine's clock",
                campaign=plan.campaign,
            )
