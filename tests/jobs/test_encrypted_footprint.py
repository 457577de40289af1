"""`encrypted_footprint`, and what a manifest may say about products."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import aggregate, archive, description, manifest, opening
from jobs.errors import AggregateRefused, ManifestRefused
from protection.ckks.profile import PRODUIT, profile_of
from protection.products import released

FOLDER = opening.built_in_folder("encrypted_footprint")
ROOT = Path(__file__).resolve().parents[2]
TEXT = (FOLDER / "bundle.toml").read_text()
RULES = archive.pack_folder(FOLDER).manifest.rules()
ALGORITHM: dict[str, Any] = runpy.run_path(str(FOLDER / "algorithm.py"))


def capsule(quantities: dict[int, float], factors: dict[int, float]) -> dict[str, Any]:
    rows = [(k, v, 0.0) for k, v in quantities.items()] + [(k, 0.0, v) for k, v in factors.items()]
    names = ("category", "quantity", "factor")
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return {"inventory": dict(zip(names, columns, strict=True))}


def footprint(capsules: list[dict[str, Any]]) -> dict[str, Any]:
    parts = [ALGORITHM["contribute"](one, {}) for one in capsules]
    left, right = (sum(part[name] for part in parts) for name in ("quantities", "factors"))
    return dict(ALGORITHM["conclude"]({"footprint": left * right}, {}))


def test_totals_times_factors_are_the_footprint() -> None:
    bodies = [capsule({1: 100, 2: 50}, {}), capsule({1: 20, 6: 7.0}, {})]
    found = footprint([*bodies, capsule({}, {1: 60, 2: 227, 6: 30})])
    assert found["footprint"].tolist() == [7200, 11350, 0, 0, 0, 210]
    assert found["total"].tolist() == [18760]
    assert found["factor_tables"].tolist() == [1]


def test_factors_of_several_institutions_are_averaged_and_not_added() -> None:
    bodies = [capsule({1: 100}, {}), capsule({1: 20}, {})]
    found = footprint([*bodies, capsule({}, {1: 60}), capsule({}, {1: 80})])
    assert found["footprint"][0] == pytest.approx(120 * 70)
    assert found["factor_tables"].tolist() == [2]


def test_without_factors_there_is_no_footprint() -> None:
    found = footprint([capsule({1: 100}, {})])
    assert np.isnan(found["footprint"]).all()
    assert np.isnan(found["total"]).all()
    assert found["factor_tables"].tolist() == [0]


def test_what_is_no_quantity_counts_for_nothing() -> None:
    odd = {"inventory": {
        "category": np.array([1.0, 1.0, 1.0, 99.0, np.nan]),
        "quantity": np.array([np.nan, -5.0, np.inf, 7.0, 7.0]),
        "factor": np.array([np.nan, -5.0, np.inf, 7.0, 7.0]),
    }}  # fmt: skip
    found = ALGORITHM["contribute"](odd, {})
    assert found["quantities"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert found["factors"].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]


def test_it_is_voted_as_what_it_is() -> None:
    assert profile_of(RULES) is PRODUIT
    rows = description.releases(archive.pack_folder(FOLDER).manifest)
    assert [row["release"] for row in rows] == [
        "quantities (only inside footprint)",
        "factors (only inside footprint)",
    ]


def test_an_aggregate_holds_the_product_and_never_a_factor() -> None:
    steps = np.arange(8, dtype=np.int64)
    blob = aggregate.encode_partial(RULES, {"footprint": steps})
    part = aggregate.Part(aggregate.decode_partial(RULES, blob), {"footprint": "0"})
    table = aggregate.decode_aggregate(RULES, aggregate.combine(RULES, [part]))
    assert table["footprint"].tolist() == steps.tolist()
    assert set(table) == {"footprint", "footprint.variance"}
    for values in (
        {"quantities": steps, "factors": steps},
        {"footprint": steps, "factors": steps},
        {"quantities": steps},
    ):
        with pytest.raises(AggregateRefused):
            aggregate.encode_partial(RULES, values)
    assert [rule.output for rule in released(RULES)] == ["footprint"]


NOISE = 'noise = { mechanism = "discrete_gaussian", rho = "0.1" }'


def told(*changes: tuple[str, str]) -> str:
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    with pytest.raises(ManifestRefused) as refused:
        manifest.read(text.encode())
    return refused.value.sentence


@pytest.mark.parametrize("classes", ['["personal"]', '["company"]', '["public", "company"]'])
def test_a_product_over_capsules_that_are_not_public_is_not_admitted(classes: str) -> None:
    assert "products are for public capsules only" in told(('["public"]', classes))


def test_what_cannot_be_multiplied_is_not_admitted() -> None:
    first = TEXT[TEXT.index("[release.quantities]") :]
    for changes, said in (
        ((('product = "footprint"\n', 'product = "quantities"\n'),), "the name of one of its"),
        ((('"encrypted"\n', '"clear"\n'),), "is protected as encrypted"),
        ((('"encrypted"\n', '"shared"\n'),), "is protected as encrypted"),
        ((("bound = 4000", "bound = 40000"),), "opens products of 1 to"),
        ((("maximum_contributors = 100", "maximum_contributors = 10000"),), "opens products of"),
        ((("shape = [8]", "shape = [2000]"),), "cells"),
        (
            (('noise = { mechanism = "none" }', NOISE),),
            "no noise fits a product",
        ),
        ((("minimum_operators = 2", "minimum_operators = 2\nsuppress_below = 5"),), "suppressed"),
        (((first[: first.index("[release.factors]")], ""),), "a product is of two outputs"),
    ):  # fmt: skip
        assert said in told(*changes)
    one = TEXT.replace("shape = [8]", "shape = [9]", 1)
    with pytest.raises(ManifestRefused, match="differ"):
        manifest.read(one.encode())


@pytest.mark.sandbox
def test_try_runs_it_in_the_sandbox(tmp_path: Path) -> None:
    rows = ["capsule,category,quantity,factor"]
    rows += [f"town{n},1,{100 + n},0" for n in range(5)]
    rows += ["agency,1,0,60"]
    (tmp_path / "inventory.csv").write_text("\n".join(rows) + "\n")
    command = [sys.executable, str(ROOT / "cadastre.py"), "bundle", "try", str(FOLDER)]
    done = subprocess.run(
        [*command, "--data", str(tmp_path), "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdicts"] == {"accepted": 6}
    arrays = json.loads(found["report"])["arrays"]
    assert arrays["footprint"]["cells"] == [30_600.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert arrays["factor_tables"]["cells"] == [1.0]
