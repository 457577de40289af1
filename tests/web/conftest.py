"""The sample surface and the browser, for this folder's tests."""

from __future__ import annotations

from tests.web.browser import browse, chromium

__all__ = ["browse", "chromium"]
