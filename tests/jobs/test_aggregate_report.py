from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import aggregate, conclusion, description, manifest, opening, report
from jobs.aggregate import Part
from jobs.errors import AggregateRefused, ReportRefused
from protection import columns
from protection.ckks import residues
from protection.ckks.profile import PRODUIT, SOMME, Profile
from protection.ckks.residues import Residues
from trust.documents.rules import Protection

EXAMPLE = manifest.read((opening.built_in_folder("example") / "bundle.toml").read_bytes())
TRAVEL = manifest.read((opening.built_in_folder("travel_statistics") / "bundle.toml").read_bytes())
RULES = EXAMPLE.rules()


def part(*modes: int, variance: str = "5") -> Part:
    return Part({"modes": np.array(modes, np.int64)}, {"modes": variance})


def test_partials_add_up_with_their_variances_in_any_order() -> None:
    parts = [part(1, 2, 3, 4), part(10, 0, 0, -4, variance="7.5")]
    blob = aggregate.combine(RULES, parts)
    assert aggregate.combine(RULES, parts[::-1]) == blob
    table = aggregate.decode_aggregate(RULES, blob)
    assert table["modes"].tolist() == [11, 2, 3, 0]
    assert table["modes.variance"].tolist() == [12.5] * 4


def test_the_aggregate_is_in_the_outputs_unit() -> None:
    steps = np.arange(21, dtype=np.int64) * 800
    blob = aggregate.combine(TRAVEL.rules(), [Part({"moments": steps}, {"moments": "100"})])
    table = aggregate.decode_aggregate(TRAVEL.rules(), blob)
    assert table["moments"].tolist() == [float(i) for i in range(21)]
    assert table["moments.variance"][0] == pytest.approx(100 * 0.00125**2)


def test_a_partial_comes_back_in_steps() -> None:
    blob = aggregate.encode_partial(RULES, {"modes": np.array([1, 2, 3, -4])})
    assert aggregate.decode_partial(RULES, blob)["modes"].tolist() == [1, 2, 3, -4]


ENCRYPTED = tuple(replace(rule, protection=Protection.ENCRYPTED) for rule in RULES)


def test_an_encrypted_partial_is_one_ciphertext_of_the_profile() -> None:
    honest = residues.write(ciphertext(SOMME))
    aggregate.require_partial(ENCRYPTED, honest, rounds=1)
    prime = struct.pack("<Q", SOMME.data_primes[0])
    start = len(residues.template_of(SOMME).before)
    for forged in (
        b"",
        honest[:-1],
        honest + b"\0",
        honest[:start] + prime + honest[start + 8 :],
        honest[:40] + bytes([honest[40] ^ 1]) + honest[41:],
        residues.write(ciphertext(PRODUIT)),
        aggregate.encode_partial(RULES, {"modes": np.array([1, 2, 3, -4])}),
    ):
        with pytest.raises(AggregateRefused):
            aggregate.require_partial(ENCRYPTED, forged, rounds=1)


def ciphertext(profile: Profile) -> Residues:
    shape = (2, len(profile.data_primes), profile.degree)
    return Residues.checked(profile, np.full(shape, 5, np.uint64))


@pytest.mark.parametrize(
    "tables",
    [
        {"other": {"modes": np.zeros(4, np.int64)}},
        {"aggregate": {"mode": np.zeros(4, np.int64)}},
        {"aggregate": {"modes": np.zeros(5, np.int64)}},
        {"aggregate": {"modes": np.zeros(4)}},
        {"aggregate": {"modes": np.zeros((2, 2), np.int64)}},
        {"aggregate": {"modes": np.zeros(4, np.int64), "more": np.zeros(4, np.int64)}},
    ],
)
def test_another_layout_is_refused(tables: dict[str, dict[str, Any]]) -> None:
    blob = columns.encode(tables)
    with pytest.raises(AggregateRefused):
        aggregate.decode_partial(RULES, blob)
    with pytest.raises(AggregateRefused):
        aggregate.decode_aggregate(RULES, blob)
    with pytest.raises(AggregateRefused):
        aggregate.decode_partial(RULES, blob[:-1])


def test_a_sum_that_leaves_64_bits_is_refused() -> None:
    huge = part(2**62, 0, 0, 0)
    with pytest.raises(AggregateRefused):
        aggregate.combine(RULES, [huge, huge])
    with pytest.raises(AggregateRefused):
        aggregate.combine(RULES, [part(-(2**63), 0, 0, 0), part(1, 1, 1, 1)])
    with pytest.raises(AggregateRefused):
        aggregate.combine(RULES, [])
    with pytest.raises(AggregateRefused):
        aggregate.encode_partial(RULES, {"modes": np.zeros(4)})  # type: ignore[dict-item]


def frame(modes: list[int], lower: list[float], upper: list[float]) -> bytes:
    return (
        np.array(modes, "<i8").tobytes()
        + np.array(lower, "<f8").tobytes()
        + np.array(upper, "<f8").tobytes()
    )


def rendered(modes: list[int], lower: list[float], upper: list[float]) -> dict[str, Any]:
    result = conclusion.from_frame(EXAMPLE, frame(modes, lower, upper))
    document: dict[str, Any] = json.loads(report.render(EXAMPLE, result))
    return document


def test_small_cells_and_their_bands_are_withheld() -> None:
    found = rendered([9, 10, -3, 40], [4.0, 5.5, -9.0, 35.0], [14.0, 15.0, 3.0, math.inf])
    arrays = found["arrays"]
    assert arrays["modes"]["cells"] == ["<10", 10, "<10", 40]
    assert arrays["modes_lower"]["cells"] == [None, 5.5, None, 35.0]
    assert arrays["modes_upper"]["cells"] == [None, 15.0, None, None]
    assert arrays["modes_upper"]["labels"] == arrays["modes"]["labels"]
    assert found["privacy"]["rho"] == "0.1"


def test_commute_flows_prints_cells_below_20_as_less_than_20() -> None:
    flows = manifest.read((opening.built_in_folder("commute_flows") / "bundle.toml").read_bytes())
    values = np.full((9, 9, 6), 20, np.int64)
    values[0, 0, 0] = 19
    bands = values.astype(np.float64).tobytes()
    blob = report.render(flows, conclusion.from_frame(flows, values.tobytes() + bands + bands))
    cells = json.loads(blob)["arrays"]["flows"]["cells"]
    assert cells[0] == "<20"
    assert set(cells[1:]) == {20}


def test_the_report_is_one_function_of_the_result_bytes() -> None:
    result = conclusion.from_frame(EXAMPLE, frame([50] * 4, [1.5] * 4, [2.5] * 4))
    first = report.render(EXAMPLE, result)
    assert first == report.render(EXAMPLE, bytes(result))
    assert (
        json.dumps(
            json.loads(first), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
        == first
    )


@given(st.binary(min_size=96, max_size=96))
def test_any_numbers_render(raw: bytes) -> None:
    result = conclusion.from_frame(EXAMPLE, raw)
    text = report.text_table(report.render(EXAMPLE, result))
    assert "bicycle" in text


def test_a_result_of_another_layout_is_refused() -> None:
    with pytest.raises(ReportRefused):
        conclusion.from_frame(EXAMPLE, b"\0" * 95)
    other = columns.encode({"report": {"modes": np.zeros(4, np.int64)}})
    wrong = columns.encode(
        {"report": {n: np.zeros(4) for n in ("modes", "modes_lower", "modes_upper")}}
    )
    for blob in (b"", other, wrong):
        with pytest.raises(ReportRefused):
            report.render(EXAMPLE, blob)


def test_nan_payloads_do_not_survive() -> None:
    odd = np.frombuffer(b"\x01\x02\x03\x04\x05\x06\xf8\x7f" * 4, "<f8").tolist()
    raw = np.zeros(4, "<i8").tobytes() + b"\x01\x02\x03\x04\x05\x06\xf8\x7f" * 8
    plain = frame([0] * 4, [math.nan] * 4, [math.nan] * 4)
    assert all(math.isnan(value) for value in odd)
    assert conclusion.from_frame(EXAMPLE, raw) == conclusion.from_frame(EXAMPLE, plain)


def test_the_text_table_shows_bands_and_counts_what_it_leaves_out() -> None:
    result = conclusion.from_frame(EXAMPLE, frame([50, 3, 7, 12], [45.6] * 4, [54.4] * 4))
    text = report.text_table(report.render(EXAMPLE, result), maximum_rows=2)
    assert "on foot" in text
    assert "[45.6, 54.4]" in text
    assert "<10" in text
    assert "2 more cells" in text


def test_description_of_a_bundle() -> None:
    (row,) = description.releases(EXAMPLE)
    assert row["noise sigma"] == pytest.approx(math.sqrt(5), abs=1e-3)
    assert row["bits per release"] == round(math.log2(9), 1)
    assert description.privacy(EXAMPLE)["ledger charge (rho, zCDP)"] == "0.1"
    assert description.defaults(EXAMPLE) == {"shortest": "5"}
