"""What the numeric layer refuses."""

from __future__ import annotations

from trust.problem import Kind, Problem


class ProtectionError(Problem):
    """Root of this package's refusals."""

    code = "protection"
    kind = Kind.INVALID


class ColumnsMalformed(ProtectionError):
    """Bytes that are not one canonical set of tables in the column format."""

    code = "columns-malformed"
    advice = (
        "write the tables anew with this release of Cadastre: these bytes were cut, altered "
        "or made otherwise"
    )


class QuantiseRefused(ProtectionError):
    """A value that is not finite, or that no whole number of steps can hold exactly."""

    code = "quantise-refused"
    advice = "let the bundle return int64 or float64 values that are finite and below 2^53 steps"


class RuleRefused(ProtectionError):
    """A release rule whose numbers cannot be enforced (ring, norm, noise)."""

    code = "release-rule-refused"


class NoiselessRefused(RuleRefused):
    """A release without noise over data that is not public."""

    code = "noiseless-refused"
    kind = Kind.REFUSED


class RingOverflow(ProtectionError):
    """A sum that would leave the 64-bit ring: a cohort over what the rule was admitted for."""

    code = "ring-overflow"
    kind = Kind.EXHAUSTED


class CohortTooSmall(ProtectionError):
    """Fewer privacy units, capsules, workers or operators than the release rule's minimum."""

    code = "cohort-too-small"
    kind = Kind.REFUSED
