"""The tables of docs/statistics.md: both surveys' people, each protection's noise.

Quantising, clipping, noise, aggregate and report are the production code; processes, capsules,
sandbox, shares and ciphertexts are left out, because they change no number: a protection shows in
a result only by how many times the full noise is in it. `make demo` plays the whole thing.

    python -m demo.dry_run > docs/statistics.md
"""

from __future__ import annotations

import json
import runpy
import sys
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo import comparison, exact, heating, survey
from jobs import aggregate, archive, conclusion, description, report
from jobs.opening import built_in_folder
from jobs.schema import Manifest
from protection import accounting
from protection.clip import clip
from protection.quantise import to_steps
from trust.entropy import Entropy, seeded

BUNDLE = built_in_folder("encrypted_statistics")
LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])  # of its quantiles
# How often the full noise is in a release: once per worker (the demo has four), once per
# aggregator, once at the keyholder.
DRAWS = {"clear": 4, "shared": 2, "encrypted": 1}
CACHE = Path("demo-out/cache")
INTRODUCTION = """\
# What each protection tells

Written by `python -m demo.dry_run`: do not edit. Bundles with their default parameters over the
demo's surveys, four workers, the noise drawn with a fixed seed. Each cell: released [95 % band].
The band covers the privacy noise. One epsilon (delta = 1e-6, per person) pays for all rows of a
column: protections cost the same and differ in how often the noise is in the sum. The fewer
people, the less of it can be told: "no value" is a statistic whose noise left nothing to say.
"""


def report_of(
    values: NDArray[np.float64], draws: int, entropy: Entropy, folder: Path = BUNDLE
) -> dict[str, Any]:
    """The report of the bundle in `folder` over the rows `values` (n, columns of its one table).

    `draws` times the full noise is in it. In this process: only for bundles of our own.
    """
    manifest = archive.pack_folder(folder).manifest
    algorithm = runpy.run_path(str(folder / "algorithm.py"))
    ((table, columns),) = manifest.needs.tables.items()
    chosen, rules = description.defaults(manifest), manifest.rules()
    steps = {rule.output: np.zeros(rule.shape, np.int64) for rule in rules}
    for row in values:
        capsule = {name: np.array([cell]) for name, cell in zip(columns, row, strict=True)}
        found = algorithm["contribute"]({table: capsule}, chosen)
        for rule in rules:
            whole = to_steps(found[rule.output], accounting.step_of(rule))
            steps[rule.output] += clip(whole, rule.norm, accounting.bound_in_steps(rule))
    variances: dict[str, str] = {}
    for rule in rules:
        noise = accounting.noise_of(rule, manifest.rounds.maximum)
        for _ in range(draws):
            steps[rule.output] += noise.draw(rule.shape, entropy)
        variances[rule.output] = accounting.to_text(Fraction(draws) * noise.variance)
    blob = aggregate.combine(rules, [aggregate.Part(steps, variances)])
    sums = aggregate.decode_aggregate(rules, blob)
    return _rendered(manifest, algorithm["conclude"](sums, chosen))


def exact_of(values: NDArray[np.float64], folder: Path = BUNDLE) -> dict[str, NDArray[np.float64]]:
    """The truth about the same rows, under the bundle's default parameters."""
    manifest = archive.pack_folder(folder).manifest
    (columns,) = manifest.needs.tables.values()
    chosen = description.defaults(manifest)
    named = {chosen[f"explanatory_{k}"] for k in (1, 2, 3)} - {"none", chosen["response"]}
    return exact.statistics(
        values,
        response=columns.index(chosen["response"]),
        explanatory=[columns.index(word) for word in named],
        weight=columns.index(chosen["weight"]),
        levels=LEVELS,
    )


def section_of(
    values: NDArray[np.float64], entropy: Entropy, people: str, folder: Path = BUNDLE
) -> str:
    """One bundle's part: by how much the bands shrink against `clear`, and the table.

    `people` says who the rows are.
    """
    reports = {word: report_of(values, draws, entropy, folder) for word, draws in DRAWS.items()}
    rows = comparison.rows_of(reports, exact_of(values, folder))
    lines = [
        f"## `{folder.name}`: {len(values):,} {people}",
        "",
        "| protection | times the noise | bands that hold the truth | median width against clear |",
        "| --- | ---: | ---: | ---: |",
    ]
    for word, draws in DRAWS.items():
        held, total = comparison.covered(rows, word)
        ratio = float(np.median(list(comparison.narrowing(rows, "clear", word).values())))
        lines.append(f"| {word} | {draws} | {held} of {total} | {ratio:.2f} |")
    return "\n".join(lines) + "\n\n" + comparison.markdown(rows, reports)


def _rendered(manifest: Manifest, found: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    frame = b"".join(
        np.ascontiguousarray(found[name], np.dtype(dtype).newbyteorder("<")).tobytes()
        for name, dtype, _ in conclusion.fields(manifest)
    )
    document: dict[str, Any] = json.loads(
        report.render(manifest, conclusion.from_frame(manifest, frame))
    )
    return document


def page() -> str:
    """docs/statistics.md: both surveys. Raises SurveyMissing."""
    trips = survey.clipped(survey.fetch(CACHE))
    sections = [section_of(trips, seeded(b"docs/statistics.md"), "real trips to work")]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / heating.NAME
        heating.write_bundle(folder)
        households = heating.clipped(heating.fetch(CACHE))
        noise = seeded(b"docs/statistics.md, heating")
        sections.append(section_of(households, noise, "real households", folder))
    return "\n".join([INTRODUCTION, *sections])


if __name__ == "__main__":
    sys.stdout.write(page())
