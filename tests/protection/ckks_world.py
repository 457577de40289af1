"""Rules, keys and forged ciphertexts for the tests of the encrypted protection."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from protection.ckks import masks, packing, scheme
from protection.ckks.addition import ResidueSum
from protection.ckks.profile import SOMME, Profile
from protection.ckks.residues import Residues
from protection.seeds import Seed
from trust.documents.rules import Mechanism, Norm, PrivacyUnit, Protection, ReleaseRules
from trust.entropy import Entropy, seeded


def rule(output: str, shape: tuple[int, ...], **changes: object) -> ReleaseRules:
    fields: dict[str, object] = {
        "output": output,
        "shape": shape,
        "dtype": "int64",
        "step": "1",
        "norm": Norm.LINF,
        "bound": "50",
        "unit": PrivacyUnit.OWNER,
        "protection": Protection.ENCRYPTED,
        "mechanism": Mechanism.DISCRETE_GAUSSIAN,
        "rho": "0.1",
        "minimum_contributors": 20,
        "maximum_contributors": 100_000,
        "minimum_capsules": 1,
        "minimum_workers": 1,
        "minimum_operators": 1,
        "suppress_below": 0,
    }
    return ReleaseRules(**{**fields, **changes})  # type: ignore[arg-type]


RULES = (rule("flows", (9, 9, 5)), rule("total", ()), rule("ages", (17,)))


def partial(seed: int, low: int = -2000, high: int = 2000) -> dict[str, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    return {r.output: np.asarray(random.integers(low, high, r.shape), np.int64) for r in RULES}


def keys(profile: Profile = SOMME, number: int = 0) -> scheme.KeyPair:
    """Real keys, one pair per profile and number; skips where TenSEAL is not installed."""
    return _keys(profile, number)


def encryptor(profile: Profile = SOMME, number: int = 0) -> scheme.Encryptor:
    return _encryptor(profile, number)


def decryptor(profile: Profile = SOMME, number: int = 0) -> scheme.Decryptor:
    return _decryptor(profile, number)


@cache
def _keys(profile: Profile, number: int) -> scheme.KeyPair:
    del number  # tells pairs apart in the cache
    for module in ("tenseal", "backports.zstd"):
        pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")
    return scheme.generate(profile)


@cache
def _encryptor(profile: Profile, number: int) -> scheme.Encryptor:
    return scheme.Encryptor(profile, keys(profile, number).public)


@cache
def _decryptor(profile: Profile, number: int) -> scheme.Decryptor:
    return scheme.Decryptor(profile, keys(profile, number).secret)


def uniform(profile: Profile, entropy: Entropy, polynomials: int = 2) -> Residues:
    """Residues as those of a masked ciphertext look: uniform."""
    parts = [masks.mask_of(profile, Seed.draw(entropy)).values for _ in range(polynomials)]
    return Residues.checked(profile, np.concatenate(parts))


def added(*ciphertexts: Residues) -> Residues:
    total = ResidueSum(ciphertexts[0].profile)
    for ciphertext in ciphertexts:
        total.add(ciphertext)
    return total.total()


def faults(ciphertext: Residues, ciphertexts: int = 1, number: int = 0) -> set[packing.Fault]:
    """What the keyholder finds wrong with a sum under key `number`."""
    decrypted = decryptor(ciphertext.profile, number).decrypt(ciphertext)
    found = packing.find_faults(
        ciphertext.profile, RULES, decrypted, ciphertexts=ciphertexts, contributors=100_000
    )
    return set(found)


ENTROPY = seeded(b"tests of the encrypted protection")
