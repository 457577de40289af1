"""Exclusion: who loses membership, how the log hears of it, and when open calls end.

A certificate lives a day and cannot be called back, so every call asks the deny list first. An
exclusion acts in three steps: its transaction (from then on no renewal, no enrolment, no order),
the deny list in memory (at once, or at its next refresh when another program wrote), and the
next message of a stream that is open. If we crash between them, the list is read again at the
start.
"""

from __future__ import annotations

from sqlmodel import select

from scheduler.domain.reasons import quote
from scheduler.errors import Unknown
from scheduler.service import actions, outbox
from scheduler.service.actions import CONSOLE, Actor, Deed, Office
from scheduler.service.bell import for_exclusion, for_worker
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import MemberRow
from trust.certificates import Peer, Role
from trust.documents import signed
from trust.documents.actions import Act
from trust.documents.membership import Banned
from trust.ids import WorkerId
from trust.keys import PublicKey
from trust.log.entry import Kind
from wire.errors import Denied


async def exclude(desk: Desk, name: str, reason: str, *, actor: Actor = CONSOLE) -> MemberRow:
    """Deny a member's certificates from now on. Raises Unknown, InputRefused."""
    return await desk.run("ban-member", lambda tx: deny(tx, desk, name, reason, actor=actor))


def deny(
    tx: Transaction,
    office: Office,
    name: str,
    reason: str,
    *,
    actor: Actor = CONSOLE,
    request: str = "",
) -> MemberRow:
    """Note the exclusion of the member `name`; excluding again changes nothing.

    A worker's goes into the log, because auditors ask whether it got orders afterwards, with the
    deed of whoever did it. Persons are never named there. The reason stays here: the log can't
    forget. Raises Unknown, InputRefused.
    """
    why = actions.require_reason(reason)
    row = tx.session.get(MemberRow, name)
    if row is None:
        raise Unknown(
            f"no member {name[:80]!r}",
            remedy="a person is called as their token's --operator says; "
            "`cadastre worker list` shows the workers",
        )
    if row.banned_at is None:
        row.banned_at, row.banned_because = tx.now, quote(why)
        if row.role == Role.WORKER:
            event = Banned(
                territory=office.territory,
                worker=WorkerId(name),
                key=PublicKey.parse(row.key),
                banned_at=tx.now,
            )
            outbox.publish(tx, office, Kind.KEY_EVENT, signed.sign(event, [office.orders]))
            deed = Deed(Act.EXCLUDE_WORKER, why, worker=name, request=request)
            actions.record(tx, office, actor, deed)
    tx.rings.update({for_worker(name), for_exclusion(name)})
    return row


class DenyList:
    """Excluded members, in memory, for the gate that runs before every call."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reasons = desk.store.read("list-banned", _excluded)

    async def refresh(self) -> None:
        """Read the list again, and wake the open calls of who is new on it."""
        found = await self._desk.look("list-banned", _excluded)
        fresh = found.keys() - self._reasons.keys()
        # Nobody leaves the list, so an older answer that comes in late takes nobody off it.
        self._reasons = {**self._reasons, **found}
        self._desk.bell.ring(
            topic for name in fresh for topic in (for_worker(name), for_exclusion(name))
        )

    def __call__(self, peer: Peer) -> str | None:
        return self._reasons.get(peer.name)

    def require_admitted(self, peer: Peer) -> None:
        """The gate's question once more, for calls that last. Raises Denied."""
        reason = self(peer)
        if reason is not None:
            raise Denied(f"{peer.name} is denied: {reason}", remedy="ask the territory's operator")


def _excluded(tx: Transaction) -> dict[str, str]:
    query = select(MemberRow).where(MemberRow.banned_at != None)  # noqa: E711
    return {row.name: row.banned_because or "" for row in tx.session.exec(query)}
