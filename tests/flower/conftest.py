"""Flower apps need flwr: in the extra `flower`, and `.ci/flower` runs these with two versions."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Its own modules; a territory of real processes is the business of the room `faults`.
for room in ("worker", "faults", "flower"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
APPS = Path(__file__).with_name("apps")


@pytest.fixture
def apps() -> Path:
    if importlib.util.find_spec("flwr") is None:
        pytest.skip("no flwr: pip install 'cadastre[flower]' in an environment of its own")
    return APPS


@pytest.fixture(scope="session", autouse=True)
def sandboxes() -> Iterator[None]:
    yield
    from flower_campaigns import cool_down

    cool_down()
