"""The state directory's database and its lock, for the server and for commands beside it.

Apart from `scheduler.program`: a command that changes a row has no use for servers and clocks.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from scheduler.errors import StateRefused
from scheduler.meters import Meters
from scheduler.state import State
from scheduler.store.store import Store, Transaction, open_store
from scheduler.store.tables import InstallationRow
from trust.clock import Clock, SystemClock


def open_database(state: State, clock: Clock, meters: Meters, *, upgrade: bool = False) -> Store:
    """The store in the state directory, belonging to its territory.

    Raises StateRefused, SchemaRefused for an older schema unless it may `upgrade` it.
    """
    territory = state.configuration().territory
    store = open_store(state.database, clock, meters, upgrade=upgrade)

    def claim(tx: Transaction) -> str:
        row = tx.session.get(InstallationRow, 1)
        if row is None:
            row = InstallationRow(id=1, territory=territory, clock_mark=tx.now)
            tx.session.add(row)
        return row.territory

    owner = store.run("claim-database", claim)
    if owner != territory:
        store.close()
        raise StateRefused(
            f"the database belongs to {owner}, the configuration to {territory}",
            remedy="point --state at the right directory",
        )
    return store


@contextmanager
def opened(state: State) -> Iterator[Store]:
    """The same for one command beside a server that may run, closed behind it.

    Raises what `open_database` raises, and StateRefused before the territory has its root.
    """
    state.trusted_root()
    store = open_database(state, SystemClock(), Meters())
    try:
        yield store
    finally:
        store.close()


@contextmanager
def alone(state: State) -> Iterator[None]:
    """Hold the state directory's lock. Raises StateRefused while another program does."""
    descriptor = os.open(state.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateRefused(
                f"another scheduler runs on {state.folder}", remedy="stop it first"
            ) from error
        yield
    finally:
        os.close(descriptor)
