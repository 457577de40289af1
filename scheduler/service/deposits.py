"""What a worker may leave here: one values blob for each unit that it holds, and no other.

A partial's noise is drawn once. A worker that was restored from an old copy would draw it again,
and two noised sums of the same capsules say more about them than one. So bytes that differ from
what was left before are taken only while a unit of this worker lacks them: an attempt that was
accepted, rejected, expired, cancelled or given back has no more to say, and the next attempt at
the same unit repeats the same bytes.
"""

from __future__ import annotations

from sqlmodel import col, func, select

from scheduler.domain.states import LIVE_ATTEMPT, AttemptState
from scheduler.errors import ValuesNotDue
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, BlobRow

_LIVE = [state.value for state in LIVE_ATTEMPT]


def require_due(tx: Transaction, worker: str) -> None:
    """Return when `worker` holds a unit whose values are not here. Raises ValuesNotDue.

    Nothing says which of a worker's live units a blob is for, so they are counted: since the
    first of them was leased, fewer blobs that no accepted report names than units without one.
    """
    mine = AttemptRow.worker == worker
    held = select(AttemptRow.unit).where(
        mine, col(AttemptRow.state).in_(_LIVE), AttemptRow.expires_at > tx.now
    )
    first = select(func.min(AttemptRow.leased_at)).where(mine, col(AttemptRow.unit).in_(held))
    since = first.scalar_subquery()
    accepted = select(AttemptRow.unit).where(mine, AttemptRow.state == AttemptState.ACCEPTED.value)
    lacking = select(func.count(func.distinct(AttemptRow.unit))).where(
        mine, AttemptRow.leased_at >= since, col(AttemptRow.unit).not_in(accepted)
    )
    named = select(AttemptRow.values_digest).where(mine, col(AttemptRow.values_digest).is_not(None))
    unnamed = select(func.count(col(BlobRow.digest))).where(
        BlobRow.giver == worker,
        col(BlobRow.public).is_(False),
        BlobRow.created_at >= since,
        col(BlobRow.digest).not_in(named),
    )
    # One statement: it runs for every report of the grid.
    alive, units, left = tx.session.exec(
        select(since, lacking.scalar_subquery(), unnamed.scalar_subquery())
    ).one()
    if alive is None:
        raise ValuesNotDue(
            "no attempt of this worker is alive that these values could belong to",
            remedy="report the attempt without them: the answer says why it ended",
        )
    if left >= units:
        raise ValuesNotDue(
            "other values of this worker's units are stored already",
            remedy="noise is drawn once: repeat the stored values byte for byte. A state that was "
            "restored from a copy cannot; join again with a fresh token",
        )
