from __future__ import annotations

import sys
from pathlib import Path

# The territory of the policies' tests, and the leader of the helper's.
for room in ("policy", "helper", "keyholder"):
    sys.path.insert(0, str(Path(__file__).parent.parent / room))

import pytest  # noqa: E402
from custody_world import TrustedTerritory, World  # noqa: E402
from leader import shared_bundle  # noqa: E402


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> object:
    for module in ("tenseal", "backports.zstd"):
        pytest.importorskip(module, reason=f"no {module}: pip install cadastre[encrypted]")
    return shared_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def world(bundle: object, tmp_path: Path) -> World:
    return World(TrustedTerritory(), bundle, tmp_path)  # type: ignore[arg-type]
