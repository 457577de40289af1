"""Minimum cohorts: how many stand behind a sum before any of it may be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protection.errors import CohortTooSmall, RingOverflow, SpreadTooSmall
from trust.documents.rules import ReleaseRules


@dataclass(frozen=True)
class Cohort:
    """Who stands behind a sum: privacy units and the capsules that they live in."""

    contributors: int
    capsules: int


def check_cohort(rules: tuple[ReleaseRules, ...], cohort: Cohort) -> None:
    """Raise CohortTooSmall, or RingOverflow for a cohort over the admitted maximum.

    For `clear` it holds for each partial alone; the opener of a `shared` or `encrypted` batch
    asks the same of the batch.
    """
    for rule in rules:
        if cohort.contributors < rule.minimum_contributors:
            raise CohortTooSmall(
                f"{rule.output}: {cohort.contributors} contributors, at least "
                f"{rule.minimum_contributors} must stand behind a sum",
                remedy="wait for more consents on this worker, or host its capsules elsewhere",
            )
        if cohort.capsules < rule.minimum_capsules:
            raise CohortTooSmall(
                f"{rule.output}: {cohort.capsules} capsules, at least {rule.minimum_capsules} "
                "must stand behind a sum",
                remedy="wait for more owners on this worker",
            )
        if cohort.contributors > rule.maximum_contributors:
            raise RingOverflow(
                f"{rule.output}: {cohort.contributors} contributors, the rule was admitted for "
                f"{rule.maximum_contributors}",
                remedy="split the cohort over more workers, or vote a larger maximum",
            )


@dataclass(frozen=True)
class Standing:
    """One worker's part of a batch, and under whose administration it runs."""

    worker: str
    operator: str
    contributors: int
    capsules: int


def check_batch(rules: tuple[ReleaseRules, ...], standings: Sequence[Standing]) -> None:
    """Raise SpreadTooSmall, CohortTooSmall or RingOverflow for a `shared` or `encrypted` batch.

    The minimum of contributors must hold without any single operator's: whoever runs machines
    knows what they sent, so the others are hidden by the others alone (DESIGN 10).
    """
    operators = {item.operator for item in standings}
    check_spread(rules, workers=len(standings), operators=len(operators))
    total = sum(item.contributors for item in standings)
    check_cohort(rules, Cohort(total, sum(item.capsules for item in standings)))
    for operator in sorted(operators):
        others = sum(item.contributors for item in standings if item.operator != operator)
        for rule in rules:
            if others < rule.minimum_contributors:
                raise CohortTooSmall(
                    f"{rule.output}: {others} contributors without those of one operator, at "
                    f"least {rule.minimum_contributors} must stand behind a sum without them",
                    remedy="wait for more consents on other operators' workers",
                )


def check_spread(rules: tuple[ReleaseRules, ...], *, workers: int, operators: int) -> None:
    """Raise SpreadTooSmall when too few workers or operators stand behind an opened batch."""
    for rule in rules:
        if workers < rule.minimum_workers or operators < rule.minimum_operators:
            raise SpreadTooSmall(
                f"{rule.output}: {workers} workers of {operators} operators, at least "
                f"{rule.minimum_workers} of {rule.minimum_operators} are required",
                remedy="wait until more workers have reported",
            )
