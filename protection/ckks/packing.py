"""All outputs of a job in one vector of slots, and back once the sum is decrypted.

Slots: the outputs in the rules' order, each flattened in C order, one whole number of steps per
slot; then zeros to the last slot. A ciphertext costs the same whatever it holds.

CKKS is not secure against chosen ciphertexts: one worker that sends (0, K) makes the opened sum
contain K times the secret key. `unpack` is what stands before a decryption and the world. It asks
of the whole batch that

- the padding is zero: catches another key, a wrapped coefficient, an unshaped K;
- the imaginary half of every slot is zero: honest slots are real, whereas a K shaped to vanish
  on the padding multiplies the other slots by the key's complex values, whose phase the
  attacker does not know;
- every value is a whole number of steps, within the reach of the claimed contributors.

A K that is large enough to show after rounding passes all of it with a probability under one in
ten million (it must meet the tolerance twice, around zero and around a whole step), even when it
is aimed at a single slot and 100,000 ciphertexts widen the tolerance. Each refusal tells the
attacker one bit; hence the epoch is retired after one.

Where the rules ask for a product, what is decrypted is the sum times the sum turned round by as
many slots as a factor has: the products in the first slots, then the second factor times zeros,
zeros times zeros, and zeros times the first factor. The checks are then about these products:

- the padding is zero: catches another key and an unshaped K, which fill every slot; not what lies
  in one slot of the padding whose two neighbours at that distance hold zero;
- the imaginary halves are zero: catches a K in the slots of one factor wherever the other total is
  not zero (where it is, the product is zero and shows nothing); two shaped K, one per factor,
  multiply to a complex number whose phase the attacker does not know either;
- products are whole, within the reach of the claimed contributors; the tolerance is wider, up to
  one step in 64 where sums have one in a thousand, so one forged slot in a few thousand passes.

It is weaker than for sums, and for public data only: there the key guards nothing secret.

What passes was whole steps already, to which noise is added. The caller never shows, logs or
stores what it decrypted, passed or refused.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protection.ckks.errors import OpeningImplausible, PartialMisshapen, PartialTooLarge
from protection.ckks.profile import Profile, largest_sum
from protection.products import factors_of, released
from trust.documents.rules import ReleaseRules


@dataclass(frozen=True, eq=False, repr=False)
class Decrypted:
    """A raw decryption, both halves of every slot: float64, shape (slots,). Key material."""

    real: NDArray[np.float64]
    imaginary: NDArray[np.float64]


class Fault(enum.Enum):
    """Why a decryption is not plausible; told to nobody outside the keyholder's process."""

    SHAPE = "shape"
    PADDING = "padding"
    IMAGINARY = "imaginary"
    FRACTION = "fraction"
    RANGE = "range"


def pack(
    profile: Profile, rules: tuple[ReleaseRules, ...], partial: Mapping[str, NDArray[np.int64]]
) -> NDArray[np.float64]:
    """The slots of one worker's clipped partial: float64 whole steps, shape (slots,).

    Raises PartialMisshapen, or PartialTooLarge where a cell is over what the profile encodes.
    """
    if set(partial) != {rule.output for rule in rules}:
        raise PartialMisshapen(
            "the partial's outputs are not those of the rules",
            remedy="return every output that the bundle declares, and no other",
        )
    slots = np.zeros(profile.slots, np.float64)
    start, room = 0, 1 << profile.input_bits
    for rule in rules:
        steps = partial[rule.output]
        if steps.dtype != np.int64 or steps.shape != rule.shape:
            raise PartialMisshapen(
                f"{rule.output}: {steps.dtype} of shape {steps.shape} where int64 steps of shape "
                f"{rule.shape} are due"
            )
        # Compared on both sides: the magnitude of the lowest int64 is not an int64.
        if steps.size and not (steps.min() > -room and steps.max() < room):
            raise PartialTooLarge(
                f"{rule.output}: a cell of this worker's partial reaches {room} steps, the limit "
                f"of one {profile.name} ciphertext",
                remedy="spread the cohort over more workers, or write a coarser step",
            )
        end = start + steps.size
        if end > profile.capacity:
            raise PartialMisshapen(
                f"the outputs do not leave {profile.padding} of {profile.slots} slots empty",
                remedy="release fewer or coarser cells",
            )
        slots[start:end] = steps.ravel()
        start = end
    return slots


def unpack(
    profile: Profile,
    rules: tuple[ReleaseRules, ...],
    decrypted: Decrypted,
    *,
    ciphertexts: int,
    contributors: int,
) -> dict[str, NDArray[np.int64]]:
    """The exact sums in whole steps, by output and in the rules' shapes; not yet noised.

    Under rules with a product it is that one alone, under its own name.
    `ciphertexts` were added, on behalf of `contributors` privacy units.
    Raises OpeningImplausible, which does not say which check failed, BatchTooLarge, RuleRefused.
    """
    faults = find_faults(
        profile, rules, decrypted, ciphertexts=ciphertexts, contributors=contributors
    )
    if faults:
        raise OpeningImplausible(
            "the decrypted sum is not one that honest partials under this key can have",
            remedy="retire the key epoch, and audit the batch's workers: one sent a ciphertext of "
            "another key, altered bytes, or a forged one",
        )
    sums: dict[str, NDArray[np.int64]] = {}
    start = 0
    for rule in released(rules):
        end = start + math.prod(rule.shape)
        whole = np.rint(decrypted.real[start:end]).astype(np.int64)
        sums[rule.output] = whole.reshape(rule.shape)
        start = end
    return sums


def find_faults(
    profile: Profile,
    rules: tuple[ReleaseRules, ...],
    decrypted: Decrypted,
    *,
    ciphertexts: int,
    contributors: int,
) -> frozenset[Fault]:
    """Every reason not to believe `decrypted`; empty for honest batches. All checks always run."""
    reach, tolerance = _expected(profile, rules, ciphertexts, contributors)
    real, imaginary = decrypted.real, decrypted.imaginary
    if real.shape != (profile.slots,) or imaginary.shape != (profile.slots,):
        return frozenset({Fault.SHAPE})
    cells = reach.size
    values = real[:cells]
    # A comparison with NaN is false: what is not a number is a fault.
    holds = {
        Fault.PADDING: bool((np.abs(real[cells:]) <= tolerance).all())
        and cells <= profile.capacity,
        Fault.IMAGINARY: bool((np.abs(imaginary) <= tolerance).all()),
        Fault.FRACTION: _whole(values, tolerance),
        Fault.RANGE: bool((np.abs(values) <= reach + tolerance).all()),
    }
    return frozenset(fault for fault, held in holds.items() if not held)


def _expected(
    profile: Profile, rules: tuple[ReleaseRules, ...], ciphertexts: int, contributors: int
) -> tuple[NDArray[np.float64], float]:
    """The largest magnitude (steps) of every cell in the first slots, and the tolerance of all."""
    factors = factors_of(rules)
    if factors is None:
        reaches = [float(largest_sum(rule, contributors)) for rule in rules]
        cells = [math.prod(rule.shape) for rule in rules]
        return np.repeat(reaches, cells), profile.tolerance(ciphertexts)
    left, right = (largest_sum(rule, contributors) for rule in factors)
    reach = np.full(math.prod(factors[0].shape), float(left * right))
    return reach, profile.product_tolerance(ciphertexts, left, right)


def _whole(values: NDArray[np.float64], tolerance: float) -> bool:
    with np.errstate(invalid="ignore"):  # inf - inf; the comparison then refuses it
        return bool((np.abs(values - np.rint(values)) <= tolerance).all())
