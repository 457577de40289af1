"""Everything that the trust layer can refuse."""

from __future__ import annotations

from trust.problem import Kind, Problem


class TrustError(Problem):
    """Root of this package's refusals."""

    code = "trust"
    kind = Kind.UNVERIFIED


class Malformed(TrustError):
    """Bytes that do not have the form their type asks for."""

    code = "malformed"
    kind = Kind.INVALID


class TooLarge(Malformed):
    """More bytes than the type's named limit allows."""

    code = "too-large"


class KeyRefused(TrustError):
    """A public key that is not a usable curve point, or text that is no key."""

    code = "key-refused"
    kind = Kind.INVALID


class SignatureInvalid(TrustError):
    """A signature does not verify, or too few distinct keys signed."""

    code = "signature-invalid"


class WrongType(TrustError):
    """A signed envelope carries another type tag than the one expected here."""

    code = "wrong-type"


class RootRefused(TrustError):
    """A territory root that the pinned hash or the previous root does not vouch for."""

    code = "root-refused"


class CertificateRefused(TrustError):
    """An X.509 certificate or request that does not meet the rules of the grid."""

    code = "certificate-refused"


class LogRefused(TrustError):
    """A checkpoint, tile or proof that does not verify under the log policy."""

    code = "log-refused"


class Refused(TrustError):
    """A policy says that this may not run here and now. Subclasses give the reason code."""

    code = "refused"
    kind = Kind.REFUSED
