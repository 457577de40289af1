from __future__ import annotations

import sys
from pathlib import Path

# The territory of the policies' tests: every key, and a log with proofs.
sys.path.insert(0, str(Path(__file__).parent.parent / "policy"))
sys.path.insert(0, str(Path(__file__).parent))
