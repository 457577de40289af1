"""What the audit says of votes for products, without a whole territory around them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from audit.checks import plans
from audit.records import Records
from jobs import archive
from jobs.opening import built_in_folder
from protection.errors import RuleRefused
from trust.documents.rules import Mechanism, ReleaseRules

RULES = archive.pack_folder(built_in_folder("encrypted_footprint")).manifest.rules()
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def records(rules: tuple[ReleaseRules, ...]) -> Records:
    vote = SimpleNamespace(
        id="auth",
        rules=rules,
        campaigns=1,
        images=("image",),
        not_before=NOW,
        not_after=NOW + timedelta(days=1),
    )
    return cast("Records", SimpleNamespace(authorisations=[SimpleNamespace(document=vote)]))


def test_a_vote_for_a_product_is_one_of_the_colleges_decisions() -> None:
    assert plans.authorisations(records(RULES)) == "1 decisions of the college"


@pytest.mark.parametrize(
    "changes",
    [
        {"product": None},
        {"shape": (9,)},
        {"mechanism": Mechanism.DISCRETE_GAUSSIAN, "rho": "0.1"},
    ],
)
def test_a_vote_for_what_is_no_product_is_found(changes: dict[str, Any]) -> None:
    with pytest.raises(RuleRefused):
        plans.authorisations(records((RULES[0], replace(RULES[1], **changes))))
