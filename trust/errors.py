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
    advice = (
        "get it again from whoever made it, byte for byte: a signed file is never edited by hand"
    )


class TooLarge(Malformed):
    """More bytes than the type's named limit allows."""

    code = "too-large"
    advice = (
        "make it smaller, or check that it is the file meant: the limit is the same for everybody"
    )


class KeyRefused(TrustError):
    """A public key that is not a usable curve point, or text that is no key."""

    code = "key-refused"
    kind = Kind.INVALID
    advice = (
        "give the line of the .pub file that `cadastre college key` wrote, whole: ed25519: "
        "and 43 characters"
    )


class SignatureInvalid(TrustError):
    """A signature does not verify, or too few distinct keys signed."""

    code = "signature-invalid"
    advice = "get it again from its signer; if it fails again, somebody altered it: do not use it"


class WrongType(TrustError):
    """A signed envelope carries another type tag than the one expected here."""

    code = "wrong-type"
    advice = "give the document that the command asks for: this signed one is of another kind"


class RootRefused(TrustError):
    """A territory root that the pinned hash or the previous root does not vouch for."""

    code = "root-refused"
    advice = (
        "ask the cooperative for the newest root and compare its digest with the pinned one "
        "on paper"
    )


class CertificateRefused(TrustError):
    """An X.509 certificate or request that does not meet the rules of the grid."""

    code = "certificate-refused"
    advice = "restore the identity's folder from one backup, or join anew with a fresh token"


class LogRefused(TrustError):
    """A checkpoint, tile or proof that does not verify under the log policy."""

    code = "log-refused"
    advice = (
        "fetch the log anew; if it fails again, rely on nothing in it and show both copies to "
        "an auditor"
    )


class Refused(TrustError):
    """A policy says that this may not run here and now. Subclasses give the reason code."""

    code = "refused"
    kind = Kind.REFUSED
