"""The `encrypted` protection on a worker: the sum leaves as one masked ciphertext.

All outputs of the job are packed into one vector of slots, encrypted under the public key of the
campaign's epoch, and masked by a seed that is sealed to the helper: the keyholder, who could
decrypt, sees uniform residues without the helper's masks. Noise is for the keyholder to add, once,
over the whole batch; the minimum cohort is for it to hold too. The exact sum and the seed are this
process's alone and end with the call.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from fractions import Fraction

from capsule_runtime import guard
from protection import accounting
from protection.ckks import masks, packing, residues, scheme
from protection.ckks.profile import LIBRARY, check_admission, profile_of
from protection.cohort import Cohort
from protection.errors import CohortTooSmall, RuleRefused
from protection.scope import Binding
from protection.seeds import Seed, helper_key, seal
from trust.documents.rules import DataClass, Protection, ReleaseRules
from trust.entropy import Entropy

# What the extra `encrypted` brings beside numpy: TenSEAL's ciphertexts are zstd frames.
_MODULES = (LIBRARY, "backports.zstd")


@dataclass(frozen=True)
class EncryptedSum:
    """What a worker may send: persist both halves before sending, and replay exactly these."""

    ciphertext: bytes  # masked; as protection.ckks.residues writes it
    sealed: bytes  # the mask's seed, sealed to the helper's campaign key
    variances: dict[str, str]  # "0" everywhere: no noise was added here
    cohort: Cohort
    rho: str  # decimal text: what each privacy unit paid for this round


def libraries() -> tuple[str, ...]:
    """TenSEAL's name where this installation can encrypt, else nothing; imports neither."""
    return (LIBRARY,) if all(map(_found, _MODULES)) else ()


def encryptor_of(rules: tuple[ReleaseRules, ...], public: bytes) -> scheme.Encryptor:
    """The epoch's public key, ready: made before anybody is charged.

    `public` has the digest that the verified EpochKey names. Raises TensealMissing,
    KeyMaterialRefused, RuleRefused.
    """
    return scheme.Encryptor(profile_of(rules), public)


def protect_encrypted(
    rules: tuple[ReleaseRules, ...],
    total: guard.Sum,
    binding: Binding,
    entropy: Entropy,
    *,
    helper: bytes,
    encryptor: scheme.Encryptor,
    data_class: DataClass,
    rounds: int = 1,
) -> EncryptedSum:
    """The sum as a masked ciphertext, the mask sealed for exactly the report of `binding`.

    `helper` is the 32-byte X25519 key of the campaign; `data_class` the most protected class
    among the capsules. Raises RuleRefused, CohortTooSmall (nobody), NoiselessRefused,
    ProfileRefused (a product over capsules that are not public, or rules that fit no ciphertext),
    PartialTooLarge, EncryptionFailed, SeedRefused. Every call draws a fresh seed and fresh
    encryption noise: a caller that called twice for one round would give two ciphertexts of one
    sum, so it persists the first and replays that.
    """
    for rule in rules:
        if rule.protection is not Protection.ENCRYPTED:
            raise RuleRefused(
                f"{rule.output}: voted as {rule.protection}, not as encrypted",
                remedy='write protection = "encrypted" for every release of the bundle',
            )
    accounting.check_noise(rules, data_class)
    profile = profile_of(rules)
    check_admission(profile, rules, data_class)
    if not total.cohort.capsules:
        raise CohortTooSmall("no capsule stands behind the sum", remedy="wait for consents")
    fresh = encryptor.encrypt(packing.pack(profile, rules, total.values))
    seed = Seed.draw(entropy)
    ciphertext = residues.write(masks.masked(fresh, seed))
    sealed = seal(seed, helper_key(helper), binding)
    cost: Fraction = accounting.rho_of(rules) / rounds
    return EncryptedSum(
        ciphertext,
        sealed,
        {rule.output: "0" for rule in rules},
        total.cohort,
        accounting.to_text(cost),
    )


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # the package above it is missing
        return False
