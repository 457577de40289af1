"""Folders, processes and bytes: what the keyholder's and a trustee's programs stand on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from custody_world import World
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.helper.masking import sum_masks
from governance.keyholder.errors import KeyholderStateRefused
from governance.keyholder.memory import Memory
from governance.keyholder.schema import FILE_NAME
from governance.trustee.errors import TrusteeStateRefused
from governance.trustee.memory import FILE_NAME as TRUSTEE_FILE
from governance.trustee.memory import Memory as TrusteeMemory
from protection.ckks.addition import ResidueSum
from protection.ckks.blobs import parse_masks, write_masks
from protection.ckks.errors import CiphertextForeign, CkksError
from protection.ckks.masks import mask_of
from protection.ckks.profile import PRODUIT, SOMME, Profile
from protection.errors import BatchRefused, SeedRepeated
from protection.seeds import Seed
from trust.entropy import seeded


def test_a_state_of_another_territory_release_or_kind_is_refused(tmp_path: Path) -> None:
    for memory, name, refusal in (
        (Memory, FILE_NAME, KeyholderStateRefused),
        (TrusteeMemory, TRUSTEE_FILE, TrusteeStateRefused),
    ):
        folder = tmp_path / name
        memory(folder, "one.example").close()
        memory(folder, "one.example").close()
        with pytest.raises(refusal):
            memory(folder, "two.example")
        (folder / name).write_bytes(b"no database, but long enough to be taken for one" * 9)
        with pytest.raises(refusal):
            memory(folder, "one.example")


def test_a_hardened_process_dumps_nothing_and_cannot_be_read() -> None:
    program = (
        "import os, resource\n"
        "from durable.hygiene import harden\n"
        "harden()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), os.stat('/proc/self/mem').st_uid)\n"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    # The memory file of a process that is not dumpable belongs to root.
    assert done.stdout == "(0, 0) 0\n"


def test_the_highest_status_number_is_kept(world: World, tmp_path: Path) -> None:
    for memory in (Memory(tmp_path / "k", "x"), TrusteeMemory(tmp_path / "t", "x")):
        memory.keep_status_number(7)
        memory.keep_status_number(3)
        assert memory.status_number() == 7
        memory.close()


@pytest.mark.parametrize("profile", [SOMME, PRODUIT])
def test_masks_are_written_and_read_back(profile: Profile) -> None:
    seeds = [Seed.draw(seeded(b"%d" % n)) for n in range(5)]
    total = ResidueSum(profile, polynomials=1)
    for seed in seeds:
        total.add(mask_of(profile, seed))
    blob = sum_masks(profile, seeds)
    assert sum_masks(profile, reversed(seeds)) == blob
    np.testing.assert_array_equal(parse_masks(blob, profile).values, total.total().values)
    assert write_masks(parse_masks(blob, profile)) == blob
    assert len(blob) == 8 * profile.degree * len(profile.data_primes)


def test_the_helper_adds_each_seed_once() -> None:
    seed = Seed.draw(seeded(b"one"))
    with pytest.raises(SeedRepeated):
        sum_masks(SOMME, [seed, seed])
    with pytest.raises(BatchRefused):
        sum_masks(SOMME, [])


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 4095), st.integers(0, 2**64 - 1))
def test_no_bytes_are_masks_unless_every_residue_is_below_its_prime(
    tail: bytes, place: int, value: int
) -> None:
    honest = np.zeros(SOMME.degree, "<u8")
    honest[place] = value
    raw = honest.tobytes()
    if value < SOMME.data_primes[0]:
        assert parse_masks(raw, SOMME).values[0, 0, place] == value
    else:
        with pytest.raises(CkksError):
            parse_masks(raw, SOMME)
    if tail:
        with pytest.raises(CkksError):
            parse_masks(raw + tail, SOMME)
    with pytest.raises(CkksError):
        parse_masks(tail, SOMME)


def test_a_ciphertext_is_no_mask() -> None:
    total = ResidueSum(SOMME).total()
    with pytest.raises(CiphertextForeign):
        write_masks(total)
