"""The room's pages put together; all of them are public."""

from __future__ import annotations

from fastapi import APIRouter

from scheduler.service.desk import Desk
from scheduler.web.auditors.checkpoint_pages import checkpoint_pages
from scheduler.web.auditors.evidence_pages import evidence_pages
from scheduler.web.auditors.log_pages import log_pages
from scheduler.web.auditors.proof_pages import proof_pages
from scheduler.web.auditors.search_pages import search_pages
from web.kit import Kit


def routers(kit: Kit, desk: Desk) -> list[APIRouter]:
    """In this order: what has a name of its own stands before `/log/{index}`."""
    return [
        search_pages(kit, desk),
        checkpoint_pages(kit, desk),
        proof_pages(kit, desk),
        evidence_pages(kit, desk),
        log_pages(kit, desk),
    ]
