"""Open data that some tests read; it lies beside a checkout, not in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CADASTRE_DATA", HOUSE.parent / "shared" / "data"))


def require(name: str) -> Path:
    """The file or folder `name` below the data; where it is missing the test is skipped.

    With CADASTRE_DATA_TESTS=required, as on CI, it fails: there a test that vanishes is a failure.
    """
    path = DATA / name
    if not path.exists():
        missing = (
            f"{name} is not here, so what is learnt from open data was not tried: set "
            "CADASTRE_DATA to the folder that holds it"
        )
        if os.environ.get("CADASTRE_DATA_TESTS") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    return path
