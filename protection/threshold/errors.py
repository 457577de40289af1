"""What threshold decryption refuses."""

from __future__ import annotations

from protection.errors import ProtectionError
from trust.problem import Kind


class ThresholdError(ProtectionError):
    """Root of this package's refusals: an index, shape or set that the protocol doesn't know."""

    code = "threshold"


class PublicDataOnly(ThresholdError):
    """Personal or company data asked for under the experimental protection."""

    code = "threshold-public-data-only"
    kind = Kind.REFUSED


class ShareRefused(ThresholdError):
    """A public key share that is missing, repeated, out of range or not the committed one."""

    code = "threshold-share-refused"
    kind = Kind.UNVERIFIED


class DealingRefused(ThresholdError):
    """A dealt key share that is missing, repeated or out of range."""

    code = "threshold-dealing-refused"


class PartialRefused(ThresholdError):
    """A partial decryption that is missing, repeated, out of range or made for another set."""

    code = "threshold-partial-refused"


class DecryptionRepeated(ThresholdError):
    """The same aggregate asked again with the same set: fresh noise would average out."""

    code = "threshold-decryption-repeated"
    kind = Kind.CONFLICT


class DecryptionsExhausted(ThresholdError):
    """More decryptions under one key epoch than the flooding was computed for."""

    code = "threshold-decryptions-exhausted"
    kind = Kind.EXHAUSTED


class ContextMalformed(ThresholdError):
    """Bytes that are not a TenSEAL context that a public key could be put into."""

    code = "threshold-context-malformed"


class TrusteesDisagree(ThresholdError):
    """Openings of one aggregate differ, and no single trustee explains it."""

    code = "threshold-trustees-disagree"
    kind = Kind.UNVERIFIED
