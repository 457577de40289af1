"""The evidence of a campaign as one file, with the name and the hash that it will have."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from threading import BoundedSemaphore, Lock

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from scheduler.errors import ArchiveBusy
from scheduler.service.desk import Desk
from scheduler.views import archive
from scheduler.views.archive import Archive
from scheduler.web.auditors.log_pages import API, LOG
from scheduler.web.auditors.tables import WHOLE, public_campaign
from web.cells import Ident, Size
from web.kit import Kit
from web.sentences import say
from web.signin.access import anybody

AT_ONCE = 4  # archives that are read at the same time: anybody may ask, disks are shared
_KEPT = 64  # hashes that are remembered


class Hashes:
    """The SHA-256 of archives, each computed once."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = Lock()

    def of(self, found: Archive, places: BoundedSemaphore) -> str:
        """In hex. Raises ArchiveBusy."""
        key = (found.campaign, found.note)
        with self._lock:
            if key in self._known:
                return self._known[key]
        value = hashlib.sha256()
        for part in _read(found, places):
            value.update(part)
        with self._lock:
            self._known[key] = value.hexdigest()
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
            return self._known[key]


def evidence_pages(kit: Kit, desk: Desk) -> APIRouter:
    """What goes into it is public already, file by file."""
    router = APIRouter()
    hashes, places = Hashes(), BoundedSemaphore(AT_ONCE)

    def planned(prefix: str) -> Archive:
        # Finding out what goes in reads every document of the log: that takes a place as well.
        if not places.acquire(blocking=False):
            raise ArchiveBusy(f"{AT_ONCE} archives are being read already")
        try:
            return archive.plan(desk, prefix)
        finally:
            places.release()

    @router.get("/log/campaigns/{prefix}/evidence", dependencies=[anybody()],
                include_in_schema=False)  # fmt: skip
    def shown(request: Request, prefix: str) -> Response:
        found = planned(prefix)
        digest = hashes.of(found, places)
        told = _told(found, digest)
        return kit.page(
            request,
            "auditors/evidence.html",
            title=say("Evidence of a campaign"),
            trail=[LOG],
            data=lambda: JSONResponse(told),
            name=found.name,
            campaign=found.campaign,
            facts=[
                (say("Campaign"), public_campaign(found.campaign)),
                (say("Entries of the log"), found.entries),
                (say("Files"), len(found.parts)),
                (say("Size"), Size(found.length)),
                (say("SHA-256 of the file"), Ident(digest, letters=WHOLE)),
            ],
        )

    @router.get("/log/campaigns/{prefix}/evidence.tar", dependencies=[anybody()],
                include_in_schema=False)  # fmt: skip
    def file(prefix: str) -> Response:
        found = planned(prefix)
        body = _read(found, places)
        first = next(body)  # a refusal comes before the answer has begun
        return StreamingResponse(
            chain([first], body),
            media_type="application/x-tar",
            headers={
                "Content-Disposition": f'attachment; filename="{found.name}"',
                "Content-Length": str(found.length),
            },
        )

    @router.get(f"{API}/log-evidence/{{prefix}}", dependencies=[anybody()])
    def as_json(prefix: str) -> dict[str, str | int]:
        found = planned(prefix)
        return _told(found, hashes.of(found, places))

    return router


def _told(found: Archive, value: str) -> dict[str, str | int]:
    return {
        "campaign": found.campaign,
        "name": found.name,
        "bytes": found.length,
        "files": len(found.parts),
        "entries": found.entries,
        "sha256": value,
    }


def _read(found: Archive, places: BoundedSemaphore) -> Iterator[bytes]:
    """The file, a part at a time; refused at its beginning alone, where no place is free.

    A place is held while a part is read from the disk, never while its reader takes it: a few who
    read a letter a minute would hold them all.
    """
    parts = found.stream()
    if not places.acquire(blocking=False):
        raise ArchiveBusy(f"{AT_ONCE} archives are being read already")
    try:
        part = next(parts, None)
    finally:
        places.release()
    while part is not None:
        yield part
        with places:
            part = next(parts, None)
