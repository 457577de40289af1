"""How far each worker's privacy ledger has grown: kept where restoring the worker cannot reach.

Only a higher counter changes anything, so neither a replayed statement nor an old copy of a
ledger moves a worker back. Rows are never deleted.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from governance.errors import CheckpointForeign, CheckpointMalformed, CheckpointUnexpected
from governance.status.database import RegistryFile
from trust import clock
from trust.documents import signed
from trust.documents.budget import (
    MAXIMUM_COUNTER,
    NONCE_BYTES,
    LedgerCheckpoint,
    LedgerStanding,
)
from trust.ids import Digest

# An envelope of one small document.
MAXIMUM_BYTES = 4096


class Checkpoints:
    """The furthest checkpoint per worker, in the registry's file; safe for many threads."""

    def __init__(self, file: RegistryFile, territory: str) -> None:
        self._file = file
        self._territory = territory

    def keep(self, raw: bytes, now: datetime) -> LedgerStanding:
        """Keep the checkpoint in `raw` if it is the furthest; what stands for its worker now.

        Durable when this returns: if we crash before, the worker asks again. Raises Malformed,
        WrongType, SignatureInvalid, CheckpointForeign, CheckpointMalformed, CheckpointUnexpected
        or StorageFailed.
        """
        checkpoint = admit(raw, self._territory)
        document = checkpoint.document
        with self._file.transaction() as sql:
            _require_host(sql, document)
            sql.execute(
                "INSERT INTO checkpoints VALUES (?, ?, ?, ?)"
                " ON CONFLICT (worker) DO UPDATE SET counter = excluded.counter,"
                " head = excluded.head, kept_at = excluded.kept_at"
                " WHERE excluded.counter > checkpoints.counter",
                [document.worker, document.counter, document.head, clock.to_text(now)],
            )
            counter, head = sql.execute(
                "SELECT counter, head FROM checkpoints WHERE worker = ?", [document.worker]
            ).fetchone()
        return LedgerStanding(
            territory=self._territory,
            worker=document.worker,
            asked=checkpoint.digest,
            counter=int(counter),
            head=Digest.parse(head),
            answered_at=clock.from_text(clock.to_text(now)),
        )


def admit(raw: bytes, territory: str) -> signed.Signed[LedgerCheckpoint]:
    """The checkpoint in `raw`, signed by the node key that its worker's id is derived from.

    Raises Malformed, WrongType, SignatureInvalid, CheckpointForeign or CheckpointMalformed.
    """
    if len(raw) > MAXIMUM_BYTES:
        raise CheckpointMalformed(f"a checkpoint has at most {MAXIMUM_BYTES} bytes")
    checkpoint = signed.verify_self_named(LedgerCheckpoint, raw, "key")
    document = checkpoint.document
    if document.territory != territory:
        raise CheckpointForeign(
            f"the checkpoint is for {document.territory[:80]}, this registry for {territory}"
        )
    if document.worker != document.key.worker_id:
        raise CheckpointForeign("the checkpoint is signed by another node than its worker")
    if not 0 <= document.counter <= MAXIMUM_COUNTER or len(document.nonce) != NONCE_BYTES:
        raise CheckpointMalformed(
            f"a checkpoint has a counter of 0 to {MAXIMUM_COUNTER} and a nonce of "
            f"{NONCE_BYTES} bytes"
        )
    return checkpoint


def _require_host(sql: sqlite3.Connection, document: LedgerCheckpoint) -> None:
    """Anybody can draw a key; a row is kept only for whom an owner chose."""
    chosen = sql.execute(
        "SELECT 1 FROM hosts WHERE worker = ? LIMIT 1", [document.worker]
    ).fetchone()
    if chosen is None:
        raise CheckpointUnexpected("no owner ever consented to this worker in this registry")
