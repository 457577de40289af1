"""The agent's side of the capsules that it hosts: keys one at a time, consents as they arrive.

The HPKE key stays in this process; the broker asks for one capsule's key in the middle of a
unit and gets nothing else. Everything here is free of numpy.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from capsule_runtime.broker.messages import Setup
from capsule_runtime.capsules import grants
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentStore
from capsule_runtime.errors import CapsuleError
from trust.clock import Clock
from trust.documents.consent import Decision, revocation_token
from trust.entropy import Entropy
from trust.errors import TrustError
from trust.ids import CapsuleId
from worker.broker import BrokerProcess
from worker.broker_program import offered_libraries
from worker.identity import Identity
from worker.journal import Journal

_LOG = logging.getLogger("cadastre.worker.hosting")
# `cadastre capsule host` writes beside us; counting again more often would only cost.
COUNT_SECONDS = 30.0


class Hosting:
    """Capsules, grants and consents of one worker."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self._hpke = identity.keys.hpke
        self._worker = identity.worker
        self._clock = clock
        self._store = CapsuleStore(identity.state, clock)
        self._consents = ConsentStore(identity.state)
        self._counted_at: float | None = None
        self._count = 0

    def key(self, capsule: CapsuleId) -> bytes | None:
        """One capsule's key, or None when no live grant opens it here."""
        try:
            return grants.unwrap(
                self._store.grant(capsule, self._worker), self._hpke, self._clock.now()
            )
        except (CapsuleError, TrustError) as problem:
            _LOG.info("a capsule stays closed: %s", problem.code)
            return None

    def capsules(self) -> int:
        """How many capsules are hosted, at most COUNT_SECONDS ago."""
        now = self._clock.boottime()
        if self._counted_at is None or not 0 <= now - self._counted_at < COUNT_SECONDS:
            self._count, self._counted_at = len(self._store.owners()), now
        return self._count

    def take(self, raws: Sequence[bytes]) -> None:
        """Keep consents that the scheduler forwarded; each verifies by its owner's key.

        What does not verify, or is older than what is known, is left out and logged by code.
        Raises StorageFailed; the scheduler delivers them again then.
        """
        if not raws:
            return
        imported = self._consents.add(raws, self._store.owner)
        for _, problem in imported.refused:
            _LOG.info("a forwarded consent was left out: %s", problem.code)

    def withdrawn(self) -> bytes:
        """The tokens of every withdrawal that is an owner's last word here, 32 bytes each."""
        return b"".join(
            revocation_token(capsule, target).raw
            for capsule, target, _, decision, _ in self._consents.decisions()
            if decision is Decision.REVOKE
        )

    def close(self) -> None:
        """Release the files."""
        self._store.close()
        self._consents.close()


def broker_of(
    identity: Identity, journal: Journal, hosting: Hosting, clock: Clock, entropy: Entropy
) -> BrokerProcess:
    """The broker process of this worker, not yet started."""

    def setup() -> Setup:
        seen = journal.ledger()
        return Setup(
            state=str(identity.state.resolve()),
            territory=identity.names.territory,
            worker=identity.worker,
            libraries=offered_libraries(),
            ledger_counter=seen.counter,
            ledger_hash=seen.hash,
        )

    return BrokerProcess(setup, journal, hosting.key, clock=clock, entropy=entropy)
