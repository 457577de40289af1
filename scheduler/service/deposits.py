"""What a worker may leave here: one values blob for each unit that it holds, and no other.

A partial's noise is drawn once. A worker that was restored from an old copy would draw it again,
and two noised sums of the same capsules say more about them than one. So bytes that differ from
what was left before are taken only while a unit of this worker lacks them: an attempt that was
accepted, rejected, expired, cancelled or given back has no more to say, and the next attempt at
the same unit repeats the same bytes.
"""

from __future__ import annotations

from sqlalchemy import BindParameter, bindparam
from sqlmodel import col, func, select

from scheduler.domain.states import LIVE_ATTEMPT, AttemptState
from scheduler.errors import ValuesNotDue
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, BlobRow
from scheduler.store.types import Moment

_WORKER: BindParameter[str] = bindparam("worker")
_MINE = col(AttemptRow.worker) == _WORKER
_HELD = select(AttemptRow.unit).where(
    _MINE,
    col(AttemptRow.state).in_([state.value for state in LIVE_ATTEMPT]),
    col(AttemptRow.expires_at) > bindparam("now", type_=Moment()),
)
_SINCE = (
    select(func.min(AttemptRow.leased_at))
    .where(_MINE, col(AttemptRow.unit).in_(_HELD))
    .scalar_subquery()
)
_ACCEPTED = select(AttemptRow.unit).where(_MINE, AttemptRow.state == AttemptState.ACCEPTED.value)
_LACKING = select(func.count(func.distinct(AttemptRow.unit))).where(
    _MINE, col(AttemptRow.leased_at) >= _SINCE, col(AttemptRow.unit).not_in(_ACCEPTED)
)
_NAMED = select(AttemptRow.values_digest).where(_MINE, col(AttemptRow.values_digest).is_not(None))
_UNNAMED = select(func.count(col(BlobRow.digest))).where(
    col(BlobRow.giver) == _WORKER,
    col(BlobRow.public).is_(False),
    col(BlobRow.created_at) >= _SINCE,
    col(BlobRow.digest).not_in(_NAMED),
)
# Since when it holds units, how many of them lack values, and how many blobs none of them names.
_DEPOSITED = select(_SINCE, _LACKING.scalar_subquery(), _UNNAMED.scalar_subquery())


def require_due(tx: Transaction, worker: str) -> None:
    """Return when `worker` holds a unit whose values are not here. Raises ValuesNotDue.

    Nothing says which of a worker's live units a blob is for, so they are counted: since the
    first of them was leased, fewer blobs that no accepted report names than units without one.
    """
    alive, units, left = tx.session.exec(_DEPOSITED, params={"worker": worker, "now": tx.now}).one()
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
