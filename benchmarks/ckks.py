"""Encrypted partials: how far adding them is from bare addition, and how exact a sum opens."""

from __future__ import annotations

import importlib
import sys
import time

import numpy as np

from benchmarks import figures
from benchmarks.errors import MeasurementFailed
from benchmarks.figures import Figure
from protection.ckks import masks, residues, scheme
from protection.ckks.addition import ResidueSum
from protection.ckks.compression import expand_zstd
from protection.ckks.errors import TensealMissing
from protection.ckks.profile import SOMME
from protection.ckks.residues import Residues
from protection.seeds import Seed
from trust.entropy import SYSTEM

PARTIALS = 1000  # 66 MB: far more than any cache, so that both sides read memory
ENCRYPTIONS = 200
# A sum grows with its contributions, its error with their square root: what 10,000 show is three
# times what 100,000 would, for a tenth of the minutes. The full number:
# `python -m benchmarks.ckks`.
CONTRIBUTIONS = 10_000
ALL_CONTRIBUTIONS = 100_000  # issue 3
_MS = 1e3


def measure(*, quick: bool) -> list[Figure]:
    """Addition, encryption, exactness. Nothing where TenSEAL is not installed."""
    try:
        keys = scheme.generate(SOMME)
        encryptor = scheme.Encryptor(SOMME, keys.public)
    except TensealMissing:
        return []
    partials = 100 if quick else PARTIALS
    rounds = 3 if quick else 9
    return [
        *_addition(keys, partials, rounds),
        *_worker(encryptor, 20 if quick else ENCRYPTIONS),
        exactness(keys, 200 if quick else CONTRIBUTIONS),
    ]


def exactness(keys: scheme.KeyPair, contributions: int) -> Figure:
    """The largest relative error of one slot, each contribution a fresh ciphertext of 0 or 1s."""
    encryptor, total = scheme.Encryptor(SOMME, keys.public), ResidueSum(SOMME)
    random, exact = np.random.default_rng(), np.zeros(SOMME.slots)
    for _ in range(contributions):
        # Every slot is a value here; padding slots would have no relative error.
        slots = random.integers(0, 2, SOMME.slots).astype(np.float64)
        total.add(encryptor.encrypt(slots))
        exact += slots
    found = scheme.Decryptor(SOMME, keys.secret).decrypt(total.total()).real
    return Figure(
        "ckks.relative_error",
        float((np.abs(found - exact) / exact).max()),
        contributions,
        "largest of all slots, before noise and rounding: a sum of n fresh ciphertexts of zeros "
        "and ones; it falls with the square root of n",
    )


def _addition(keys: scheme.KeyPair, partials: int, rounds: int) -> list[Figure]:
    """The same bytes added three ways, in turns, so that other work on the machine slows all."""
    sent = [residues.write(_uniform()) for _ in range(partials)]
    bare = [residues.parse(raw, SOMME).values for raw in sent]
    ours, theirs, limit = [], [], []
    for _ in range(rounds):
        started = time.perf_counter()
        accumulator = np.zeros_like(bare[0])
        for values in bare:
            np.add(accumulator, values, out=accumulator)
        limit.append(time.perf_counter() - started)
        started = time.perf_counter()
        total = ResidueSum(SOMME)
        for raw in sent:
            total.add(residues.parse(raw, SOMME))
        result = residues.write(total.total())
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        other = _tenseal_sum(keys, sent)
        theirs.append(time.perf_counter() - started)
    if residues.parse(other, SOMME, expand_zstd).values.tobytes() != (
        residues.parse(result, SOMME).values.tobytes()
    ):
        raise MeasurementFailed("TenSEAL and the residues disagree about a sum")
    return [
        figures.median(
            "ckks.add_ratio",
            [mine / bound for mine, bound in zip(ours, limit, strict=True)],
            f"{partials} ciphertexts from their bytes, checked to the last residue, over numpy's "
            "addition of the same residues without any reduction",
        ),
        figures.median(
            "ckks.add_us",
            [taken / partials * 1e6 for taken in ours],
            "per ciphertext: parse, check, add, reduce",
        ),
        figures.median(
            "ckks.tenseal_add_ratio",
            [other / bound for other, bound in zip(theirs, limit, strict=True)],
            "TenSEAL's own reading and addition of the same bytes over the same limit",
        ),
    ]


def _worker(encryptor: scheme.Encryptor, samples: int) -> list[Figure]:
    slots = np.zeros(SOMME.slots)
    slots[: SOMME.capacity] = np.random.default_rng().integers(-5000, 5000, SOMME.capacity)
    encrypting, masking, size = [], [], 0
    for _ in range(samples):
        started = time.perf_counter()
        ciphertext = encryptor.encrypt(slots)
        encrypting.append((time.perf_counter() - started) * _MS)
        seed = Seed.draw(SYSTEM)
        started = time.perf_counter()
        size = len(residues.write(masks.masked(ciphertext, seed)))
        masking.append((time.perf_counter() - started) * _MS)
    return [
        figures.median(
            "ckks.encrypt_ms", encrypting, f"one partial of {SOMME.capacity} cells, from its slots"
        ),
        figures.median("ckks.mask_ms", masking, "the mask of c0, and the bytes to send"),
        Figure("ckks.partial_bytes", size, 1, "what one worker sends per round, without its seed"),
    ]


def _uniform() -> Residues:
    parts = [masks.mask_of(SOMME, Seed.draw(SYSTEM)).values for _ in range(2)]
    return Residues.checked(SOMME, np.concatenate(parts))


def _tenseal_sum(keys: scheme.KeyPair, sent: list[bytes]) -> bytes:
    tenseal = importlib.import_module("tenseal")
    context = tenseal.context_from(keys.public, n_threads=1)
    total = tenseal.ckks_vector_from(context, sent[0])
    for raw in sent[1:]:
        total.add_(tenseal.ckks_vector_from(context, raw))
    written: bytes = total.serialize()
    return written


if __name__ == "__main__":
    # All of issue 3's contributions, each encrypted: minutes, hence not in every table.
    found = exactness(scheme.generate(SOMME), ALL_CONTRIBUTIONS)
    sys.stdout.write(figures.dump([found]) + "\n")
