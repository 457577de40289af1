"""The policies together, and the permit that only they can give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trust.documents.campaign import Plan
from trust.documents.governance import Authorisation
from trust.documents.signed import Signed
from trust.policy.aggregation import HelperCertified
from trust.policy.authorisations import (
    AuthorisationCurrent,
    BundleSigned,
    ImagePermitted,
    ParametersWithin,
    RulesMatch,
)
from trust.policy.encryption import EpochCertified
from trust.policy.logged import LoggedUnderQuorum
from trust.policy.orders import LeaseAlive, OnePlan, OrderAuthentic, PlanMatches, RootCurrent
from trust.policy.request import Held, Policy, RunRequest
from trust.policy.spending import BudgetWithin, CampaignsWithin, RoundWithin
from trust.policy.standing import NotSuspended

_SEAL = object()


@dataclass(frozen=True)
class Permit:
    """Every policy held for `request`. Made by `AllOf.require` only."""

    request: RunRequest
    plan: Signed[Plan]
    authorisation: Signed[Authorisation]
    held: tuple[Held, ...]
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("a permit is given by AllOf.require, never made by hand")


@dataclass(frozen=True)
class AllOf:
    """Policies in order; the first that does not hold gives the reason."""

    policies: Sequence[Policy]

    def require(self, request: RunRequest) -> Permit:
        """A permit for `request`. Raises the RunRefused of the first policy that says no."""
        held = tuple(policy.require(request) for policy in self.policies)
        return Permit(request, request.verified_plan, request.verified_authorisation, held, _SEAL)


# Authenticity before meaning: nothing is compared with a document that was not verified first.
RUN_POLICIES = AllOf(
    (
        RootCurrent(),
        OrderAuthentic(),
        LeaseAlive(),
        PlanMatches(),
        OnePlan(),
        AuthorisationCurrent(),
        NotSuspended(),
        BundleSigned(),
        RulesMatch(),
        RoundWithin(),
        CampaignsWithin(),
        BudgetWithin(),
        ParametersWithin(),
        ImagePermitted(),
        HelperCertified(),
        EpochCertified(),
        LoggedUnderQuorum(),
    )
)
