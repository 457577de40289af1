"""One command's connection: identity, channel, renewal when due, refusals as problems."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio

from client import identity
from client.identity import Identity
from trust import certificates
from trust.clock import Clock, SystemClock
from wire import enrolment
from wire.channel import open_channel
from wire.errors import WireError
from wire.limits import CALL_TIMEOUT_SECONDS
from wire.site import fetch_roots
from wire.status import from_rpc_error

T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """An open channel under an identity."""

    identity: Identity
    channel: grpc.aio.Channel

    async def call(self, method: Any, request: Any) -> Any:
        """One answer. Raises the other side's refusal or Unreachable."""
        try:
            return await method(request, timeout=CALL_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def stream(self, method: Any, request: Any) -> AsyncIterator[Any]:
        """Answers as they come, until the other side ends. Raises like `call`."""
        try:
            async for message in method(request):
                yield message
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


@asynccontextmanager
async def open_session(folder: Path, clock: Clock) -> AsyncIterator[Session]:
    """A session as the identity in `folder`; its certificate is renewed past half of its life."""
    me = identity.load(folder)
    if clock.now() >= certificates.renew_after(me.certificate):
        # As often as the certificate: about twice a day where somebody works.
        me = await _follow_roots(me)
        fresh = await enrolment.renew(
            me.member.work_address, me.tls_identity, trusted=me.root, tls=me.tls, clock=clock
        )
        me = me.renewed(fresh)
    require_current_root(me, clock)
    async with open_channel(me.member.work_address, me.authority_pem, me.tls_identity) as channel:
        yield Session(me, channel)


async def up_to_date(session: Session) -> Session:
    """`session` under the newest root that the site serves; an old one knows no later key."""
    return replace(session, identity=await _follow_roots(session.identity))


def require_current_root(me: Identity, clock: Clock) -> None:
    """Raise RootRefused once the root that this terminal believes has expired."""
    me.root.require_current(clock.now())


async def _follow_roots(me: Identity) -> Identity:
    """`me` under the newest root that the site serves; each is signed by the one before."""
    try:
        chain = await asyncio.to_thread(fetch_roots, me.member.site, me.root.document.version + 1)
    except WireError:
        return me  # the root in hand stays in force until it expires
    for raw in chain:
        me = me.rotated(raw)
    return me


def within(folder: Path, visit: Callable[[Session], Awaitable[T]]) -> T:
    """Run `visit` in a session; how a command does its one thing."""
    home = folder.expanduser()

    async def main() -> T:
        async with open_session(home, SystemClock()) as session:
            return await visit(session)

    return asyncio.run(main())
