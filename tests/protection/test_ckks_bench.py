"""The measurement runs to its end and measures what issue 3 names."""

from __future__ import annotations

import pytest

from benchmarks import ckks
from protection.ckks import scheme
from protection.ckks.errors import TensealMissing
from tests.protection.ckks_world import keys


def test_a_quick_run_gives_every_figure() -> None:
    keys()
    found = {figure.name: figure.value for figure in ckks.measure(quick=True)}
    assert set(found) == {
        "ckks.add_ratio",
        "ckks.add_us",
        "ckks.tenseal_add_ratio",
        "ckks.encrypt_ms",
        "ckks.mask_ms",
        "ckks.partial_bytes",
        "ckks.relative_error",
    }
    # 200 contributions: sqrt(500) times the error of the 100,000 that the target speaks of.
    assert 0 < found["ckks.relative_error"] < 1e-6
    assert found["ckks.partial_bytes"] == 65_666


def test_nothing_is_measured_without_tenseal(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> None:
        raise TensealMissing("TenSEAL is not installed here")

    monkeypatch.setattr(scheme, "generate", missing)
    assert ckks.measure(quick=True) == []
