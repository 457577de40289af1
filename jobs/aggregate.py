"""The blobs between `contribute` and `conclude`: partials in steps, the aggregate in units.

A `clear` partial's blob holds the table `aggregate` with one int64 column of whole steps per
output. The aggregate's blob is what `conclude` reads: the sum in each output's own unit, and
beside it the column `<output>.variance`: how much all the noise inside varies in each cell, in
that unit squared. Under `shared` a partial's blob is the leader's share (protection.layout) and the
aggregate is made of two sums, one per aggregator. Under `encrypted` it is one masked ciphertext
(protection.ckks.residues), and the aggregate is made of the noised steps that the keyholder
opened, which are written like a `clear` partial's; of two factors it is their product alone. All
are functions of signed bytes alone, so an auditor computes them again and compares digests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from jobs.errors import AggregateRefused
from protection import accounting, aggregators, columns
from protection.ckks import residues
from protection.ckks.profile import profile_of
from protection.columns import Column
from protection.errors import ColumnsMalformed, ProtectionError, RingOverflow
from protection.layout import Layout, Role, Vector
from protection.products import released
from protection.quantise import from_steps
from protection.shares import combine as combine_shares
from trust.documents.rules import Protection, ReleaseRules

TABLE = "aggregate"
VARIANCE = ".variance"


@dataclass(frozen=True)
class Part:
    """What one partial says: the fields `values` and `variances` of a `Partial`.

    Values are whole steps in each rule's shape, variances decimal texts per cell in steps
    squared.
    """

    values: Mapping[str, NDArray[np.int64]]
    variances: Mapping[str, str]


def encode_partial(
    rules: tuple[ReleaseRules, ...], values: Mapping[str, NDArray[np.int64]]
) -> bytes:
    """The blob of one partial's whole steps, or of an opened product's. Raises AggregateRefused."""
    rules = _released(rules)
    _require(set(values) == {rule.output for rule in rules}, "the outputs are not the rules'")
    for rule in rules:
        vector = values[rule.output]
        _require(
            vector.dtype == np.int64 and vector.shape == rule.shape,
            f"{rule.output} is not int64 of shape {list(rule.shape)}",
        )
    return columns.encode({TABLE: values})


def decode_partial(rules: tuple[ReleaseRules, ...], blob: bytes) -> dict[str, NDArray[np.int64]]:
    """The whole steps in a partial's blob, in the rules' order. Raises AggregateRefused.

    Where the rules ask for a product, it is what the blob holds, and all that it may hold.
    """
    rules, table = _released(rules), _table(blob)
    _require(set(table) == {rule.output for rule in rules}, "the outputs are not the rules'")
    values: dict[str, NDArray[np.int64]] = {}
    for rule in rules:
        vector = table[rule.output]
        _require(
            vector.dtype == np.int64 and vector.shape == rule.shape,
            f"{rule.output} is not int64 of shape {list(rule.shape)}",
        )
        values[rule.output] = vector.astype(np.int64, copy=False)
    return values


def require_partial(rules: tuple[ReleaseRules, ...], blob: bytes, *, rounds: int) -> None:
    """Return when `blob` has the layout of a partial under `rules`. Raises AggregateRefused.

    What the elements of a share or a ciphertext stand for, nobody can check one by one.
    """
    protections = {rule.protection for rule in rules}
    if not protections <= {Protection.SHARED, Protection.ENCRYPTED}:
        decode_partial(rules, blob)
        return
    try:
        if Protection.ENCRYPTED in protections:
            residues.parse(blob, profile_of(rules))
        else:
            Vector.decode(Layout.of(rules, rounds), Role.SHARE, blob)
    except ProtectionError as error:
        raise AggregateRefused(error.sentence, remedy=error.remedy) from error


def combine(rules: tuple[ReleaseRules, ...], parts: Sequence[Part]) -> bytes:
    """The aggregate's blob: exact sums of whole steps, then one conversion to the unit.

    The order of `parts` makes no difference. Raises AggregateRefused on a wrong layout or when a
    sum would leave 64 bits (a lying worker may send anything).
    """
    rules = _released(rules)
    _require(bool(parts), "there is no partial to open")
    table: dict[str, Column] = {}
    for rule in rules:
        total = _sum(rule, [part.values[rule.output] for part in parts])
        variance = sum(
            (accounting.decimal(part.variances[rule.output], "variance") for part in parts),
            Fraction(0),
        )
        _require(variance >= 0, f"{rule.output}: a variance is negative")
        _tell(table, rule, total, variance)
    return columns.encode({TABLE: table})


def open_shares(
    rules: tuple[ReleaseRules, ...], leader: bytes, helper: bytes, *, rounds: int, contributors: int
) -> bytes:
    """The aggregate's blob from the two noised sums of one `shared` batch.

    `contributors` is how many stand behind it at most. Raises AggregateRefused on a wrong layout,
    or where a sum is beyond what so many and the noise can make.
    """
    try:
        layout = Layout.of(rules, rounds)
        sums = combine_shares(
            Vector.decode(layout, Role.SHARE, leader), Vector.decode(layout, Role.MASKS, helper)
        )
        aggregators.check_sums(rules, rounds, contributors, sums)
        variances = aggregators.total_variances(rules, rounds)
    except ProtectionError as error:
        raise AggregateRefused(error.sentence, remedy=error.remedy) from error
    table: dict[str, Column] = {}
    for rule in rules:
        variance = accounting.decimal(variances[rule.output], "variance")
        _tell(table, rule, sums[rule.output], variance)
    return columns.encode({TABLE: table})


def decode_aggregate(rules: tuple[ReleaseRules, ...], blob: bytes) -> dict[str, Column]:
    """What `conclude` reads, checked against the rules. Raises AggregateRefused."""
    rules, table = _released(rules), _table(blob)
    expected = {rule.output for rule in rules} | {rule.output + VARIANCE for rule in rules}
    _require(set(table) == expected, "the outputs are not the rules'")
    for rule in rules:
        for name, dtype in ((rule.output, rule.dtype), (rule.output + VARIANCE, "float64")):
            _require(
                table[name].dtype.name == dtype and table[name].shape == rule.shape,
                f"{name} is not {dtype} of shape {list(rule.shape)}",
            )
    return table


def _released(rules: tuple[ReleaseRules, ...]) -> tuple[ReleaseRules, ...]:
    try:
        return released(rules)
    except ProtectionError as error:
        raise AggregateRefused(error.sentence, remedy=error.remedy) from error


def _tell(
    table: dict[str, Column], rule: ReleaseRules, total: NDArray[np.int64], variance: Fraction
) -> None:
    """One output's sum and variance (steps, steps squared) in its unit, once."""
    step = accounting.step_of(rule)
    try:
        table[rule.output] = from_steps(total, step, rule.dtype)
    except RingOverflow as error:
        raise AggregateRefused(error.sentence, remedy=error.remedy) from error
    table[rule.output + VARIANCE] = np.full(rule.shape, float(variance * step * step))


def _sum(rule: ReleaseRules, vectors: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    limit = np.iinfo(np.int64).max // len(vectors)
    total = np.zeros(rule.shape, np.int64)
    for vector in vectors:
        _require(
            vector.shape == rule.shape and vector.min() >= -limit and vector.max() <= limit,
            f"{rule.output}: the partials' sum does not fit 64 bits or their shape differs",
        )
        total += vector
    return total


def _table(blob: bytes) -> dict[str, Column]:
    try:
        tables = columns.decode(blob)
    except ColumnsMalformed as error:
        raise AggregateRefused(error.sentence, remedy=error.remedy) from error
    _require(set(tables) == {TABLE}, f"the blob does not hold exactly the table {TABLE}")
    return tables[TABLE]


def _require(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise AggregateRefused(
            sentence, remedy="the values must have exactly the layout of the voted release rules"
        )
