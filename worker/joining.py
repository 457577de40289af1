"""`cadastre worker join`: from a one-time token to an enrolled identity on disk.

If we crash anywhere, the keys stay, and the same command may be repeated until the token
expires: the scheduler recognises the keys and answers again.
"""

from __future__ import annotations

from pathlib import Path

from trust import certificates
from trust.certificates import Role
from trust.clock import Clock
from trust.entropy import Entropy
from wire import enrolment
from wire.token import Token
from worker import identity
from worker.errors import TokenRefused
from worker.identity import Identity, Names


async def join(state: Path, token: Token, clock: Clock, entropy: Entropy) -> Identity:
    """Enrol this machine and write its identity.

    Raises AlreadyJoined, TokenRefused, TokenExpired, RootRefused, Unreachable, or what the
    scheduler refuses.
    """
    identity.require_fresh(state)
    if token.role != Role.WORKER:
        raise TokenRefused(
            f"the token is for the role {token.role[:40]}, not for a worker",
            remedy="ask the territory's operator for one with --role worker",
        )
    keys = identity.load_or_draw_keys(state, entropy)
    membership = await enrolment.join(token, keys.node, keys.tls, keys.hpke_public, clock)
    peer = certificates.peer_of(
        membership.certificate, membership.root.document.territory, clock.now()
    )
    if (peer.role, peer.name) != (Role.WORKER, keys.worker):
        raise TokenRefused(
            f"the scheduler certified {peer.role.value} {peer.name}, this worker is {keys.worker}",
            remedy="tell the territory's operator, and do not use this identity",
        )
    names = Names(
        territory=membership.root.document.territory,
        pin=token.root,
        operator=token.operator,
        site=token.place,
        work_address=membership.work_address,
        site_url=token.site,
    )
    return identity.establish(state, names, membership.certificate, membership.chain)
