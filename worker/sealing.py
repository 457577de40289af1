"""The keys that a round's sums are sealed to and encrypted under, as the policies verified them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

from capsule_runtime.broker.messages import Sealing
from trust import schema
from trust.documents.campaign import Plan
from trust.dsse import Envelope
from trust.errors import TrustError
from trust.ids import Digest, ReportId
from trust.policy import Exhibit, Permit
from trust.policy.errors import EpochKeyMismatch


def named(
    plan: Exhibit, exhibits: Mapping[Digest, Exhibit], name: Callable[[Plan], Digest | None]
) -> Exhibit | None:
    """The exhibit of a key that the plan claims to name; the policies verify both."""
    with contextlib.suppress(TrustError):
        claimed = name(schema.decode(Plan, Envelope.parse(plan.envelope).payload))
        return None if claimed is None else exhibits.get(claimed)
    return None


def sealing_of(permit: Permit, report: ReportId) -> Sealing | None:
    """To whom the report's seed is sealed; None where the protection has no helper."""
    request = permit.request
    if request.helper is None:
        return None
    return Sealing(
        helper=request.verified_helper.document.key,
        plan=permit.plan.digest,
        report=report,
        profile=None if request.epoch is None else request.verified_epoch.document.profile,
    )


async def public_key(permit: Permit, fetch: Callable[[Digest], Awaitable[bytes]]) -> bytes | None:
    """The epoch's public key, the very bytes that the keyholder certified; None if not needed.

    Raises EpochKeyMismatch, and what `fetch` raises.
    """
    request = permit.request
    if request.epoch is None:
        return None
    certified = request.verified_epoch.document.public
    public = await fetch(certified)
    if Digest.of(public) != certified:
        # Before anybody loads it: whoever chose the key could read what is encrypted under it.
        raise EpochKeyMismatch(
            f"the public key at hand is {Digest.of(public)}, certified is {certified}",
            remedy="the key was changed on its way; nothing was encrypted under it",
            campaign=request.order.campaign,
        )
    return public
