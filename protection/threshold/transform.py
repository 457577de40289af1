"""Exact arithmetic modulo primes below 2^61, and the negacyclic number theoretic transform.

ResidueArray are numpy uint64 arrays; 128-bit products are made of 32-bit halves and reduced by
Montgomery's method (Math. Comp. 1985), so nothing is rounded and nothing overflows. numpy's own
`*` wraps modulo 2^64 on arrays, which is what Montgomery's method wants.

The transform follows SEAL's conventions, because its bytes carry residues in that form: the root
is the least primitive 2N-th root of unity, outputs stand in bit-reversed order (Longa and
Naehrig, CANS 2016). Position k then holds the polynomial's value at psi^(2 reverse(k) + 1).

No branch or index depends on a residue, but numpy promises nothing about time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

ResidueArray = NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_WORD = 1 << 64
# A sum of two residues and the quotient of a Montgomery step must fit one 64-bit word.
MAXIMUM_PRIME = 1 << 61


def _high(a: ResidueArray, b: ResidueArray | np.uint64) -> ResidueArray:
    # The upper word of a 64 x 64-bit product. The middle sum is at most 2^64 - 1.
    a_low, a_high = a & _LOW, a >> _HALF
    b_low, b_high = b & _LOW, b >> _HALF
    cross = a_low * b_high
    middle = ((a_low * b_low) >> _HALF) + (cross & _LOW) + a_high * b_low
    high: ResidueArray = a_high * b_high + (middle >> _HALF) + (cross >> _HALF)
    return high


class Modulus:
    """Arithmetic modulo one odd prime `q` < 2^61 on arrays of canonical residues."""

    def __init__(self, q: int) -> None:
        assert 2 < q < MAXIMUM_PRIME
        assert q % 2
        self.q = q
        self._word = np.uint64(q)
        self._inverse = np.uint64(pow(q, -1, _WORD))
        self._square = np.uint64(_WORD * _WORD % q)

    def scale(self, value: int) -> np.uint64:
        """An integer as a constant for `times`: value * 2^64 mod q."""
        return np.uint64(value * _WORD % self.q)

    def times(self, a: ResidueArray, scaled: ResidueArray | np.uint64) -> ResidueArray:
        """The product a * b mod q where `scaled` is b * 2^64 mod q."""
        high = _high(a, scaled)
        taken = _high(a * scaled * self._inverse, self._word)
        return high - taken + (high < taken) * self._word

    def multiply(self, a: ResidueArray, b: ResidueArray) -> ResidueArray:
        """The products a * b mod q, element by element."""
        return self.times(self.times(a, b), self._square)

    def add(self, a: ResidueArray, b: ResidueArray) -> ResidueArray:
        """The sums a + b mod q."""
        total = a + b
        return total - (total >= self._word) * self._word

    def subtract(self, a: ResidueArray, b: ResidueArray) -> ResidueArray:
        """The differences a - b mod q."""
        return a - b + (a < b) * self._word

    def negate(self, a: ResidueArray) -> ResidueArray:
        """The residues -a mod q."""
        return np.where(a == 0, a, self._word - a)


@dataclass(frozen=True, eq=False)
class Transform:
    """The transform of Z_q[X]/(X^N + 1) for one prime q = 1 mod 2N; get it from `transform`."""

    modulus: Modulus
    size: int
    _forward: ResidueArray  # powers of psi in bit-reversed order, scaled for `times`
    _backward: ResidueArray  # powers of its inverse
    _shrink: np.uint64  # 1 / N

    def forward(self, coefficients: ResidueArray) -> ResidueArray:
        """Values of the polynomial with these N coefficients, in SEAL's order. Shape (N,)."""
        ring, values = self.modulus, coefficients
        blocks = 1
        while blocks < self.size:
            pairs = values.reshape(blocks, 2, -1)
            twisted = ring.times(pairs[:, 1], self._forward[blocks : 2 * blocks, None])
            upper, lower = ring.add(pairs[:, 0], twisted), ring.subtract(pairs[:, 0], twisted)
            values = np.stack([upper, lower], axis=1).reshape(-1)
            blocks *= 2
        return values

    def backward(self, values: ResidueArray) -> ResidueArray:
        """The N coefficients of the polynomial with these values. Shape (N,)."""
        ring, coefficients = self.modulus, values
        blocks = self.size // 2
        while blocks:
            pairs = coefficients.reshape(blocks, 2, -1)
            upper = ring.add(pairs[:, 0], pairs[:, 1])
            lower = ring.subtract(pairs[:, 0], pairs[:, 1])
            lower = ring.times(lower, self._backward[blocks : 2 * blocks, None])
            coefficients = np.stack([upper, lower], axis=1).reshape(-1)
            blocks //= 2
        return ring.times(coefficients, self._shrink)


@cache
def transform(q: int, size: int) -> Transform:
    """The transform modulo the prime `q` for polynomials of degree below `size`, a power of 2."""
    modulus = Modulus(q)
    root = _least_root(q, size)
    order = _reversed_indices(size)

    def table(base: int) -> ResidueArray:
        powers, power = [], 1
        for _ in range(size):
            powers.append(power * _WORD % q)
            power = power * base % q
        return np.array(powers, np.uint64)[order]

    return Transform(
        modulus, size, table(root), table(pow(root, -1, q)), modulus.scale(pow(size, -1, q))
    )


def to_values(coefficients: list[int], primes: tuple[int, ...]) -> ResidueArray:
    """An integer polynomial of any magnitude, transformed for each prime. Shape (primes, N)."""
    rows = [
        transform(q, len(coefficients)).forward(np.array([c % q for c in coefficients], np.uint64))
        for q in primes
    ]
    return np.stack(rows)


def to_coefficients(values: ResidueArray, primes: tuple[int, ...]) -> list[int]:
    """The integer polynomial of least magnitude with these values: coefficients in +-Q/2.

    `values` has shape (primes, N); Q is the product of the primes (Chinese remainders).
    """
    product = 1
    total = [0] * values.shape[1]
    for q, row in zip(primes, values, strict=True):
        residues = transform(q, values.shape[1]).backward(row).tolist()
        step = product * pow(product, -1, q)  # 1 modulo q, 0 modulo every earlier prime
        product *= q
        total = [(t + (r - t) * step) % product for t, r in zip(total, residues, strict=True)]
    half = product // 2
    return [t - product if t > half else t for t in total]


def _least_root(q: int, size: int) -> int:
    # Odd powers of one primitive 2N-th root are all of them.
    assert (q - 1) % (2 * size) == 0
    base = 2
    while pow(root := pow(base, (q - 1) // (2 * size), q), size, q) != q - 1:
        base += 1
    square, power, least = root * root % q, root, root
    for _ in range(size - 1):
        power = power * square % q
        least = min(least, power)
    return least


def _reversed_indices(size: int) -> NDArray[np.intp]:
    bits = size.bit_length() - 1
    indices = np.arange(size, dtype=np.intp)
    order = np.zeros(size, np.intp)
    for bit in range(bits):
        order |= ((indices >> bit) & 1) << (bits - 1 - bit)
    return order
