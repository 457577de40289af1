from __future__ import annotations

import sys
from pathlib import Path

# Its own modules, and the territory that the tests of policy, broker and worker share.
for room in ("policy", "broker", "worker", "faults"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
