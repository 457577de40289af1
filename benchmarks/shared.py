"""Additive shares of a large model: how far splitting and opening are from the bare cipher."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from benchmarks.errors import MeasurementFailed
from benchmarks.figures import Figure
from protection.aggregators import draw_noise
from protection.layout import Layout, Role, Vector
from protection.ring import Ring
from protection.scope import Binding, Scope
from protection.seeds import Seed, open_seed, seal
from protection.shares import CHUNK_BYTES, MaskSum, ShareSum, combine, split
from trust.documents.rules import Mechanism, Norm, PrivacyUnit, Protection, ReleaseRules
from trust.entropy import SYSTEM
from trust.ids import CampaignId, Digest, ReportId, WorkerId

CELLS = 1_000_000
REPORTS = 100
NOISE_CELLS = 2_000
OUTPUT = "model"


def measure(*, quick: bool) -> list[Figure]:
    """Split and open `REPORTS` reports of `CELLS` 64-bit numbers. Raises MeasurementFailed.

    Cipher and shares take turns, report by report, so that other work on the machine slows both;
    one report is held at a time.
    """
    cells, reports = (CELLS // 10, 10) if quick else (CELLS, REPORTS)
    rules = _rules(cells)
    layout = Layout.of((rules,))
    if layout.slots[0].ring is not Ring.WIDE:
        raise MeasurementFailed("the model of the measurement does not need 64 bits")
    values = np.arange(cells, dtype=np.int64) - cells // 2
    helper, took, limit = (
        X25519PrivateKey.from_private_bytes(SYSTEM(32)),
        _Took(),
        _Limit(layout.size),
    )
    shares, masks, size = ShareSum(layout), MaskSum(layout), 0
    for _ in range(reports):
        seed, binding = Seed.draw(SYSTEM), _binding()
        started = time.perf_counter()
        limit.add(seed.reveal())
        took.limit += time.perf_counter() - started
        started = time.perf_counter()
        share = split({OUTPUT: values}, layout, seed)
        took.split += time.perf_counter() - started
        blob, sealed = share.encode(), seal(seed, helper.public_key(), binding)
        size = len(blob) + len(sealed)
        started = time.perf_counter()
        shares.add(Vector.decode(layout, Role.SHARE, blob))
        masks.add(open_seed(sealed, helper, binding))
        took.open += time.perf_counter() - started
    silence = {OUTPUT: np.zeros(cells, np.int64)}
    started = time.perf_counter()
    total = combine(shares.answer(silence), masks.answer(silence))[OUTPUT]
    took.open += time.perf_counter() - started
    if not np.array_equal(total, reports * values):
        raise MeasurementFailed("the opened sum is not the sum of the values")
    what = f"{reports} reports of {cells:,} 64-bit numbers"
    return [
        Figure(
            "shared.split_ratio",
            took.split / took.limit,
            reports,
            f"worker: {what} split / AES-256-CTR of as many bytes and their addition, same run; "
            "hashing and sending the share not counted",
        ),
        Figure(
            "shared.open_ratio",
            took.open / took.limit,
            reports,
            f"leader and helper together: {what} decoded, unsealed, added, combined / the same; "
            "drawing noise not counted",
        ),
        Figure(
            "shared.limit_ms",
            1e3 * took.limit / reports,
            reports,
            f"AES-256-CTR and addition of {layout.size:,} bytes: what both ratios divide by",
        ),
        Figure(
            "shared.bytes_per_worker",
            size,
            1,
            f"one worker's share and sealed seed of a round of {cells:,} 64-bit numbers; the "
            "signed partial, about 1.5 kB, comes on top",
        ),
        _noise(),
    ]


@dataclass
class _Took:
    limit: float = 0.0
    split: float = 0.0
    open: float = 0.0


@dataclass
class _Limit:
    """The cipher and one addition, nothing else: in chunks, since those are the faster way."""

    size: int
    total: np.ndarray[tuple[int], np.dtype[np.uint64]] = field(init=False)

    def __post_init__(self) -> None:
        self.total = np.zeros(self.size // 8, np.uint64)
        self._zeros = memoryview(bytes(CHUNK_BYTES))
        self._scratch = bytearray(CHUNK_BYTES + 15)
        self._stream = np.frombuffer(self._scratch, np.uint8)

    def add(self, key: bytes) -> None:
        """One report's worth."""
        encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        for start in range(0, self.size, CHUNK_BYTES):
            size = min(CHUNK_BYTES, self.size - start)
            encryptor.update_into(self._zeros[:size], self._scratch)
            mine = self.total[start // 8 : (start + size) // 8]
            np.add(mine, self._stream[:size].view(np.uint64), out=mine)


def _noise() -> Figure:
    rules = _rules(NOISE_CELLS)
    started = time.perf_counter()
    draw_noise((rules,), 1, SYSTEM)
    taken = time.perf_counter() - started
    return Figure(
        "shared.noise_us",
        1e6 * taken / NOISE_CELLS,
        1,
        f"one exact draw of discrete Gaussian noise, of {NOISE_CELLS}; each aggregator draws one "
        "per number",
    )


def _binding() -> Binding:
    digest = Digest.of(b"bench")
    scope = Scope("bench", CampaignId.draw(SYSTEM), 1, digest, digest, digest)
    return Binding(scope, WorkerId.draw(SYSTEM), ReportId.draw(SYSTEM))


def _rules(cells: int) -> ReleaseRules:
    return ReleaseRules(
        output=OUTPUT,
        shape=(cells,),
        dtype="float64",
        step="0.000001",
        norm=Norm.L2,
        bound="1000",
        unit=PrivacyUnit.OWNER,
        protection=Protection.SHARED,
        mechanism=Mechanism.DISCRETE_GAUSSIAN,
        rho="0.1",
        minimum_contributors=20,
        maximum_contributors=100_000,
        minimum_capsules=3,
        minimum_workers=3,
        minimum_operators=2,
        suppress_below=0,
    )
