"""What the log's writer can refuse."""

from __future__ import annotations

from trust.problem import Kind, Problem


class LogWriterError(Problem):
    """Root of this package's refusals."""

    code = "log-writer"


class LogMissing(LogWriterError):
    """There is no log where one is expected: logs are created on purpose, never by opening."""

    code = "log-missing"
    kind = Kind.NOT_FOUND


class LogExists(LogWriterError):
    """A log, or a part of one, is already there."""

    code = "log-exists"
    kind = Kind.CONFLICT


class LogBusy(LogWriterError):
    """Another process writes this log."""

    code = "log-busy"
    kind = Kind.CONFLICT


class LogDamaged(LogWriterError):
    """Stored bytes of the log are missing, altered or not of this log: nothing is signed."""

    code = "log-damaged"
    kind = Kind.UNVERIFIED


class LogRolledBack(LogWriterError):
    """More was published than the lock record knows: it was restored from an old copy."""

    code = "log-rolled-back"
    kind = Kind.UNVERIFIED


class RecordMoved(LogWriterError):
    """The lock record is not the one this writer last wrote."""

    code = "log-record-moved"
    kind = Kind.CONFLICT


class ClockWentBack(LogWriterError):
    """The wall clock is before the last signed checkpoint."""

    code = "log-clock-went-back"
    kind = Kind.UNAVAILABLE
    retryable = True


class CosignerError(LogWriterError):
    """A witness gave no usable cosignature."""

    code = "cosigner"
    kind = Kind.UNAVAILABLE
    retryable = True


class CosignerUnavailable(CosignerError):
    """A witness did not answer, or answered with a failure of its own."""

    code = "cosigner-unavailable"
    advice = "check that the witness runs: the log goes on and asks it again by itself"


class CosignerRefused(CosignerError):
    """A witness answered that it will not cosign this."""

    code = "cosigner-refused"
    kind = Kind.REFUSED
    retryable = False


class CosignerConflict(CosignerError):
    """A witness has cosigned another size than the one it was asked to continue from."""

    code = "cosigner-conflict"
    kind = Kind.CONFLICT
    advice = (
        "look at the witness's memory if this stays: the log continues from that size by itself"
    )

    def __init__(self, name: str, size: int) -> None:
        super().__init__(f"witness {name} has last seen a log of {size} entries", witness=name)
        self.size = size
