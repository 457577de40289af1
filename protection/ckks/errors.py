"""What the encrypted protection refuses. No sentence ever quotes a decrypted number."""

from __future__ import annotations

from protection.errors import ProtectionError
from trust.problem import Kind


class CkksError(ProtectionError):
    """Root of this package's refusals."""

    code = "ckks"


class ProfileRefused(CkksError):
    """Rules that no ciphertext of the profile can carry: too many cells, too large a sum."""

    code = "ckks-profile-refused"


class ProfileUnknown(CkksError):
    """A profile that this release does not have."""

    code = "ckks-profile-unknown"
    kind = Kind.NOT_FOUND


class PartialMisshapen(CkksError):
    """A partial that lacks an output of its rules, has another, or another shape or type."""

    code = "ckks-partial-misshapen"
    advice = "give exactly the outputs of the voted release rules, as whole steps"


class PartialTooLarge(CkksError):
    """One worker's partial is over what one ciphertext can encode."""

    code = "ckks-partial-too-large"
    kind = Kind.EXHAUSTED


class CiphertextMalformed(CkksError):
    """Bytes that are not one whole ciphertext in the one accepted spelling."""

    code = "ckks-ciphertext-malformed"
    advice = "leave this report out; its worker must run the release that was voted"


class CiphertextForeign(CkksError):
    """A whole ciphertext, of other parameters, scale or shape than the campaign's profile."""

    code = "ckks-ciphertext-foreign"
    kind = Kind.REFUSED
    advice = "leave this report out; its worker encrypts under the profile that the plan names"


class ResidueOutOfRange(CkksError):
    """A coefficient that is not below its prime: never written by an honest worker."""

    code = "ckks-residue-out-of-range"


class BatchTooLarge(CkksError):
    """More ciphertexts in one sum than the error bound speaks of."""

    code = "ckks-batch-too-large"
    kind = Kind.EXHAUSTED


class OpeningImplausible(CkksError):
    """A decryption that no batch of honest ciphertexts under this key can give.

    One refusal for every cause, so that whoever provoked it learns one bit and no more.
    """

    code = "ckks-opening-implausible"
    kind = Kind.REFUSED


class TensealMissing(CkksError):
    """The optional libraries that make, encrypt under and use CKKS keys are not installed."""

    code = "ckks-tenseal-missing"
    kind = Kind.UNAVAILABLE


class KeyMaterialRefused(CkksError):
    """Key bytes that are not what they are used as, or belong to another profile."""

    code = "ckks-key-refused"
    kind = Kind.UNVERIFIED
    advice = "start the campaign again: its next key epoch has a fresh key"


class EncryptionFailed(CkksError):
    """TenSEAL would not encrypt or decrypt; it says no more than that to us either."""

    code = "ckks-encryption-failed"
    kind = Kind.INTERNAL
    advice = "install tenseal 0.3.18 again (extra `encrypted`), then try the unit again"
