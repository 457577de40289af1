"""What campaigns would cost one privacy unit, before anybody votes or consents.

The ledger charges in zCDP and knows nothing else. Beside it stands the tighter figure of
dp-accounting's privacy loss distributions (PLD) where that package is installed: a second
opinion to plan by, never what is charged.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from protection import accounting
from protection.errors import RuleRefused
from trust.documents.budget import LEDGER_CAP

# A PLD of so many compositions takes seconds; more is no plan but a mistake in a number.
MAXIMUM_ROUNDS = 100_000
# Beyond it nothing is protected any more (epsilon over 150), and a PLD takes minutes.
MAXIMUM_RHO = 100


@dataclass(frozen=True)
class Cost:
    """One span of the plan: its rho in zCDP and what that means at delta = 1e-6."""

    span: str
    rho: Fraction
    epsilon: float
    pld: float | None  # dp-accounting's epsilon for the same Gaussian noise; None without it


@dataclass(frozen=True)
class Plan:
    """Campaigns that cost the same, one after the other, for one privacy unit on one worker."""

    rho: Fraction  # of one campaign, all its releases and rounds together
    campaigns: int
    rounds: int  # of each campaign; the rho is split evenly over them
    sampling: float  # the chance that a unit is asked in a round; 1 asks everybody
    costs: tuple[Cost, ...]  # a round, a campaign, all campaigns

    @property
    def total(self) -> Fraction:
        """What the ledger charges for everything."""
        return self.rho * self.campaigns

    @property
    def affordable(self) -> int:
        """How many such campaigns one owner's ledger pays for."""
        return LEDGER_CAP // self.rho


def plan(rho: Fraction, campaigns: int, rounds: int = 1, sampling: float = 1.0) -> Plan:
    """The costs of `campaigns` at `rho` each. Raises RuleRefused for numbers without a meaning.

    A sample that somebody knows gives no privacy: the scheduler picks cohorts, so the ledger
    charges in full whatever `sampling` says; only the PLD figure counts it, for an outsider who
    sees releases alone.
    """
    counted = campaigns >= 1 and rounds >= 1 and campaigns * rounds <= MAXIMUM_ROUNDS
    if not counted or not 0 < rho * campaigns <= MAXIMUM_RHO:
        raise RuleRefused(
            f"a plan has 1 to {MAXIMUM_ROUNDS} rounds and over 0 to {MAXIMUM_RHO} zCDP in all",
            remedy="write it like --rho 0.1 --campaigns 3 --rounds 10",
        )
    if not 0 < sampling <= 1:
        raise RuleRefused(
            "the sampling rate is the chance to be asked, above 0 and at most 1",
            remedy="write it like --sampling 0.1, or leave it out",
        )
    spans = (("round", 1), ("campaign", rounds), ("all campaigns", rounds * campaigns))
    costs = tuple(
        Cost(
            span,
            number * rho / rounds,
            accounting.epsilon(number * rho / rounds),
            pld_epsilon(rho / rounds, number, sampling),
        )
        for span, number in spans
    )
    return Plan(rho, campaigns, rounds, sampling, costs)


def pld_epsilon(rho: Fraction, times: int, sampling: float = 1.0) -> float | None:
    """dp-accounting's epsilon at delta = 1e-6 for Gaussian releases of `rho` each, `times` over.

    A Gaussian of multiplier z = sigma / sensitivity is 1 / (2 z^2) zCDP. None where the package
    is not installed.
    """
    try:
        accounting_: Any = importlib.import_module("dp_accounting")
        distributions: Any = importlib.import_module("dp_accounting.pld")
    except ModuleNotFoundError:
        return None
    event = accounting_.GaussianDpEvent(math.sqrt(1 / (2 * float(rho))))
    if sampling < 1:
        event = accounting_.PoissonSampledDpEvent(sampling, event)
    # One unit is added or removed, as everywhere in protection.accounting.
    accountant = distributions.PLDAccountant(accounting_.NeighboringRelation.ADD_OR_REMOVE_ONE)
    accountant.compose(event, times)
    return float(accountant.get_epsilon(accounting.DELTA))
