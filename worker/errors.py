"""What a worker refuses or fails at, besides the policies' reasons (trust.policy.errors)."""

from __future__ import annotations

from trust.problem import Kind, Problem


class WorkerError(Problem):
    """Root of this package's refusals."""

    code = "worker"
    kind = Kind.REFUSED


class JournalRefused(WorkerError):
    """The journal is damaged, of another program, or of a newer version: the worker stays down."""

    code = "journal-refused"
    kind = Kind.INVALID


class NotJoined(WorkerError):
    """The state directory holds no identity."""

    code = "not-joined"
    kind = Kind.NOT_FOUND


class AlreadyJoined(WorkerError):
    """The state directory holds an identity already."""

    code = "already-joined"
    kind = Kind.CONFLICT


class AlreadyRunning(WorkerError):
    """Another agent runs on this state directory."""

    code = "already-running"
    kind = Kind.CONFLICT


class NotRunning(WorkerError):
    """No agent runs on this state directory."""

    code = "not-running"
    kind = Kind.NOT_FOUND


class IdentityRefused(WorkerError):
    """A file of the identity is damaged or does not belong to the others."""

    code = "identity-refused"
    kind = Kind.INVALID


class UserMissing(WorkerError):
    """Started by root, but the dedicated user does not exist."""

    code = "worker-user-missing"
    kind = Kind.NOT_FOUND


class StillRoot(WorkerError):
    """The agent would have gone on as root."""

    code = "still-root"


class StateUnreadable(WorkerError):
    """The state directory does not belong to the user that the agent runs as."""

    code = "state-unreadable"


class ExhibitMissing(WorkerError):
    """The scheduler sent an order without a document that the order rests on."""

    code = "exhibit-missing"
    kind = Kind.UNVERIFIED


class StatementRetired(WorkerError):
    """The round was answered and acknowledged so long ago that the answer's bytes are gone."""

    code = "statement-retired"


class LeaseLost(WorkerError):
    """The unit's lease ran out or was cancelled while it ran."""

    code = "lease-lost"


class Draining(WorkerError):
    """The agent is stopping: it finishes nothing new."""

    code = "worker-draining"
    retryable = True


class StatusUnreachable(WorkerError):
    """Governance's status address did not answer with a status."""

    code = "status-unreachable"
    kind = Kind.UNAVAILABLE
    retryable = True


class CheckpointUnacknowledged(WorkerError):
    """Governance's registry did not say that this ledger is the newest: nothing is contributed."""

    code = "checkpoint-unacknowledged"
    kind = Kind.UNAVAILABLE
    retryable = True


class LedgerRolledBack(WorkerError):
    """The registry saw this worker's privacy ledger further on: the one here is an old copy."""

    code = "ledger-rolled-back"
    kind = Kind.CONFLICT


class TooManyOpenRounds(WorkerError):
    """Many rounds were begun here within a day and never answered: no further one is charged."""

    code = "too-many-open-rounds"
    kind = Kind.EXHAUSTED
    retryable = True


class TokenRefused(WorkerError):
    """A token that is damaged, expired, for another role, or for another territory."""

    code = "token-refused"
    kind = Kind.UNVERIFIED
