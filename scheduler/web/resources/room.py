"""This room's routes put together."""

from __future__ import annotations

from fastapi import APIRouter

from scheduler.judging import Judging
from scheduler.service.desk import Desk
from scheduler.views.watching import Watch
from scheduler.web.resources.alert_pages import alert_pages
from scheduler.web.resources.budget_pages import budget_pages
from scheduler.web.resources.bundle_pages import bundle_pages
from scheduler.web.resources.energy_pages import energy_pages
from scheduler.web.resources.queue_pages import queue_pages
from scheduler.web.resources.timeline_pages import timeline_pages
from scheduler.web.resources.worker_pages import worker_pages
from web.kit import Kit
from web.live.broadcast import Broadcast


def resource_pages(
    kit: Kit, desk: Desk, watch: Watch, judging: Judging
) -> tuple[list[APIRouter], list[Broadcast]]:
    """The routers, reading only, and the live parts that the server's end has to close."""
    queue, live = queue_pages(kit, desk)
    return [
        queue,
        worker_pages(kit, desk, judging.sites),
        timeline_pages(kit, desk),
        bundle_pages(kit, desk, watch.documents),
        budget_pages(kit, desk, watch.documents),
        alert_pages(kit, watch),
        energy_pages(kit, desk, judging.energy),
    ], [live]
