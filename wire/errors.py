"""What can go wrong on the wire itself."""

from __future__ import annotations

from trust.problem import Kind, Problem


class WireError(Problem):
    """Root of this package's refusals."""

    code = "wire"


class Unreachable(WireError):
    """Nobody answers at the address, or not in time."""

    code = "unreachable"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = "check the address, the network and that the other program runs; then ask again"


class NotPermitted(WireError):
    """The caller's certificate does not give the role that this call needs."""

    code = "not-permitted"
    kind = Kind.REFUSED


class Denied(WireError):
    """The caller's certificate is on the deny list or unusable."""

    code = "denied"
    kind = Kind.UNVERIFIED


class BadMessage(WireError):
    """A message whose fields are missing, malformed or too many."""

    code = "bad-message"
    kind = Kind.INVALID
    advice = "install the same release of Cadastre on both sides, then ask again"


class BlobAltered(WireError):
    """The other side served other bytes than the digest names: asking again will not help."""

    code = "blob-altered"
    kind = Kind.UNVERIFIED


class TransferBroken(WireError):
    """A blob transfer ended early or took more than it may."""

    code = "transfer-broken"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = "ask again; if it stays so, look at the network between the two machines"


class TokenExpired(WireError):
    """An enrolment token whose hour is over."""

    code = "token-expired"
    kind = Kind.REFUSED
