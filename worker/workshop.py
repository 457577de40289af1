"""What every order of this worker is done with; tests put fakes behind the same shapes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trust.clock import Clock
from trust.entropy import Entropy
from trust.ids import Digest
from worker.governance import Standing
from worker.identity import Identity
from worker.journal import Journal
from worker.ports import Broker

FetchBlob = Callable[[Digest], Awaitable[bytes]]


@dataclass(frozen=True)
class Workshop:
    """The rooms of one worker, as far as a unit enters them, under the identity of the moment."""

    identity: Identity
    journal: Journal
    broker: Broker
    standing: Standing
    fetch: FetchBlob
    fetch_bundle: FetchBlob  # the newest one stays at hand
    checkpoint: Callable[[], Awaitable[None]]  # `Checkpoints.require`
    clock: Clock
    entropy: Entropy
    doubt: Callable[[], None] = lambda: None  # the broker that proved its level is gone
