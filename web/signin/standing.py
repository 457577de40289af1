"""Whether somebody still is who they were when their request began.

A request's head and the end of its body may lie hours apart, as its sender likes. What it does, it
does for whoever is somebody when it is there whole: not for a session that ended meanwhile, nor
with a token that was taken back.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive

from web.signin.entrance import Entrance
from web.signin.errors import NotSignedIn
from web.signin.visits import Visit


def stands(entrance: Entrance, visit: Visit) -> bool:
    """Whether what `visit` was recognised by still opens something; nobody stays nobody."""
    if visit.ticket is not None:
        return entrance.sessions.stands(visit.ticket)
    return visit.credential is None or entrance.credentials.stands(visit.credential)


class Standing:
    """A request's body on its way in; its last part is given to nobody who was signed out."""

    def __init__(self, entrance: Entrance, visit: Visit, receive: Receive) -> None:
        self._entrance = entrance
        self._visit = visit
        self._receive = receive

    async def __call__(self) -> Message:
        """The next part. Raises NotSignedIn instead of the last one."""
        message = await self._receive()
        whole = message["type"] == "http.request" and not message.get("more_body")
        if whole and not await run_in_threadpool(stands, self._entrance, self._visit):
            raise NotSignedIn
        return message
