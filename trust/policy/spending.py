"""Policies about how often: rounds, campaigns and privacy budget, as voted.

The worker counts for itself, in its own journal: a scheduler that miscounts, or lies, cannot
make it run a round, a campaign or a charge beyond what the college voted.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from trust.documents.campaign import UnitKind
from trust.documents.governance import Authorisation
from trust.policy.errors import (
    BudgetExceeded,
    CampaignsExhausted,
    PlanMismatch,
    RoundOutOfRange,
)
from trust.policy.request import Held, RunRequest

# As protection.accounting reads decimals: longer texts or exponents are an attack on the reader.
MAXIMUM_CHARACTERS = 40


@dataclass(frozen=True)
class RoundWithin:
    """The round is one of the manifest's: 1 to `rounds.maximum`, over which rho was split.

    Each but the first says which conclusion it follows: whose state that is only an audit can
    tell, and it could not if the plan named nothing.
    """

    def require(self, request: RunRequest) -> Held:
        number, maximum = request.order.round, request.facts.rounds
        if not 1 <= number <= maximum:
            raise RoundOutOfRange(
                f"round {number} of {request.order.campaign} was ordered, the bundle was voted "
                f"with rounds 1 to {maximum}",
                remedy="tell the cooperative: the scheduler asks for more rounds than were voted",
                campaign=request.order.campaign,
            )
        if (request.verified_plan.document.after is None) != (number == 1):
            raise PlanMismatch(
                f"the plan of round {number} of {request.order.campaign} names no conclusion that "
                "it follows, or is a first round's and names one",
                remedy="the scheduler starts a round with a state of its own: tell the cooperative",
                campaign=request.order.campaign,
            )
        return Held("round-within", f"round {number} of at most {maximum}")


@dataclass(frozen=True)
class CampaignsWithin:
    """This worker serves no more distinct campaigns under one vote than the vote allows."""

    def require(self, request: RunRequest) -> Held:
        vote = request.verified_authorisation.document
        served = len(request.served.campaigns | {request.order.campaign})
        if served > vote.campaigns:
            raise CampaignsExhausted(
                f"{request.order.campaign} would be campaign {served} under {vote.id} on this "
                f"worker, {vote.campaigns} were voted",
                remedy="the college may vote a new authorisation for more campaigns",
                authorisation=vote.id,
            )
        return Held("campaigns-within", f"campaign {served} of at most {vote.campaigns}")


@dataclass(frozen=True)
class BudgetWithin:
    """All rounds charged under one vote cost a privacy unit here no more than the vote allows.

    Counted per contribution: an owner with several capsules pays for each of them, and the
    ledger's own cap per owner bounds that.
    """

    def require(self, request: RunRequest) -> Held:
        vote, budget = request.verified_authorisation.document, _budget(request)
        due = request.facts.charge if request.order.kind is UnitKind.CONTRIBUTE else Fraction(0)
        spent = request.served.rho
        if due < 0 or spent + due > budget:
            raise BudgetExceeded(
                f"round {request.order.round} costs {due} zCDP and {spent} were spent under "
                f"{vote.id} on this worker, {vote.rho_budget} were voted",
                remedy="the college may vote a new authorisation with a budget of its own",
                authorisation=vote.id,
            )
        return Held("budget-within", f"{spent + due} of {budget} zCDP")


def _budget(request: RunRequest) -> Fraction:
    vote: Authorisation = request.verified_authorisation.document
    try:
        budget = Decimal(vote.rho_budget)
    except ArithmeticError:
        budget = Decimal("NaN")
    # The exponent before the exact value: "1e999999999" would take all memory.
    readable = len(vote.rho_budget) <= MAXIMUM_CHARACTERS and budget.is_finite()
    if not readable or abs(budget.adjusted()) > MAXIMUM_CHARACTERS:
        raise BudgetExceeded(
            f"the voted budget {vote.rho_budget[:40]!r} is not a decimal number",
            remedy='the college votes it like "0.2"',
            authorisation=vote.id,
        )
    return Fraction(budget)
