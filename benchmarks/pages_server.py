"""The scheduler's pages over a state directory, in a process of their own.

`python -m benchmarks.pages_server FOLDER [changing]` prints one JSON line when it answers and ends
with its input. `changing`: every second something that the first page shows becomes another, so
that every tick renders and sends.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from durable.blobs import BlobFolder
from durable.files import make_directory
from scheduler.database import open_database
from scheduler.log.writer import LogWriter
from scheduler.meters import Meters
from scheduler.service.bell import Bell
from scheduler.service.desk import Desk
from scheduler.state import State
from scheduler.store.store import Store, Transaction
from scheduler.store.tables import CampaignRow
from scheduler.web.surface import Pages, Settings
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from web.signin.roles import Role

PACE = 1.0  # seconds between two changes
_REASONS = (
    ("waiting-for-log", "waiting for the log"),
    ("waiting-for-witnesses", "waiting for the witnesses"),
)


def main(folder: Path, *, changing: str) -> None:
    """Serve until standard input ends; `changing` is a campaign whose reason changes, or ""."""
    state, clock, meters = State(folder), SystemClock(), Meters()
    store = open_database(state, clock, meters)
    log = LogWriter.open(state.log, state.log_key(), state.origin, clock)
    make_directory(state.objects, 0o700)
    desk = Desk(
        store=store,
        blobs=BlobFolder(state.objects),
        log=log,
        entropy=SYSTEM,
        orders=state.orders_key(),
        authority=state.authority(),
        root=state.trusted_root(),
        meters=meters,
        bell=Bell(),
        work_address=state.configuration().work_address,
    )
    pages = Pages(desk, Settings(), log.waiting)
    pages.start()
    token = pages.entrance.credentials.invite("bench", [Role.OPERATOR])
    sys.stdout.write(json.dumps({"address": pages.address, "token": token}) + "\n")
    sys.stdout.flush()
    over = threading.Event()
    if changing:
        threading.Thread(target=_change, args=(store, changing, over), daemon=True).start()
    sys.stdin.read()
    over.set()
    pages.stop()
    store.close()
    log.close()


def _change(store: Store, campaign: str, over: threading.Event) -> None:
    turn = 0
    while not over.wait(PACE):
        turn += 1
        code, why = _REASONS[turn % len(_REASONS)]

        def change(tx: Transaction, code: str = code, why: str = why) -> None:
            row = tx.session.get(CampaignRow, campaign)
            assert row is not None
            row.reason, row.why, row.updated_at = code, why, tx.now

        store.run("bench-change", change)


if __name__ == "__main__":
    main(Path(sys.argv[1]), changing="".join(sys.argv[2:]))
