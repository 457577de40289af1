"""Minimum cohorts: how many stand behind a sum before any of it may be seen."""

from __future__ import annotations

from dataclasses import dataclass

from protection.errors import CohortTooSmall, RingOverflow
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


def check_spread(rules: tuple[ReleaseRules, ...], *, workers: int, operators: int) -> None:
    """Raise CohortTooSmall when too few workers or operators stand behind an opened batch."""
    for rule in rules:
        if workers < rule.minimum_workers or operators < rule.minimum_operators:
            raise CohortTooSmall(
                f"{rule.output}: {workers} workers of {operators} operators, at least "
                f"{rule.minimum_workers} of {rule.minimum_operators} are required",
                remedy="wait until more workers have reported",
            )
