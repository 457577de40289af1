from __future__ import annotations

import sys
from pathlib import Path

# The territory of these tests is shared by the tests of worker and broker.
sys.path.insert(0, str(Path(__file__).parent))
