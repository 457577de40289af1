"""Everything that a use case works with; built once by `scheduler.program`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from durable.blobs import BlobFolder
from scheduler.domain.backoff import BackOff
from scheduler.errors import WrongTerritory
from scheduler.helper import Helper, NoHelper
from scheduler.keyholder import Keyholder, NoKeyholder
from scheduler.meters import Meters
from scheduler.service.bell import Bell
from scheduler.store.store import Store, Transaction
from trust.entropy import Entropy
from trust.keys import PrivateKey
from trust.log.policy import Policy
from trust.root import TrustedRoot

T = TypeVar("T")


class Log(Protocol):
    """The writing side of the log; an append returns when the entry is durable and signed."""

    def append(self, entries: Sequence[bytes]) -> list[int]: ...
    def tick(self) -> None: ...
    def prove(self, index: int) -> bytes: ...
    def checkpoint(self) -> bytes: ...
    def fetch(self, path: str) -> bytes: ...


@dataclass(frozen=True)
class Limits:
    """Numbers that bound everything; the defaults are for a city, tests shorten them."""

    heartbeat: float = 30.0  # the long poll answers at the latest after this
    contribute_lease: timedelta = timedelta(minutes=15)
    conclude_lease: timedelta = timedelta(minutes=5)
    conclude_deadline: timedelta = timedelta(hours=1)
    maximum_attempts: int = 5
    back_off: BackOff = field(default_factory=BackOff)
    planning: timedelta = timedelta(hours=1)  # a draft that finds no workers fails then
    helper: timedelta = timedelta(hours=24)  # how long past its deadline a round waits for it
    ceremony: timedelta = timedelta(days=7)  # how long a draft waits for its keys
    trustees: timedelta = timedelta(days=7)  # past its deadline, for keyholder and trustees
    patience: timedelta = timedelta(seconds=15)  # between two questions that wait for people
    token_life: timedelta = timedelta(hours=1)
    exchanges_kept: int = 8  # per worker: a duplicate older than this cannot be in flight
    message_age: timedelta = timedelta(hours=24)  # a certificate's life
    message_early: timedelta = timedelta(minutes=10)
    member_blob_bytes: int = 2 * 1024**3  # what one member may have stored unpublished
    # A machine's slots are bounded by its cores; a batch of reports by what it held.
    maximum_slots: int = 64
    maximum_entries: int = 256


@dataclass(frozen=True)
class Authority:
    """The territory's private certificate authority."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate


@dataclass
class Desk:
    """The scheduler's tools. `orders` signs plans, orders, openings, releases, enrolments."""

    store: Store
    blobs: BlobFolder
    log: Log
    entropy: Entropy
    orders: PrivateKey
    authority: Authority
    root: TrustedRoot
    meters: Meters
    bell: Bell
    work_address: str
    limits: Limits = field(default_factory=Limits)
    helper: Helper = field(default_factory=NoHelper)
    keyholder: Keyholder = field(default_factory=NoKeyholder)
    asked: dict[str, datetime] = field(default_factory=dict)  # see service.keyholding
    facts: dict[tuple[str, str], object] = field(default_factory=dict)  # see service.facts
    turned_at: datetime | None = None  # when everything that moves by itself last could
    skews: dict[str, timedelta] = field(default_factory=dict)  # workers' clocks less our own

    @property
    def territory(self) -> str:
        """The territory's name, as every document repeats it."""
        return self.root.document.territory

    @property
    def policy(self) -> Policy:
        """Which witnesses must have cosigned what workers are shown."""
        return Policy.parse(self.root.document.log_policy.encode())

    def now(self) -> datetime:
        """The scheduler's moment: steady, never backwards."""
        return self.store.clock.now()

    async def run(self, name: str, work: Callable[[Transaction], T]) -> T:
        """The transaction `name`; then ring what it asked to ring."""

        def with_rings(tx: Transaction) -> tuple[T, frozenset[str]]:
            return work(tx), frozenset(tx.rings)

        result, rings = await self.store.call(name, with_rings)
        self.bell.ring(rings)
        return result

    async def look(self, name: str, work: Callable[[Transaction], T]) -> T:
        """Read a snapshot."""
        return await self.store.look(name, work)

    def require_territory(self, name: str) -> None:
        """Raise WrongTerritory unless a document was made for this one."""
        if name != self.territory:
            raise WrongTerritory(
                f"the document was made for {name[:80]!r}, this is {self.territory}",
                remedy="use the identity and documents of this territory",
            )
