"""The territory of the scheduler's page tests, read by auditors and by strangers."""

from __future__ import annotations

from tests.web.browser import browse, chromium
from tests.web_scheduler.conftest import grid

__all__ = ["browse", "chromium", "grid"]
