from __future__ import annotations

import sys
from pathlib import Path

# The territory of these tests and its people are shared with the tests of policy and broker.
for room in ("policy", "broker", "worker"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
