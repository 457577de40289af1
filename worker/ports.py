"""What the agent needs from the scheduler and from its broker; tests put fakes in their place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509

from capsule_runtime.broker.messages import Contribute, Contributed, Inspected, Ready
from trust.clock import Clock
from trust.ids import Digest
from trust.policy import Exhibit
from worker.identity import Identity

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answer:
    """One exchange's answer, unverified."""

    orders: bytes
    exhibits: tuple[Exhibit, ...]
    consents: tuple[bytes, ...]
    blobs: tuple[bytes, ...] = ()  # what the orders name, where it is small


class Scheduler(Protocol):
    """The scheduler; every method raises a Problem on failure."""

    async def exchange(self, reports: bytes, values: tuple[bytes, ...] = ()) -> Answer:
        """One long poll; `values` are the small blobs that its reports name."""
        ...

    async def fetch(self, digest: Digest) -> bytes:
        """A blob, checked against its digest."""
        ...

    async def put(self, data: bytes) -> None:
        """Store a blob there."""
        ...

    async def renew(self, identity: Identity, clock: Clock) -> x509.Certificate:
        """A fresh certificate for the same key, checked against the root's authority."""
        ...

    async def adopt(self, identity: Identity) -> None:
        """Use a renewed identity from the next call on."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


class Broker(Protocol):
    """The broker process, started when it is first needed and again when it was lost."""

    async def ready(self) -> Ready:
        """What the broker found at its start. Raises BrokerLost."""
        ...

    async def renew(self) -> Ready:
        """What a new broker finds, once the present one is idle. Raises BrokerLost."""
        ...

    async def inspect(self, bundle: bytes) -> Inspected:
        """What a bundle's manifest demands. Raises RunFailed, BrokerLost."""
        ...

    async def contribute(
        self,
        order: Contribute,
        bundle: bytes,
        parameters: bytes,
        progress: OnProgress,
        public: bytes | None = None,
    ) -> tuple[Contributed, bytes, bytes | None]:
        """The protected sum of this worker's capsules; with it the sealed share, if `order` seals.

        `public` is the epoch's key, where the sum is encrypted.
        Raises RunFailed, BrokerLost, or ConsentWithdrawn when a withdrawal crossed with the
        answer: then nothing was released and the unit may start again.
        """
        ...

    async def conclude(self, bundle: bytes, parameters: bytes, aggregate: bytes) -> bytes:
        """The report arrays as a column-format blob. Raises RunFailed, BrokerLost."""
        ...

    def cancel(self) -> None:
        """Stop the run in progress before anything of it leaves the broker."""
        ...

    def withdraw(self, tokens: bytes) -> None:
        """These revocation tokens (32 bytes each) count from now on, mid-unit too."""
        ...

    async def stop(self) -> None:
        """End the broker and with it its sandbox, whatever it is doing."""
        ...
