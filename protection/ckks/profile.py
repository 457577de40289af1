"""Named CKKS parameters: how many slots, how large a sum, how exact an opening.

Primes are those that SEAL 4.3 chooses for the bit sizes (`CoeffModulus::Create`); a test asks
TenSEAL for them again. The parameters id that every ciphertext carries is SEAL's BLAKE2b-256
over (scheme, N, data primes, 0) as little-endian words, so a template needs no SEAL either.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from functools import cached_property

from protection.accounting import bound_in_steps
from protection.ckks.errors import BatchTooLarge, ProfileRefused, ProfileUnknown
from protection.products import factors_of
from trust.documents.rules import DataClass, ReleaseRules

_SEAL_SCHEME_CKKS = 2  # seal::scheme_type::ckks
_WORD = 1 << 64
# One slot in sixteen stays zero. A foreign key or an unshaped (0, K) fills every slot alike, so
# one slot would betray it; this many leave no size of K that shows in a value but not in them.
_PADDING_SHARE = 16
# False refusals of honest batches: at most one opening in 10^9.
_FALSE_REFUSAL = 1e-9
# Decoding works in float64: this much of the largest sum is lost to its rounding (measured
# 2^-52; four bits of room).
_FLOAT_LOSS = 2.0**-48
# A product must round to one whole number, and a forged one rarely do so: the bound of its error
# over the largest admitted batch stays under this (steps).
_PRODUCT_TOLERANCE = 1 / 64
# Standard deviation of one coefficient of the errors in SEAL's keys (its 3.2 is this, clipped).
_KEY_DEVIATION = 3.2
# Under this name a worker tells that it can encrypt; whoever plans or adds up never imports it.
LIBRARY = "tenseal"
# Reduced residues are added for so many ciphertexts; the slot error then stays under 1/1000.
MAXIMUM_CIPHERTEXTS = 1 << 20


@dataclass(frozen=True)
class Profile:
    """One choice of CKKS parameters. Slots hold whole steps; one slot is one cell."""

    name: str
    degree: int  # N, the ring degree
    data_primes: tuple[int, ...]  # SEAL's order
    special_prime: int
    scale_bits: int
    input_bits: int  # |one encrypted number| < 2^input_bits
    sum_bits: int  # |one slot of what is opened| < 2^sum_bits: past it it wraps silently
    multiplications: int  # of the sum, by the keyholder, before it decrypts

    @property
    def slots(self) -> int:
        """How many numbers one ciphertext holds."""
        return self.degree // 2

    @property
    def padding(self) -> int:
        """How many slots at the end are zero in every ciphertext, at least."""
        return self.slots // _PADDING_SHARE

    @property
    def capacity(self) -> int:
        """How many cells a job may have at most."""
        return self.slots - self.padding

    @property
    def scale(self) -> float:
        """One step in encoded units."""
        return 2.0**self.scale_bits

    @property
    def coefficient_bits(self) -> tuple[int, ...]:
        """Bit sizes of all primes, as TenSEAL asks for them."""
        return tuple(prime.bit_length() for prime in (*self.data_primes, self.special_prime))

    @property
    def opened_modulus(self) -> int:
        """What a decryption is modulo: each multiplication uses up the last prime."""
        return math.prod(self.data_primes[: len(self.data_primes) - self.multiplications])

    @property
    def opened_scale(self) -> float:
        """One step, or one step times another, in encoded units when it is decrypted."""
        if not self.multiplications:
            return self.scale
        return self.scale * self.scale / self.data_primes[-1]

    @cached_property
    def parameters_id(self) -> bytes:
        """SEAL's id of the data level: 32 bytes in every fresh ciphertext."""
        words = (_SEAL_SCHEME_CKKS, self.degree, *self.data_primes, 0)
        return hashlib.blake2b(struct.pack(f"<{len(words)}Q", *words), digest_size=32).digest()

    @property
    def additions_before_reduction(self) -> int:
        """How many residues can join a reduced one before 64 bits overflow: 15 for 60-bit q."""
        return (_WORD - 1) // (max(self.data_primes) - 1) - 1

    @property
    def slot_error(self) -> float:
        """Standard deviation (steps) of one fresh ciphertext's error in one slot.

        SEAL encrypts at the key level and divides by the special prime, which leaves rounding:
        1/12 from encoding, 1/12 from c0, and 1/12 from c1 times a ternary key of variance 2/3
        per coefficient. A slot is a sum over N coefficients, half of it real.
        """
        per_coefficient = (2 + self.degree * 2 / 3) / 12
        return math.sqrt(per_coefficient * self.degree / 2) / self.scale

    def tolerance(self, ciphertexts: int) -> float:
        """How far (steps) an honest sum of `ciphertexts` may lie from whole numbers and zeros.

        In one slot the key's weight is a complex Gaussian, so the error is a Gaussian of
        exponential variance: a Laplace distribution, P(|x| > t sigma) = exp(-sqrt(2) t). A union
        bound covers real and imaginary parts of all slots. Raises BatchTooLarge.
        """
        if not 1 <= ciphertexts <= MAXIMUM_CIPHERTEXTS:
            raise BatchTooLarge(
                f"a sum of {ciphertexts} ciphertexts has no error bound",
                remedy=f"open between 1 and {MAXIMUM_CIPHERTEXTS} partials at once",
            )
        deviation = self.slot_error * math.sqrt(ciphertexts)
        return self._reach * deviation + float(1 << self.sum_bits) * _FLOAT_LOSS

    def product_tolerance(self, ciphertexts: int, left: int, right: int) -> float:
        """As `tolerance`, for the product of two totals under `left` and `right` (steps).

        Each factor's error is multiplied by the other factor; the second is rotated first, which
        adds one key switch to its error. Behind the products the second factor meets the errors of
        zeros that were rotated, and the first those of the padding. What the multiplication itself
        leaves is divided by the scale's square: nothing beside these. Raises BatchTooLarge.

        A key switch multiplies a key's error by residues that are uniform from 0 to the largest
        prime and divides by the special prime, of the same size. Their variance gives N / 12, but
        their mean, 1/2 in every coefficient, has the value N / pi in the slot nearest to 1.
        """
        self.tolerance(ciphertexts)
        fresh = self.slot_error * math.sqrt(ciphertexts)
        residue = math.hypot(self.degree / math.pi, math.sqrt(self.degree / 12))
        switch = _KEY_DEVIATION * math.sqrt(self.degree / 2) * residue / self.scale
        first = self._reach * fresh + left * _FLOAT_LOSS
        second = self._reach * math.hypot(fresh, switch) + right * _FLOAT_LOSS
        meeting = (first + second) * max(left, right)
        return meeting + first * second + left * right * _FLOAT_LOSS

    @property
    def _reach(self) -> float:
        return math.log(2 * self.slots / _FALSE_REFUSAL) / math.sqrt(2)


# Sums only. 60 + 49 = 109 bits, all that 128-bit security leaves N = 4096. One data prime, so
# sums stay under q / 2 / scale = 2^24; TenSEAL refuses to encode 2^23 and more.
SOMME = Profile(
    name="somme",
    degree=4096,
    data_primes=(0xFFFFFFFFFFFC001,),
    special_prime=0x1FFFFFFFCE001,
    scale_bits=35,
    input_bits=23,
    sum_bits=24,
    multiplications=0,
)

# For public capsules whose statistics need a product of two totals. One multiplication uses up
# the last prime: a product is opened at scale 2^100 / 2^40 modulo 2^100, so it stays under
# 2^100 / 2 / 2^60. The scale is as large as that room allows: a factor's error is multiplied by the
# other factor, so at 2^40 a product of two totals of 10^5 would not be told from its neighbours.
PRODUIT = Profile(
    name="produit",
    degree=8192,
    data_primes=(0xFFFFFFFFFFE8001, 0xFFFFF4C001, 0xFFFFFDC001),
    special_prime=0xFFFFFFFFFFFC001,
    scale_bits=50,
    input_bits=30,
    sum_bits=38,
    multiplications=1,
)

PROFILES = {profile.name: profile for profile in (SOMME, PRODUIT)}


def profile_named(name: str) -> Profile:
    """The profile of that name. Raises ProfileUnknown."""
    profile = PROFILES.get(name)
    if profile is None:
        raise ProfileUnknown(
            f"there is no CKKS profile {name[:40]!r}", remedy=f"choose from: {', '.join(PROFILES)}"
        )
    return profile


def profile_of(rules: tuple[ReleaseRules, ...]) -> Profile:
    """The one profile under which `rules` are encrypted and opened. Raises RuleRefused."""
    return SOMME if factors_of(rules) is None else PRODUIT


def check_admission(
    profile: Profile, rules: tuple[ReleaseRules, ...], data_class: DataClass
) -> None:
    """Raise ProfileRefused unless every sum and product that `rules` allow fits `profile`.

    RuleRefused where they ask for a product that is none. Noise needs no room: it is added to
    whole steps, after decryption. One worker's partial has less room than a sum, which
    `packing.pack` asks for: where a single worker could hold the whole cohort, vote half the
    maximum.
    """
    if profile.multiplications and data_class is not DataClass.PUBLIC:
        raise ProfileRefused(
            f"the profile {profile.name} is for public capsules only",
            remedy="send squares and products as sums of their own, under the profile somme",
        )
    if profile != profile_of(rules):
        raise ProfileRefused(
            f"these rules are for the profile {profile_of(rules).name}, not {profile.name}",
            remedy="start another campaign: its ceremony makes a key of the profile that is voted",
        )
    cells = sum(math.prod(rule.shape) for rule in rules)
    if not 0 < cells <= profile.capacity:
        raise ProfileRefused(
            f"the job's outputs have {cells} cells, one ciphertext of the profile {profile.name} "
            f"holds 1 to {profile.capacity}",
            remedy="release fewer or coarser cells",
        )
    room = 1 << profile.sum_bits
    factors = factors_of(rules)
    if factors is not None:
        _check_product(profile, *factors)
        return
    for rule in rules:
        reach = largest_sum(rule, rule.maximum_contributors)
        if not 0 < reach < room:
            raise ProfileRefused(
                f"{rule.output}: {rule.maximum_contributors} contributors of "
                f"{largest_sum(rule, 1)} steps make a sum of {reach}; the profile "
                f"{profile.name} holds 1 to {room - 1}",
                remedy="lower maximum_contributors or the bound, or write a coarser step",
            )


def _check_product(profile: Profile, left: ReleaseRules, right: ReleaseRules) -> None:
    cells, name = math.prod(left.shape), f"{left.output} x {right.output}"
    # The second factor is rotated onto the first; what comes round behind it must meet zeros.
    if 3 * cells > profile.capacity:
        raise ProfileRefused(
            f"{name}: {cells} cells each; one ciphertext of the profile {profile.name} multiplies "
            f"{profile.capacity // 3}",
            remedy="release fewer or coarser cells",
        )
    most = min(left.maximum_contributors, right.maximum_contributors)
    reaches = [largest_sum(rule, most) for rule in (left, right)]
    product = math.prod(reaches)
    if min(reaches) < 1 or product >= 1 << profile.sum_bits:
        raise ProfileRefused(
            f"{name}: {most} contributors make totals of {reaches[0]} and {reaches[1]} steps; the "
            f"profile {profile.name} opens products of 1 to {(1 << profile.sum_bits) - 1}",
            remedy="lower maximum_contributors or a bound, or write a coarser step",
        )
    if profile.product_tolerance(min(most, MAXIMUM_CIPHERTEXTS), *reaches) > _PRODUCT_TOLERANCE:
        raise ProfileRefused(
            f"{name}: totals of {reaches[0]} and {reaches[1]} steps from {most} workers multiply "
            "to what cannot be told from its neighbours",
            remedy="lower maximum_contributors or the larger bound, or write a coarser step",
        )


def partial_contributors(profile: Profile, rules: tuple[ReleaseRules, ...]) -> int:
    """How many privacy units' clipped contributions surely fit one worker's ciphertext."""
    room = (1 << profile.input_bits) - 1
    return min(room // max(largest_sum(rule, 1), 1) for rule in rules)


def largest_sum(rule: ReleaseRules, contributors: int) -> int:
    """The largest magnitude (steps) of one cell over `contributors` privacy units."""
    return contributors * math.floor(bound_in_steps(rule))
