"""This room's routes put together."""

from __future__ import annotations

from fastapi import APIRouter

from scheduler.service.desk import Desk
from scheduler.views.voted import Documents
from scheduler.views.watching import Watch
from scheduler.web.resources.alert_pages import alert_pages
from scheduler.web.resources.budget_pages import budget_pages
from scheduler.web.resources.bundle_pages import bundle_pages
from scheduler.web.resources.energy_pages import energy_pages
from scheduler.web.resources.judging import Judging
from web.kit import Kit


def resource_pages(
    kit: Kit, desk: Desk, documents: Documents, watch: Watch, judging: Judging
) -> list[APIRouter]:
    """The routers; reading only."""
    return [
        bundle_pages(kit, desk, documents),
        budget_pages(kit, desk, documents),
        alert_pages(kit, watch),
        energy_pages(kit, desk, judging.energy),
    ]
