"""A whole ceremony in one process, and the naive arithmetic that everything is compared with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from protection.threshold import ceremony, opening
from protection.threshold.profile import SEUIL, Profile
from protection.threshold.sampling import small_error, ternary, uniform
from protection.threshold.transform import ResidueArray, to_coefficients, to_values
from trust.documents.rules import DataClass
from trust.entropy import Entropy, seeded


def small(degree: int, flooding: int = SEUIL.flooding) -> Profile:
    """SEUIL in a ring that schoolbook multiplication can follow."""
    return Profile("SMALL", degree, SEUIL.data_primes, SEUIL.special_prime, SEUIL.scale, flooding)


def schoolbook(a: Sequence[int], b: Sequence[int], modulus: int) -> list[int]:
    """a * b modulo X^N + 1 and `modulus`, by the definition."""
    size = len(a)
    product = [0] * size
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            place, sign = ((i + j) % size, -1 if i + j >= size else 1)
            product[place] += sign * x * y
    return [value % modulus for value in product]


def centred(values: Sequence[int], modulus: int) -> list[int]:
    """The representatives nearest to zero."""
    return [(v + modulus // 2) % modulus - modulus // 2 for v in values]


@dataclass
class World:
    """Trustees after their ceremony. The tests, unlike anybody in the protocol, know everything."""

    epoch: ceremony.Epoch
    key: ResidueArray
    secrets: dict[int, ceremony.Secret]
    holdings: dict[int, ceremony.Holding]
    dealings: dict[int, tuple[ceremony.Dealing, ...]]
    entropy: Entropy

    @property
    def product(self) -> int:
        """Q."""
        return prod(self.epoch.profile.data_primes)

    def whole_secret(self) -> list[int]:
        """The sum of all secrets as small integers: what the protocol never computes."""
        primes = self.epoch.profile.primes
        each = [to_coefficients(s.values, primes) for s in self.secrets.values()]
        return [sum(column) for column in zip(*each, strict=True)]

    def encrypt(self, message: Sequence[int]) -> ResidueArray:
        """(c0, c1) of an integer polynomial under the joint key, by big integers only."""
        ring, product = self.epoch.profile, self.product
        b, a = (to_coefficients(k[:-1], ring.data_primes) for k in self.key)
        u = ternary(ring.degree, self.entropy)
        parts = []
        for key, plain in ((b, message), (a, [0] * ring.degree)):
            error = small_error(ring.degree, self.entropy)
            product_u = schoolbook(key, u, product)
            parts.append([x + e + m for x, e, m in zip(product_u, error, plain, strict=True)])
        return np.stack([to_values(part, ring.data_primes) for part in parts])

    def encrypt_by_secret(self, message: Sequence[int]) -> ResidueArray:
        """(c0, c1) with a uniform c1 and the noise already in `message`; fast for any N."""
        ring = self.epoch.profile
        c1 = np.stack([uniform(q, ring.degree, self.entropy) for q in ring.data_primes])
        whole = to_values(self.whole_secret(), ring.data_primes)
        plain = to_values(list(message), ring.data_primes)
        rows = [
            [(m - x * s) % q for m, x, s in zip(*row, strict=True)]
            for q, row in zip(
                ring.data_primes,
                zip(plain.tolist(), c1.tolist(), whole.tolist(), strict=True),
                strict=True,
            )
        ]
        return np.stack([np.array(rows, np.uint64), c1])

    def raw_decryption(self, aggregate: ResidueArray) -> list[int]:
        """c0 + c1 s modulo Q, nearest to zero, by the definition."""
        primes = self.epoch.profile.data_primes
        c0, c1 = (to_coefficients(part, primes) for part in aggregate)
        shifted = schoolbook(c1, self.whole_secret(), self.product)
        return centred([x + y for x, y in zip(c0, shifted, strict=True)], self.product)

    def announce(self, aggregate: ResidueArray, subset: Sequence[int]) -> opening.Announcement:
        """Everybody's view of one opening of public data."""
        return opening.announce(self.epoch, DataClass.PUBLIC, aggregate, subset, ciphertexts=1)

    def partials(self, aggregate: ResidueArray, subset: Sequence[int]) -> list[opening.Partial]:
        """The set's partials, each from a trustee that never answered before."""
        announced = self.announce(aggregate, subset)
        return [
            opening.partial(
                self.holdings[trustee],
                announced,
                aggregate,
                opening.Answered(self.epoch),
                self.entropy,
            )[0]
            for trustee in subset
        ]

    def open(self, aggregate: ResidueArray, subset: Sequence[int]) -> ResidueArray:
        """The flooded message."""
        announced = self.announce(aggregate, subset)
        return opening.combine(announced, aggregate, self.partials(aggregate, subset))

    def subsets(self, trustees: Sequence[int] | None = None) -> list[tuple[int, ...]]:
        """All sets of t among `trustees` (everybody)."""
        return list(itertools.combinations(trustees or self.epoch.trustees, self.epoch.threshold))


def hold(profile: Profile, threshold: int = 3, holders: int = 5, seed: bytes = b"world") -> World:
    """A ceremony of honest trustees with reproducible randomness."""
    entropy = seeded(seed)
    epoch = ceremony.Epoch(f"epoch of {seed!r}", profile, threshold, holders)
    secrets = {i: ceremony.draw_secret(epoch, entropy) for i in epoch.trustees}
    shares = [ceremony.public_share(epoch, i, secrets[i], entropy) for i in epoch.trustees]
    commitments = {share.trustee: share.commitment(epoch) for share in shares}
    key = ceremony.joint_key(epoch, commitments, shares)
    dealings = {i: ceremony.deal(epoch, i, secrets[i], entropy) for i in epoch.trustees}
    holdings = {
        j: ceremony.receive(epoch, j, dealings[j], [dealings[i][j - 1] for i in epoch.trustees])
        for j in epoch.trustees
    }
    return World(epoch, key, secrets, holdings, dealings, entropy)
