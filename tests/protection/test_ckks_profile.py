from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest

from protection.ckks import compression, scheme
from protection.ckks import profile as profiles
from protection.ckks.errors import BatchTooLarge, ProfileRefused, ProfileUnknown, TensealMissing
from protection.ckks.profile import PRODUIT, PROFILES, SOMME, Profile, check_admission
from tests.protection.ckks_world import RULES, rule
from trust.documents.rules import DataClass

PERSONAL = DataClass.PERSONAL
HOUSE = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_primes_are_those_that_seal_chooses(profile: Profile) -> None:
    api = pytest.importorskip("tenseal.sealapi", reason="TenSEAL is not installed")
    chosen = api.CoeffModulus.Create(profile.degree, list(profile.coefficient_bits))
    assert tuple(prime.value() for prime in chosen) == (*profile.data_primes, profile.special_prime)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_primes_split_the_ring_and_a_sum_at_head_room_does_not_wrap(profile: Profile) -> None:
    for prime in (*profile.data_primes, profile.special_prime):
        assert prime % (2 * profile.degree) == 1
    # One step under the head-room, with the error bound's own reach, is under half of q.
    largest = ((1 << profile.sum_bits) - 1 + profile.tolerance(1 << 20)) * profile.opened_scale
    assert largest < profile.opened_modulus // 2 < math.prod(profile.data_primes) // 2 + 1
    # What is multiplied is a sum too, which has every prime to stay under.
    assert ((1 << profile.sum_bits) - 1) * profile.scale < math.prod(profile.data_primes) // 2


def test_the_special_prime_uses_all_that_128_bits_of_security_leave() -> None:
    # SEAL's table (tc128): 109 bits at N = 4096, 218 at N = 8192.
    assert sum(SOMME.coefficient_bits) == 109
    assert sum(PRODUIT.coefficient_bits) <= 218


def test_fifteen_sixty_bit_residues_join_a_reduced_one() -> None:
    assert SOMME.additions_before_reduction == 15
    prime = SOMME.data_primes[0]
    assert 16 * (prime - 1) < 1 << 64 <= 17 * (prime - 1)


def test_the_tolerance_is_far_from_half_a_step_and_over_the_measured_errors() -> None:
    # reference/crypto.md 1.1 and 1.2: largest errors seen for 1, 10, 1,000 and 100,000 sums.
    for ciphertexts, seen in ((1, 1e-7), (10, 3e-7), (1000, 3e-6), (100_000, 4.2e-5)):
        assert seen < SOMME.tolerance(ciphertexts) < 10 * seen
    assert SOMME.tolerance(profiles.MAXIMUM_CIPHERTEXTS) < 1e-3
    for ciphertexts in (0, profiles.MAXIMUM_CIPHERTEXTS + 1):
        with pytest.raises(BatchTooLarge):
            SOMME.tolerance(ciphertexts)


def test_rules_inside_the_head_room_are_admitted() -> None:
    check_admission(SOMME, RULES, PERSONAL)
    edge = rule("count", (), bound="1", maximum_contributors=(1 << 24) - 1)
    check_admission(SOMME, (edge,), PERSONAL)


@pytest.mark.parametrize(
    "changes",
    [
        {"bound": "1", "maximum_contributors": 1 << 24},
        {"bound": "168"},
        {"bound": "16.8", "step": "0.1"},
        {"bound": "0.5"},
        {"maximum_contributors": 0},
        {"shape": (SOMME.capacity + 1,)},
        {"shape": (0,)},
    ],
)
def test_rules_that_one_ciphertext_cannot_carry_are_refused(changes: dict[str, object]) -> None:
    shape = changes.pop("shape", (3,))
    with pytest.raises(ProfileRefused) as refused:
        check_admission(SOMME, (rule("flows", shape, **changes),), PERSONAL)  # type: ignore[arg-type]
    assert refused.value.remedy


def test_outputs_share_one_ciphertext_with_room_for_its_padding() -> None:
    half = SOMME.capacity // 2
    check_admission(SOMME, (rule("a", (half,)), rule("b", (half,))), PERSONAL)
    with pytest.raises(ProfileRefused):
        check_admission(SOMME, (rule("a", (half,)), rule("b", (half + 1,))), PERSONAL)


def test_products_are_for_public_capsules_only() -> None:
    small = (rule("flows", (3,), bound="5"),)
    for data_class in (DataClass.PERSONAL, DataClass.COMPANY):
        with pytest.raises(ProfileRefused):
            check_admission(PRODUIT, small, data_class)


def test_an_unknown_profile_is_named() -> None:
    assert profiles.profile_named("somme") is SOMME
    with pytest.raises(ProfileUnknown):
        profiles.profile_named("seuil")


def test_everything_imports_without_tenseal_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tenseal", None)
    with pytest.raises(TensealMissing) as missing:
        scheme.generate(SOMME)
    assert "cadastre[encrypted]" in missing.value.remedy


def test_importing_the_scheme_loads_neither_tenseal_nor_the_decompressor() -> None:
    check = (
        "import sys, protection.ckks.scheme;"
        "sys.exit(bool({'tenseal', 'backports.zstd'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", check], check=True, cwd=HOUSE)


def test_a_missing_decompressor_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "backports", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    with pytest.raises(TensealMissing):
        compression.expand_zstd(b"", 1)
