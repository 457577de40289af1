from __future__ import annotations

import sys
from pathlib import Path

for room in ("worker", "simulation"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
