"""What a witness refuses, each with the status of c2sp.org/tlog-witness (commit 5ba5ee83)."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from governance.errors import GovernanceError
from trust.problem import Kind


class WitnessError(GovernanceError):
    """Root of this package's refusals; `status` is what the HTTP edge answers."""

    code = "witness"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR


class RequestMalformed(WitnessError):
    """A request that is not of the protocol's form, or whose old size is above its new one."""

    code = "witness-request-malformed"
    kind = Kind.INVALID
    status = HTTPStatus.BAD_REQUEST
    advice = (
        "send an add-checkpoint request in the form and within the limits of c2sp.org/tlog-witness"
    )


class SignatureRefused(WitnessError):
    """No known key of the log signed the checkpoint, or a signature of one does not verify."""

    code = "witness-signature-refused"
    kind = Kind.UNVERIFIED
    status = HTTPStatus.FORBIDDEN


class OriginUnknown(WitnessError):
    """This witness does not follow that log."""

    code = "witness-origin-unknown"
    kind = Kind.NOT_FOUND
    status = HTTPStatus.NOT_FOUND
    advice = (
        "give the log's verifier key to the witness's operator: `cadastre witness follow` adds it"
    )


class SizeConflict(WitnessError):
    """The old size is not the one this witness last cosigned; `size` is."""

    code = "witness-size-conflict"
    kind = Kind.CONFLICT
    status = HTTPStatus.CONFLICT

    def __init__(self, origin: str, size: int) -> None:
        super().__init__(
            f"this witness last cosigned {size} entries of {origin}",
            remedy=f"send the consistency proof from {size}",
        )
        self.size = size


class Inconsistent(WitnessError):
    """The checkpoint does not continue the one this witness cosigned: a split view."""

    code = "witness-inconsistent"
    kind = Kind.UNVERIFIED
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class ClockRefused(WitnessError):
    """The wall clock is before the last cosignature: this witness would lie about time."""

    code = "witness-clock-went-back"
    kind = Kind.UNAVAILABLE
    retryable = True
    status = HTTPStatus.SERVICE_UNAVAILABLE


class MemoryRefused(WitnessError):
    """The witness's memory is missing, in use, damaged or not its own: it cosigns nothing."""

    code = "witness-memory-refused"
    kind = Kind.UNVERIFIED
    status = HTTPStatus.INTERNAL_SERVER_ERROR
