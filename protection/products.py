"""Products of two totals: which outputs are factors, and what is released in their place.

Two outputs of a bundle that name the same `product` leave as one: cell by cell the total of the
first times the total of the second. The totals themselves are nobody's to see. A product has no
sensitivity that a clip bounds (one contributor moves it by the bound times the other total), so
no noise of ours protects it: it is for public capsules, `encrypted`, and without noise.
"""

from __future__ import annotations

from dataclasses import replace

from protection.accounting import decimal, step_of, to_text
from protection.errors import RuleRefused
from trust.documents.rules import Mechanism, Norm, Protection, ReleaseRules


def factors_of(rules: tuple[ReleaseRules, ...]) -> tuple[ReleaseRules, ReleaseRules] | None:
    """The two factors where `rules` ask for a product, else None. Raises RuleRefused.

    Refused is every product that nobody here could open: of one output or three, of different
    shapes, beside other outputs, with noise, or under another protection than `encrypted`.
    """
    names = {rule.product for rule in rules}
    if names == {None}:
        return None
    if len(rules) != 2 or len(names) != 1:
        raise RuleRefused(
            "a product is of two outputs, and they are all outputs of their bundle",
            remedy='write the same product = "name" in exactly two releases',
        )
    left, right = rules
    if left.product in {left.output, right.output}:
        raise RuleRefused(
            f"the product {left.product} has the name of one of its factors",
            remedy="give it a name of its own",
        )
    if left.shape != right.shape:
        raise RuleRefused(
            f"{left.output} x {right.output}: shapes {left.shape} and {right.shape} differ",
            remedy="a product is taken cell by cell; write one shape for both",
        )
    for rule in rules:
        if rule.protection is not Protection.ENCRYPTED:
            raise RuleRefused(
                f"{rule.output}: a factor of a product is protected as encrypted",
                remedy='write protection = "encrypted"',
            )
        if rule.mechanism is not Mechanism.NONE:
            raise RuleRefused(
                f"{rule.output}: no noise fits a product, whose sensitivity no clip bounds",
                remedy='products are for public capsules: write noise = { mechanism = "none" }',
            )
        if rule.suppress_below:
            raise RuleRefused(
                f"{rule.output}: nothing of a factor is shown, so nothing can be suppressed",
                remedy="remove suppress_below",
            )
    if decimal(_product_step(left, right), "step") != step_of(left) * step_of(right):
        raise RuleRefused(
            f"{left.output} x {right.output}: the product of the steps has too many digits",
            remedy="write steps of at most ten decimals",
        )
    return left, right


def released(rules: tuple[ReleaseRules, ...]) -> tuple[ReleaseRules, ...]:
    """The layout of what an opening gives: `rules`, or the one product that they ask for.

    A product's step is the product of the steps; its bound is that of one contributor's cell
    times another's. Raises RuleRefused.
    """
    factors = factors_of(rules)
    if factors is None:
        return rules
    left, right = factors
    assert left.product is not None
    return (
        replace(
            left,
            output=left.product,
            dtype="int64" if {left.dtype, right.dtype} == {"int64"} else "float64",
            step=_product_step(left, right),
            norm=Norm.LINF,
            bound=to_text(decimal(left.bound, "bound") * decimal(right.bound, "bound")),
            minimum_contributors=max(left.minimum_contributors, right.minimum_contributors),
            maximum_contributors=min(left.maximum_contributors, right.maximum_contributors),
            minimum_capsules=max(left.minimum_capsules, right.minimum_capsules),
            minimum_workers=max(left.minimum_workers, right.minimum_workers),
            minimum_operators=max(left.minimum_operators, right.minimum_operators),
            product=None,
        ),
    )


def _product_step(left: ReleaseRules, right: ReleaseRules) -> str:
    return to_text(step_of(left) * step_of(right))
