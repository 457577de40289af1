"""From an older release's database to this one's, on purpose and with a way back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scheduler.backup.taking import take
from scheduler.database import alone, open_database
from scheduler.errors import SchemaRefused
from scheduler.meters import Meters
from scheduler.state import State
from scheduler.store import engine as specifics
from scheduler.store import schema
from trust.clock import Clock
from trust.entropy import Entropy


@dataclass(frozen=True)
class Upgraded:
    """Schema versions before and after."""

    old: str
    new: str

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.old != self.new


def upgrade(state: State, backup: Path, clock: Clock, entropy: Entropy) -> Upgraded:
    """Back the state up to `backup`, then upgrade its database in one transaction.

    Raises StateRefused while a scheduler runs on it, SchemaRefused, BackupRefused. Whatever it
    raises, and wherever it is killed, the database is the old one or the new one, whole.
    """
    with alone(state):
        if not state.database.exists():
            raise SchemaRefused(
                "there is no database yet", remedy="start the scheduler: it makes a new one"
            )
        engine = specifics.open_engine(state.database)
        try:
            old = schema.version(engine)
        finally:
            engine.dispose()
        new = schema.newest()
        if old != new:
            # Of an unknown or newer schema too: opening it refuses below, and a copy harms nobody.
            take(state, backup, clock, entropy)
        open_database(state, clock, Meters(), upgrade=True).close()
        return Upgraded(old or "none", new)
