"""Opening one aggregate (c0, c1) by an announced set of exactly t trustees.

Trustee j of the set T answers, with lambda_j the Lagrange coefficient of j in T at 0,

    h_j = lambda_j S_j c1 + z_j + flood_j   (modulo each data prime),

and c0 + sum of h_j = message + ciphertext noise + sum of the floodings.

Why zero-shares z_j. Without them one partial is a statement about the secret on its own: for
T = {1, 3, 5} and known shares of trustees 2 and 4, 64 h_1 = known + 45 s c1 + 64 flood_1, so the
low six bits of the message with its noise stand there without any flooding; that noise is what
hides the key. Clearing the denominators of lambda moves the place and no more (8 h_1 = known +
45 s c1 + 8 flood_1, three bits), because an outsider's interpolation has denominators of its
own; clearing those as well multiplies what must be flooded by up to (5!)^2, 14 bits that SEUIL
does not have, and still says something different about s c1 in every partial.
Instead every pair of T adds and subtracts the same pseudo-random polynomial, derived from its
common seed, the epoch, the aggregate and T: the z_j sum to zero over T, and over a part of T to
uniform noise for whoever lacks one seed between the part and the rest. Whatever t - 1 trustees
and the combiner see is then a function of one value, s c1 plus the floodings of the honest
trustees of T, with coefficient exactly one; the argument needs one honest trustee in T, which
t - 1 dishonest ones cannot prevent, and SHAKE-256.
Partials made for different sets or aggregates do not fit together: they are uniform noise.

What is not protected: this opening is not chosen-ciphertext secure (the ciphertext (0, K) opens
to the key). A trustee answers only for an aggregate that it knows to be the sum of the committed
batch. Noise for privacy belongs into the aggregate, once, before it is announced: inside
partials it would make honest subsets disagree.

What `decode` gives still contains the floodings and may be shown; without them it must not be
(Li and Micciancio, Eurocrypt 2021).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from protection.threshold.ceremony import Epoch, Holding, canonical, known
from protection.threshold.errors import (
    DecryptionRepeated,
    DecryptionsExhausted,
    PartialRefused,
    PublicDataOnly,
    ThresholdError,
)
from protection.threshold.profile import MAXIMUM_NOISE, Profile
from protection.threshold.sampling import expand, flooding, uniform
from protection.threshold.transform import ResidueArray, to_coefficients, to_values, transform
from trust.documents.rules import DataClass
from trust.entropy import Entropy
from trust.ids import Digest

_AGGREGATE = b"cadastre/threshold/aggregate/v1\0"
_ANNOUNCEMENT = b"cadastre/threshold/announcement/v1\0"
_ZERO = b"cadastre/threshold/zero-share/v1\0"
# Generator of SEAL's order of slots in the group of odd residues modulo 2N.
_GENERATOR = 3


@dataclass(frozen=True)
class Announcement:
    """Which aggregate which set opens; each trustee builds its own and answers nothing else.

    `data_class` is the class of every contribution, `subset` ascending. Raises PublicDataOnly,
    ThresholdError.
    """

    epoch: Epoch
    data_class: DataClass
    aggregate: Digest
    subset: tuple[int, ...]

    def __post_init__(self) -> None:
        refuse_protected(self.data_class)
        known(self.epoch, self.subset)
        if self.subset != tuple(sorted(set(self.subset))) or len(self.subset) != (
            self.epoch.threshold
        ):
            raise ThresholdError(
                f"{list(self.subset)} is no set that opens this epoch's aggregates",
                remedy=f"announce exactly {self.epoch.threshold} different trustees",
            )

    @property
    def digest(self) -> Digest:
        """What zero-shares and the count of decryptions bind."""
        head = _ANNOUNCEMENT + self.epoch.digest.raw + self.aggregate.raw
        return Digest.of(head + bytes(self.subset))


@dataclass(frozen=True, eq=False)
class Partial:
    """One trustee's h_j for one announcement. Shape (data primes, N), transformed."""

    trustee: int
    announcement: Digest
    values: ResidueArray = field(repr=False)


@dataclass(frozen=True)
class Answered:
    """The (aggregate, subset) pairs that one trustee answered in one epoch, all it will answer.

    The flooding hides the key for a bounded number of looks at it, and every pair is one look:
    `epoch.decryptions`, never more than 300.
    """

    epoch: Epoch
    announcements: frozenset[Digest] = frozenset()

    def charge(self, announcement: Announcement) -> Answered:
        """The count with one more pair; store it durably before the partial leaves.

        A crash in between loses the answer, never the charge. Raises DecryptionRepeated,
        DecryptionsExhausted, ThresholdError (another epoch).
        """
        if announcement.epoch != self.epoch:
            raise ThresholdError(
                "the announcement is of another key epoch than the count",
                remedy="ask the trustees of that epoch",
            )
        if announcement.digest in self.announcements:
            raise DecryptionRepeated(
                "this set was already answered for this aggregate",
                remedy="send the stored partial again, byte for byte, or announce another set",
            )
        if len(self.announcements) >= self.epoch.decryptions:
            raise DecryptionsExhausted(
                f"{self.epoch.decryptions} decryptions were answered in this key epoch",
                remedy="hold a ceremony for a new key epoch",
            )
        return replace(self, announcements=self.announcements | {announcement.digest})


def refuse_protected(data_class: DataClass) -> None:
    """Raises PublicDataOnly for anything but `public` data: this protocol was not reviewed."""
    if data_class is not DataClass.PUBLIC:
        raise PublicDataOnly(
            f"threshold decryption is experimental and never opens {data_class.value} data",
            remedy="use the protections `shared` or `encrypted`, which don't rest on it",
        )


def announce(
    epoch: Epoch,
    data_class: DataClass,
    aggregate: ResidueArray,
    subset: Iterable[int],
    *,
    ciphertexts: int,
) -> Announcement:
    """The opening of `aggregate`, (c0, c1) of shape (2, data primes, N), by `subset`.

    `ciphertexts` says how many fresh ones were added; their noise must stay below what the
    flooding was computed for. Raises PublicDataOnly, ThresholdError.
    """
    refuse_protected(data_class)
    ring, holders = epoch.profile, epoch.holders
    if ciphertexts < 1 or (
        ring.ciphertext_noise(holders=holders, ciphertexts=ciphertexts) > MAXIMUM_NOISE
    ):
        raise ThresholdError(
            f"the noise of a sum of {ciphertexts} ciphertexts is not what the flooding covers",
            remedy="let each worker send one ciphertext for all its capsules, or split the batch",
        )
    return Announcement(epoch, data_class, _digest(epoch, aggregate), tuple(sorted(subset)))


def partial(
    holding: Holding,
    announcement: Announcement,
    aggregate: ResidueArray,
    answered: Answered,
    entropy: Entropy,
) -> tuple[Partial, Answered]:
    """One trustee's flooded partial decryption, and the count to store before sending it.

    `aggregate` is the trustee's own copy of (c0, c1), shape (2, data primes, N). Raises
    PartialRefused, DecryptionRepeated, DecryptionsExhausted, ThresholdError.
    """
    ring = holding.epoch.profile
    if holding.trustee not in announcement.subset or holding.epoch != announcement.epoch:
        raise PartialRefused(
            f"trustee {holding.trustee} was not announced for this opening",
            remedy="announce a set with this trustee in this key epoch",
        )
    _same_aggregate(announcement, aggregate)
    charged = answered.charge(announcement)
    flood = to_values(flooding(ring.flooding, ring.degree, entropy), ring.data_primes)
    rows = []
    for place, q in enumerate(ring.data_primes):
        modulus = transform(q, ring.degree).modulus
        weight = modulus.scale(lagrange_at_zero(q, announcement.subset, holding.trustee))
        row = modulus.multiply(aggregate[1, place], modulus.times(holding.share[place], weight))
        row = modulus.add(row, _zero_share(holding, announcement, place))
        rows.append(modulus.add(row, flood[place]))
    return Partial(holding.trustee, announcement.digest, np.stack(rows)), charged


def combine(
    announcement: Announcement, aggregate: ResidueArray, partials: Iterable[Partial]
) -> ResidueArray:
    """The flooded message, transformed, shape (data primes, N): c0 plus the set's partials.

    Raises PartialRefused unless there is exactly one partial of each announced trustee. A
    partial's truth cannot be seen: see `protection.threshold.agreement`.
    """
    ring = announcement.epoch.profile
    _same_aggregate(announcement, aggregate)
    answers = list(partials)
    if sorted(p.trustee for p in answers) != list(announcement.subset):
        raise PartialRefused(
            f"partials came from {sorted(p.trustee for p in answers)}, not from the announced "
            f"{list(announcement.subset)}",
            remedy="collect one partial from each announced trustee, or announce another set",
        )
    total = [aggregate[0, place] for place in range(len(ring.data_primes))]
    for answer in answers:
        if answer.announcement != announcement.digest:
            raise PartialRefused(
                f"trustee {answer.trustee} answered another announcement",
                remedy="partials of different sets or aggregates never fit together; ask again",
            )
        canonical(answer.values, ring.data_primes, ring.degree, PartialRefused)
        for place, q in enumerate(ring.data_primes):
            total[place] = transform(q, ring.degree).modulus.add(total[place], answer.values[place])
    return np.stack(total)


def decode(profile: Profile, message: ResidueArray) -> NDArray[np.float64]:
    """The N/2 numbers of a transformed message (data primes, N), as CKKS's canonical embedding.

    Slot j is the value at exp(i pi 3^j / N), divided by the scale.
    """
    degree = profile.degree
    coefficients = [c / profile.scale for c in to_coefficients(message, profile.data_primes)]
    twist = np.exp(1j * math.pi / degree * np.arange(degree))
    values = np.fft.ifft(np.array(coefficients) * twist) * degree
    places = [(pow(_GENERATOR, slot, 2 * degree) - 1) // 2 for slot in range(profile.slots)]
    return np.ascontiguousarray(values[places].real)


def lagrange_at_zero(q: int, subset: Iterable[int], trustee: int) -> int:
    """The weight modulo `q` of `trustee`'s point when `subset` interpolates at 0."""
    weight = 1
    for other in subset:
        if other != trustee:
            weight = weight * other * pow(other - trustee, -1, q) % q
    return weight


def _zero_share(holding: Holding, announcement: Announcement, place: int) -> ResidueArray:
    # The lower of a pair adds what the higher subtracts.
    ring = holding.epoch.profile
    q = ring.data_primes[place]
    modulus = transform(q, ring.degree).modulus
    total = np.zeros(ring.degree, np.uint64)
    for other in announcement.subset:
        if other == holding.trustee:
            continue
        seed = holding.seeds[other] + announcement.digest.raw + bytes([place])
        mask = uniform(q, ring.degree, expand(_ZERO + seed))
        blend = modulus.add if holding.trustee < other else modulus.subtract
        total = blend(total, mask)
    return total


def _digest(epoch: Epoch, aggregate: ResidueArray) -> Digest:
    ring = epoch.profile
    if aggregate.ndim != 3 or len(aggregate) != 2:
        raise ThresholdError(
            f"an aggregate of shape {aggregate.shape} has not two polynomials",
            remedy="announce the sum of fresh ciphertexts: (c0, c1)",
        )
    for polynomial in aggregate:
        canonical(polynomial, ring.data_primes, ring.degree, ThresholdError)
    hasher = hashlib.sha256(_AGGREGATE + epoch.digest.raw)
    hasher.update(aggregate.astype("<u8").tobytes())
    return Digest.from_bytes(hasher.digest())


def _same_aggregate(announcement: Announcement, aggregate: ResidueArray) -> None:
    if _digest(announcement.epoch, aggregate) != announcement.aggregate:
        raise PartialRefused(
            "the aggregate at hand is not the announced one",
            remedy="recompute the sum of the committed batch and compare its digest",
        )
