"""A key epoch's ceremony: a joint public key, and shares of a secret that is never summed.

1. Every trustee derives the same reference polynomial `a` from the epoch (SHAKE-256, rejection).
2. Trustee i draws s_i and e_i and computes its public key share b_i = -(a s_i + e_i); all publish
   commitments, and reveal only when they have everybody's: the last one to speak could otherwise
   choose a share that cancels the others and own the joint key (a rogue key).
3. The joint public key is (sum of b_i, a); the secret that belongs to it, the sum of all s_i, is
   never computed by anybody.
4. Trustee i shares each coefficient of s_i by Shamir's polynomial of degree t - 1 over each data
   prime, and sends trustee j one value and 32 bytes of a seed, both sealed to j by the caller.
   The transform is linear, so values are shared instead of coefficients: it is the same scheme.
5. Trustee j adds what it received: one share of the sum of all secrets, and with every other
   trustee k one common seed that neither chose alone (for the zero-shares of `opening`).

Dealings are not verifiable: a trustee that deals points of no polynomial, or of another secret,
makes the epoch's openings garbage. An epoch is therefore used only after a known ciphertext was
opened right by subsets that cover every trustee (`agreement.check_subsets`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from protection.threshold.errors import DealingRefused, ShareRefused, ThresholdError
from protection.threshold.profile import (
    MAXIMUM_DECRYPTIONS,
    MAXIMUM_HOLDERS,
    MAXIMUM_LOOKS,
    Profile,
)
from protection.threshold.sampling import expand, small_error, ternary, uniform
from protection.threshold.transform import ResidueArray, to_values, transform
from trust.entropy import Entropy
from trust.ids import Digest

SEED_BYTES = 32
_REFERENCE = b"cadastre/threshold/reference/v1\0"
_SHARE = b"cadastre/threshold/public-share/v1\0"
_PAIR = b"cadastre/threshold/pair-seed/v1\0"
_EPOCH = b"cadastre/threshold/epoch/v1\0"


@dataclass(frozen=True)
class Epoch:
    """One key: its unique name, ring, and any `threshold` of trustees 1..`holders` open it."""

    name: str
    profile: Profile
    threshold: int
    holders: int

    def __post_init__(self) -> None:
        if not 2 <= self.threshold <= self.holders <= MAXIMUM_HOLDERS:
            raise ThresholdError(
                f"{self.threshold} of {self.holders} trustees is no threshold of this protocol",
                remedy=f"choose 2 <= threshold <= trustees <= {MAXIMUM_HOLDERS}: 3 of 5, say",
            )

    @property
    def trustees(self) -> range:
        """Every trustee's index, which is its point in Shamir's scheme; 0 is the secret."""
        return range(1, self.holders + 1)

    @property
    def decryptions(self) -> int:
        """How many (aggregate, subset) pairs one trustee answers before the epoch ends.

        Every set holds at least one honest trustee, and with t - 1 dishonest ones perhaps one
        only: the key is then looked at up to holders - t + 1 times as often as one of them counts.
        """
        honest = self.holders - self.threshold + 1
        return min(MAXIMUM_DECRYPTIONS, MAXIMUM_LOOKS // honest)

    @property
    def digest(self) -> Digest:
        """What every hash of the epoch binds: its name and all its numbers."""
        ring = self.profile
        numbers = (ring.degree, *ring.primes, ring.scale, ring.flooding, self.threshold)
        text = ",".join(map(str, (*numbers, self.holders)))
        return Digest.of(_EPOCH + text.encode() + b"\0" + self.name.encode())


@dataclass(frozen=True, eq=False)
class Secret:
    """One trustee's own secret polynomial, transformed. Shape (primes, N); destroyed once dealt."""

    values: ResidueArray = field(repr=False)


@dataclass(frozen=True, eq=False)
class PublicShare:
    """One trustee's b_i, transformed. Shape (primes, N)."""

    trustee: int
    values: ResidueArray = field(repr=False)

    def commitment(self, epoch: Epoch) -> Digest:
        """What is published before anybody reveals; b_i is itself too random to be guessed."""
        head = _SHARE + epoch.digest.raw + bytes([self.trustee])
        return Digest.of(head + self.values.astype("<u8").tobytes())


@dataclass(frozen=True, eq=False)
class Dealing:
    """What `dealer` sends to `holder`, sealed: a point of its polynomial (data primes, N)."""

    dealer: int
    holder: int
    values: ResidueArray = field(repr=False)
    seed: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class Holding:
    """What trustee `trustee` keeps for the epoch: its share of the secret, its pairs' seeds."""

    epoch: Epoch
    trustee: int
    share: ResidueArray = field(repr=False)
    seeds: Mapping[int, bytes] = field(repr=False)


def common_reference(epoch: Epoch) -> ResidueArray:
    """The public polynomial `a`, which nobody chose. Shape (primes, N), transformed."""
    head = _REFERENCE + epoch.digest.raw
    rows = [
        uniform(q, epoch.profile.degree, expand(head + bytes([place])))
        for place, q in enumerate(epoch.profile.primes)
    ]
    return np.stack(rows)


def draw_secret(epoch: Epoch, entropy: Entropy) -> Secret:
    """A fresh ternary secret."""
    ring = epoch.profile
    return Secret(to_values(ternary(ring.degree, entropy), ring.primes))


def public_share(epoch: Epoch, trustee: int, secret: Secret, entropy: Entropy) -> PublicShare:
    """b_i = -(a s_i + e_i) with a fresh small error e_i. Raises ThresholdError."""
    known(epoch, (trustee,))
    ring = epoch.profile
    error = to_values(small_error(ring.degree, entropy), ring.primes)
    rows = []
    for q, a, s, e in zip(ring.primes, common_reference(epoch), secret.values, error, strict=True):
        modulus = transform(q, ring.degree).modulus
        rows.append(modulus.negate(modulus.add(modulus.multiply(a, s), e)))
    return PublicShare(trustee, np.stack(rows))


def joint_key(
    epoch: Epoch, commitments: Mapping[int, Digest], revealed: Iterable[PublicShare]
) -> ResidueArray:
    """The public key (sum of b_i, a), shape (2, primes, N), from every trustee's committed share.

    Raises ShareRefused unless each trustee of the epoch committed and revealed exactly that.
    """
    ring = epoch.profile
    seen = set[int]()
    total = np.zeros((len(ring.primes), ring.degree), np.uint64)
    for share in revealed:
        if share.trustee in seen or share.trustee not in epoch.trustees:
            raise ShareRefused(
                f"trustee {share.trustee} reveals twice or is none of this epoch's",
                remedy="start the ceremony again under a new epoch name",
            )
        seen.add(share.trustee)
        canonical(share.values, ring.primes, ring.degree, ShareRefused)
        if commitments.get(share.trustee) != share.commitment(epoch):
            raise ShareRefused(
                f"trustee {share.trustee} reveals another share than it committed to",
                remedy="start the ceremony again without this trustee, under a new epoch name",
            )
        total = _add(total, share.values, ring.primes, ring.degree)
    if seen != set(epoch.trustees):
        raise ShareRefused(
            f"shares of trustees {sorted(set(epoch.trustees) - seen)} are missing",
            remedy="wait for every share; the joint key is the sum of all or none",
        )
    return np.stack([total, common_reference(epoch)])


def deal(epoch: Epoch, trustee: int, secret: Secret, entropy: Entropy) -> tuple[Dealing, ...]:
    """Shamir shares of `secret` over each data prime, one per trustee of the epoch, itself too."""
    known(epoch, (trustee,))
    ring = epoch.profile
    points: list[list[ResidueArray]] = [[] for _ in epoch.trustees]
    for q, row in zip(ring.data_primes, secret.values[: len(ring.data_primes)], strict=True):
        modulus = transform(q, ring.degree).modulus
        terms = [uniform(q, ring.degree, entropy) for _ in range(epoch.threshold - 1)]
        for holder in epoch.trustees:
            value = np.zeros(ring.degree, np.uint64)
            for term in terms:
                value = modulus.times(modulus.add(value, term), modulus.scale(holder))
            points[holder - 1].append(modulus.add(value, row))
    return tuple(
        Dealing(trustee, holder, np.stack(points[holder - 1]), entropy(SEED_BYTES))
        for holder in epoch.trustees
    )


def receive(
    epoch: Epoch, trustee: int, sent: Sequence[Dealing], received: Sequence[Dealing]
) -> Holding:
    """One trustee's holding, out of what it dealt and what everybody dealt to it.

    `sent` is its own `deal`, `received` one dealing from every trustee, its own included. Raises
    DealingRefused. The dealings and the trustee's own secret are destroyed afterwards.
    """
    known(epoch, (trustee,))
    ring = epoch.profile
    everybody = list(epoch.trustees)
    complete = sorted(d.dealer for d in received) == everybody == sorted(d.holder for d in sent)
    mine = all(d.holder == trustee for d in received) and all(d.dealer == trustee for d in sent)
    if not (complete and mine):
        raise DealingRefused(
            f"trustee {trustee} needs exactly one dealing to and from each of {everybody}",
            remedy="ask the missing trustees again, or start the ceremony again",
        )
    share = np.zeros((len(ring.data_primes), ring.degree), np.uint64)
    for dealing in received:
        canonical(dealing.values, ring.data_primes, ring.degree, DealingRefused)
        if len(dealing.seed) != SEED_BYTES:
            raise DealingRefused(
                f"trustee {dealing.dealer} dealt a seed of {len(dealing.seed)} bytes",
                remedy=f"a seed has {SEED_BYTES} random bytes; ask that trustee to deal again",
            )
        share = _add(share, dealing.values, ring.data_primes, ring.degree)
    outward = {dealing.holder: dealing.seed for dealing in sent}
    seeds = {}
    for dealing in received:
        other, halves = dealing.dealer, (outward[dealing.dealer], dealing.seed)
        low, high = halves if trustee < other else halves[::-1]
        pair = bytes(sorted((trustee, other)))
        seeds[other] = hashlib.sha256(_PAIR + epoch.digest.raw + pair + low + high).digest()
    del seeds[trustee]
    return Holding(epoch, trustee, share, seeds)


def known(epoch: Epoch, trustees: Iterable[int]) -> None:
    """Refuses (ThresholdError) an index that is no trustee of the epoch."""
    for trustee in trustees:
        if trustee not in epoch.trustees:
            raise ThresholdError(
                f"there is no trustee {trustee} in this epoch",
                remedy=f"trustees have the numbers 1 to {epoch.holders}",
            )


def canonical(
    values: ResidueArray, primes: Sequence[int], degree: int, refusal: type[ThresholdError]
) -> None:
    """Refuses (`refusal`) all but uint64 residues of shape (primes, N), each below its prime."""
    limits = np.array(primes, np.uint64)[:, None]
    if values.dtype != np.uint64 or values.shape != (len(primes), degree):
        raise refusal(
            f"residues of type {values.dtype} and shape {values.shape} are not of this profile",
            remedy=f"send unsigned 64-bit residues of shape ({len(primes)}, {degree})",
        )
    if (values >= limits).any():
        raise refusal(
            "a residue is not below its prime",
            remedy="send residues reduced modulo each prime",
        )


def _add(a: ResidueArray, b: ResidueArray, primes: Sequence[int], degree: int) -> ResidueArray:
    rows = [transform(q, degree).modulus.add(x, y) for q, x, y in zip(primes, a, b, strict=True)]
    return np.stack(rows)
