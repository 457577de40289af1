"""Where a program reads what it judges by: the scheduler's public site, and the status server."""

from __future__ import annotations

from collections.abc import Callable

from governance.batches.history import History
from governance.batches.standing import MAXIMUM_STATUS_BYTES, Standing, StatusMemory
from trust.clock import Clock
from trust.ids import Digest
from trust.log.policy import Policy
from trust.root import TrustedRoot
from wire import site


def history_at(trusted: TrustedRoot, address: str) -> History:
    """The log as the site at `address` serves it, under the root's log policy."""
    below = address.rstrip("/")
    policy = Policy.parse(trusted.document.log_policy.encode())
    return History(policy, lambda path: site.fetch(f"{below}/{path}"))


def standing_of(trusted: TrustedRoot, memory: StatusMemory, clock: Clock) -> Standing:
    """The governance status, fetched from where the root says."""
    return Standing(trusted, memory, lambda url: site.fetch(url, limit=MAXIMUM_STATUS_BYTES), clock)


def bundles_at(address: str) -> Callable[[Digest], bytes | None]:
    """Public objects of the site at `address`, by digest; not verified."""
    below = address.rstrip("/")

    def bundle(digest: Digest) -> bytes | None:
        name = digest.removeprefix("sha256:")
        return site.fetch(f"{below}/objects/sha256/{name[:2]}/{name}")

    return bundle
