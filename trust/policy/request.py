"""The question that the policies answer, with everything they may look at.

A `RunRequest` holds raw envelopes as they came; every policy verifies what it reads, through
the cached properties below, so that a policy that is left out never leaves an unchecked
document behind for another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from typing import Protocol

from trust.documents.aggregation import HelperKey
from trust.documents.campaign import Order, Plan
from trust.documents.custody import EpochKey
from trust.documents.governance import Authorisation, Status
from trust.documents.root import Duty
from trust.documents.rules import Bound, ReleaseRules
from trust.documents.signed import Signed
from trust.errors import TrustError
from trust.ids import CampaignId, Digest, WorkerId
from trust.policy.errors import AuthorisationForged, EpochKeyForged, HelperKeyForged, PlanForged
from trust.root import TrustedRoot


@dataclass(frozen=True)
class Exhibit:
    """A raw envelope with its proof of inclusion in the log (C2SP tlog-proof; b"" for none)."""

    envelope: bytes
    proof: bytes


@dataclass(frozen=True)
class BundleFacts:
    """What reading a bundle's own bytes told: its digest, its manifest's digest and demands."""

    bundle: Digest
    manifest: Digest
    rules: tuple[ReleaseRules, ...]
    tables: dict[str, tuple[str, ...]]
    bounds: dict[str, Bound]
    rounds: int  # the most that one campaign has
    charge: Fraction  # zCDP of one round for one privacy unit


@dataclass(frozen=True)
class Served:
    """What the worker's journal holds of one authorisation, the ordered round left out.

    `rho` is what one contribution to each of the charged rounds costs together, in zCDP.
    """

    campaigns: frozenset[CampaignId] = frozenset()
    rho: Fraction = Fraction(0)


@dataclass(frozen=True)
class RunRequest:
    """One order and what it rests on, as one worker sees it at one moment.

    `answers` is the sequence number of the exchange that brought the orders; `received_at` and
    `boottime` are seconds of the worker's boot clock; `known_plan` is the plan that the journal
    remembers for this round, None at first; `served` is what it remembers of the order's
    authorisation; `status` is the newest raw status envelope, None
    while there is none, and `status_number` the highest number ever seen; `helper` exhibits the
    key that shares are sealed to, None where the protection has no helper; `epoch` the key that
    sums are encrypted under, None where they are not.
    """

    root: TrustedRoot
    worker: WorkerId
    now: datetime
    boottime: float
    received_at: float
    orders: bytes
    answers: int
    order: Order
    plan: Exhibit
    authorisation: Exhibit
    statement: bytes
    facts: BundleFacts
    parameters: bytes
    image: Digest
    known_plan: Digest | None
    served: Served
    status: Signed[Status] | None
    status_number: int
    helper: Exhibit | None = None
    epoch: Exhibit | None = None

    @cached_property
    def verified_plan(self) -> Signed[Plan]:
        """The plan under the territory's order key. Raises PlanForged."""
        try:
            return self.root.verify(Plan, self.plan.envelope, Duty.ORDERS)
        except TrustError as error:
            raise PlanForged(
                f"the plan does not verify under the territory root: {error.sentence}",
                remedy="only the scheduler's order key that the root lists may plan a round",
                campaign=self.order.campaign,
            ) from error

    @cached_property
    def verified_authorisation(self) -> Signed[Authorisation]:
        """The authorisation under the college's threshold. Raises AuthorisationForged."""
        try:
            return self.root.verify(Authorisation, self.authorisation.envelope, Duty.COLLEGE)
        except TrustError as error:
            raise AuthorisationForged(
                f"the authorisation does not verify under the territory root: {error.sentence}",
                remedy="enough distinct college keys of the root must have signed it",
                authorisation=self.order.authorisation,
            ) from error

    @cached_property
    def verified_helper(self) -> Signed[HelperKey]:
        """The helper's campaign key under its duty. Raises HelperKeyForged."""
        raw = b"" if self.helper is None else self.helper.envelope
        try:
            return self.root.verify(HelperKey, raw, Duty.HELPER)
        except TrustError as error:
            raise HelperKeyForged(
                f"the helper's key does not verify under the territory root: {error.sentence}",
                remedy="only the helper that the root lists may offer a key; nothing was sealed",
                campaign=self.order.campaign,
            ) from error

    @cached_property
    def verified_epoch(self) -> Signed[EpochKey]:
        """The campaign's CKKS key under the keyholder's duty. Raises EpochKeyForged."""
        raw = b"" if self.epoch is None else self.epoch.envelope
        try:
            return self.root.verify(EpochKey, raw, Duty.KEYHOLDER)
        except TrustError as error:
            raise EpochKeyForged(
                f"the epoch's key does not verify under the territory root: {error.sentence}",
                remedy="only the keyholder that the root lists may offer a key; nothing was "
                "encrypted under it",
                campaign=self.order.campaign,
            ) from error


@dataclass(frozen=True)
class Held:
    """One policy looked at a request and found that it holds."""

    policy: str
    sentence: str


class Policy(Protocol):
    """One condition. `require` returns what held, or raises a RunRefused with its code."""

    def require(self, request: RunRequest) -> Held:
        """Check one request."""
        ...
