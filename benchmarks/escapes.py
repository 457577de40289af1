"""How many hostile behaviours work in the full sandbox, by trying every one of them now.

The behaviours live with the tests and are not packaged: without a checkout there is no figure.
The suite starts its sandboxes as an ordinary user itself.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.errors import MeasurementFailed
from benchmarks.figures import Figure
from benchmarks.house import SCRATCH
from benchmarks.ordinary import failed

SUITE = Path("tests") / "escape" / "test_escape.py"
CASE = "test_the_full_sandbox_stops"
RECORD_VARIABLE = "CADASTRE_ESCAPE_RECORD"
# Issue 2: at least the 76 behaviours of the reference; fewer would mean that some were not tried.
MINIMUM_BEHAVIOURS = 76
OPEN = "open"
SUITE_SECONDS = 600


def count() -> list[Figure]:
    """Run the suite in the full sandbox; nothing where it is not here. Raises MeasurementFailed."""
    root = Path(__file__).resolve().parent.parent
    if not (root / SUITE).exists() or importlib.util.find_spec("pytest") is None:
        return []
    with tempfile.TemporaryDirectory(prefix="cadastre-bench-", dir=SCRATCH) as home:
        record = Path(home) / "record"
        done = subprocess.run(
            [
                *(sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("-p", "benchmarks.escape_record", "-k", CASE, str(SUITE)),
            ],
            cwd=root,
            env={**os.environ, RECORD_VARIABLE: str(record), "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=False,
            timeout=SUITE_SECONDS,
        )
        lines = record.read_text().splitlines() if record.exists() else []
    if len(lines) < MINIMUM_BEHAVIOURS:
        raise failed("the escape suite", done.stdout)
    return tally([json.loads(line) for line in lines])


def tally(endings: list[dict[str, object]]) -> list[Figure]:
    """The figures of recorded endings.

    A behaviour counts as open when the suite expects it to work and it did, and when it ended in
    any way that the suite does not expect: what is not understood is not called stopped.
    """
    names = {str(line["name"]) for line in endings}
    if len(names) != len(endings):
        raise MeasurementFailed(
            "the escape suite tried one behaviour twice",
            remedy="give every behaviour of the suite a name of its own",
        )
    opened = [
        str(line["name"]) for line in endings if bool(line["held"]) == (line["ending"] == OPEN)
    ]
    what = f"of {len(endings)} hostile behaviours, those that work: {', '.join(sorted(opened))}"
    return [
        Figure("sandbox.escapes_open", len(opened), 1, what),
        Figure("sandbox.escapes_tried", len(endings), 1, "each in the full sandbox, just now"),
    ]
