"""The parameters of threshold decryption, and what its flooding is worth.

SEUIL leaves 60 bits between the flooding of one partial and half of Q, which a scale of 2^80 and
sums below 2^35 share; SOMME and PRODUIT have no such room, so nothing here accepts them.
176 bits of modulus at N = 8192 stay under the 218 of the homomorphic encryption standard
(Albrecht et al. 2018, 128-bit classical, ternary secret).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from protection.ckks import profile as ckks

# Distinct (aggregate, subset) pairs that one trustee answers in one key epoch, and all honest
# trustees together: what SEUIL's flooding is computed for, at this noise of an aggregate, with
# STATISTICAL_BITS of security.
MAXIMUM_DECRYPTIONS = 300
MAXIMUM_LOOKS = 900
MAXIMUM_NOISE = 1 << 13
STATISTICAL_BITS = 64
MAXIMUM_HOLDERS = 16  # every trustee deals to every other, and every subset costs a decryption


@dataclass(frozen=True)
class Profile:
    """One ring: degree N, data primes, the special prime, scale, and the flooding's deviation.

    `flooding` is the standard deviation of the discrete Gaussian that each trustee adds to each
    coefficient of a partial decryption.
    """

    name: str
    degree: int
    data_primes: tuple[int, ...]
    special_prime: int
    scale: int
    flooding: int

    @property
    def primes(self) -> tuple[int, ...]:
        """Every prime of a key, the special one last, as in SEAL."""
        return (*self.data_primes, self.special_prime)

    @property
    def ring(self) -> ckks.Profile:
        """These parameters for `protection.ckks`: its ciphertexts are read and added as any.

        Not one of its named profiles, so that no manifest can choose it. SEAL encodes what stays
        two bits under Q; a sum wraps at Q / 2.
        """
        scale_bits = self.scale.bit_length() - 1
        room = math.prod(self.data_primes).bit_length() - scale_bits
        return ckks.Profile(
            name=self.name.lower(),
            degree=self.degree,
            data_primes=self.data_primes,
            special_prime=self.special_prime,
            scale_bits=scale_bits,
            input_bits=room - 2,
            sum_bits=room - 1,
            multiplications=0,
        )

    @property
    def slots(self) -> int:
        """Real numbers in one ciphertext."""
        return self.degree // 2

    def ciphertext_noise(self, *, holders: int, ciphertexts: int) -> float:
        """Standard deviation of a coefficient's noise in a sum of honest fresh ciphertexts.

        SEAL encrypts at the key level and divides by the special prime; what is left is rounding:
        1/12 from encoding, 1/12 from c0, and 1/12 from c1 times the joint secret, whose
        coefficients are sums of one ternary of variance 2/3 per trustee.
        """
        return math.sqrt(ciphertexts * (2 + holders * self.degree * 2 / 3) / 12)

    def slot_deviation(self, trustees: int) -> float:
        """Standard deviation that the flooding of `trustees` partials leaves in one slot.

        A slot is the real part of a polynomial's value at a root of unity: N independent
        coefficients, each weighted by the cosine of a different angle.
        """
        return self.flooding * math.sqrt(trustees * self.degree / 2) / self.scale

    def statistical_bits(self, *, decryptions: int, ciphertext_noise: float) -> float:
        """Bits of statistical security s of the flooding of one honest trustee.

        Solves flooding = sqrt(24 N decryptions) 2^(s/2) ciphertext_noise for s (Li, Micciancio,
        Schultz, Sorrell, Crypto 2022, as OpenFHE applies it). `ciphertext_noise` is the standard
        deviation of a coefficient of the opened aggregate's own noise. The bound holds for
        Gaussian flooding, drawn anew for every decryption, and honest ciphertexts only.
        """
        unit = math.sqrt(24 * self.degree * decryptions) * ciphertext_noise
        return 2 * math.log2(self.flooding / unit)


SEUIL = Profile(
    name="SEUIL",
    degree=8192,
    data_primes=(0x3FFFFFFFFF0C001, 0x3FFFFFFFFF34001),
    special_prime=0xFFFFFFFFFFFC001,
    scale=1 << 80,
    flooding=1 << 59,
)
