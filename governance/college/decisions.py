"""Composing what the college signs, and laying it out for the people who sign it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from governance.errors import VoteRefused
from protection import accounting
from protection.capacity import bits_per_release
from trust.documents.governance import Authorisation, Suspension
from trust.documents.rules import Mechanism, ReleaseRules
from trust.entropy import Entropy
from trust.errors import Malformed
from trust.ids import AuthorisationId, Digest
from trust.policy.request import BundleFacts

MAXIMUM_DAYS = 3660
MAXIMUM_CAMPAIGNS = 10_000
MAXIMUM_REASON = 500  # characters; every worker shows it


@dataclass(frozen=True)
class Terms:
    """What the college adds to the bundle's own text."""

    territory: str
    images: tuple[Digest, ...]
    campaigns: int
    rho_budget: str | None  # None: what the campaigns together cost
    days: int


@dataclass(frozen=True)
class Dossier:
    """What the bundle itself says: its facts, its title in both languages, its purpose."""

    facts: BundleFacts
    title: str
    purpose: str


def compose_authorisation(
    dossier: Dossier, terms: Terms, now: datetime, entropy: Entropy
) -> Authorisation:
    """The authorisation to vote on. Raises VoteRefused."""
    facts = dossier.facts
    if not terms.images:
        raise VoteRefused(
            "no runtime image is named",
            remedy="give --image sha256:…; `cadastre worker image` prints a worker's own",
        )
    if not 1 <= terms.campaigns <= MAXIMUM_CAMPAIGNS:
        raise VoteRefused(
            f"campaigns are 1 to {MAXIMUM_CAMPAIGNS}, not {terms.campaigns}",
            remedy=f"give --campaigns 1 to {MAXIMUM_CAMPAIGNS}",
        )
    if not 1 <= terms.days <= MAXIMUM_DAYS:
        raise VoteRefused(
            f"an authorisation lasts 1 to {MAXIMUM_DAYS} days, not {terms.days}",
            remedy=f"give --days 1 to {MAXIMUM_DAYS}",
        )
    needed = accounting.rho_of(facts.rules) * terms.campaigns
    budget = accounting.to_text(needed) if terms.rho_budget is None else terms.rho_budget
    if accounting.decimal(budget, "the budget") < needed:
        raise VoteRefused(
            f"{terms.campaigns} campaigns cost a privacy unit rho {accounting.to_text(needed)}, "
            f"the budget is {budget}",
            remedy="raise --rho-budget or lower --campaigns, so that the vote says what happens",
        )
    return Authorisation(
        id=AuthorisationId.draw(entropy),
        territory=terms.territory,
        bundle=facts.bundle,
        manifest=facts.manifest,
        title=dossier.title,
        purpose=dossier.purpose,
        tables=facts.tables,
        rules=facts.rules,
        bounds=facts.bounds,
        images=tuple(dict.fromkeys(terms.images)),
        rho_budget=budget,
        campaigns=terms.campaigns,
        not_before=now,
        not_after=now + timedelta(days=terms.days),
    )


def compose_suspension(
    authorisation: str, territory: str, reason: str, now: datetime
) -> Suspension:
    """The suspension to sign. Raises VoteRefused."""
    if not reason.strip() or len(reason) > MAXIMUM_REASON:
        raise VoteRefused(
            f"a suspension gives its reason in 1 to {MAXIMUM_REASON} characters",
            remedy='write --reason "…": every worker and auditor reads it',
        )
    try:
        suspended = AuthorisationId.parse(authorisation)
    except Malformed as error:
        raise VoteRefused(error.sentence, remedy="copy the id from `authorisation show`") from error
    return Suspension(territory, suspended, reason.strip(), now)


def ballot(authorisation: Authorisation) -> dict[str, object]:
    """What members vote on, a line per fact, in words."""
    rho = accounting.rho_of(authorisation.rules)
    budget = accounting.decimal(authorisation.rho_budget, "rho_budget")
    facts: dict[str, object] = {
        "id": authorisation.id,
        "territory": authorisation.territory,
        "title": authorisation.title,
        "purpose": authorisation.purpose,
        "bundle": authorisation.bundle,
        "manifest": authorisation.manifest,
    }
    for table, names in sorted(authorisation.tables.items()):
        facts[f"reads {table}"] = ", ".join(names)
    for rule in authorisation.rules:
        facts[f"releases {rule.output}"] = _rule_in_words(rule)
    for name, bound in sorted(authorisation.bounds.items()):
        limits = [f"{bound.minimum or '…'} to {bound.maximum or '…'}", "|".join(bound.choices)]
        facts[f"parameter {name}"] = f"{bound.type} {limits[1] or limits[0]}"
    facts |= {
        "campaigns": authorisation.campaigns,
        "privacy per campaign": _loss(accounting.to_text(rho), accounting.epsilon(rho)),
        "privacy budget": _loss(authorisation.rho_budget, accounting.epsilon(budget)),
        "runtime images": ", ".join(authorisation.images),
        "from": f"{authorisation.not_before:%Y-%m-%d %H:%M} UTC",
        "until": f"{authorisation.not_after:%Y-%m-%d %H:%M} UTC",
    }
    return facts


def _rule_in_words(rule: ReleaseRules) -> str:
    shape = " x ".join(str(length) for length in rule.shape)
    noiseless = rule.mechanism is Mechanism.NONE
    noise = "no noise" if noiseless else f"{rule.mechanism.value} at rho {rule.rho}"
    minima = (
        f"at least {rule.minimum_contributors} {rule.unit.value}s, "
        f"{rule.minimum_capsules} capsules, {rule.minimum_workers} workers, "
        f"{rule.minimum_operators} operators"
    )
    hidden = f"; cells under {rule.suppress_below} hidden" if rule.suppress_below else ""
    inside = "" if rule.product is None else f"only inside the product {rule.product}; "
    return (
        f"{inside}{shape} {rule.dtype}, "
        f"at most {bits_per_release(rule):.1f} bits per {rule.unit.value}; "
        f"clipped to {rule.norm.value} {rule.bound} per {rule.unit.value}; "
        f"{rule.protection.value}, {noise}; {minima}{hidden}"
    )


def _loss(rho: str, epsilon: float) -> str:
    return f"rho {rho} zCDP (epsilon {epsilon:.2f} at delta {accounting.DELTA:g})"


def parse_images(texts: Sequence[str]) -> tuple[Digest, ...]:
    """The image digests given on a command line. Raises Malformed."""
    return tuple(Digest.parse(text) for text in texts)
