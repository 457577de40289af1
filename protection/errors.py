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


class RingMismatch(ProtectionError):
    """Vectors of different rings, outputs or roles that were about to be added."""

    code = "ring-mismatch"
    advice = "decode every vector under the release rules of its own round"


class ShareMalformed(ProtectionError):
    """Bytes that are not exactly one vector in the rings of the release rules."""

    code = "share-malformed"
    advice = "send the blob again; the worker must run the version that was voted"


class SeedRefused(ProtectionError):
    """A seed that is not 32 bytes, or a helper's key that no seed can be sealed to."""

    code = "seed-refused"
    advice = "draw a fresh seed of 32 bytes for each report"


class SeedUnopenable(ProtectionError):
    """A sealed seed that this key does not open for this report: the report is dropped."""

    code = "seed-unopenable"
    kind = Kind.UNVERIFIED


class SeedRepeated(ProtectionError):
    """Two reports of one batch with the same seed: their difference would be readable."""

    code = "seed-repeated"
    kind = Kind.REFUSED


class SumSpent(ProtectionError):
    """A sum that was already answered: another answer would be another draw of noise."""

    code = "sum-spent"
    kind = Kind.CONFLICT


class SumImplausible(ProtectionError):
    """An opened sum that the claimed contributors and the noise cannot have made."""

    code = "sum-implausible"
    kind = Kind.REFUSED


class BatchRefused(ProtectionError):
    """A list of reports that cannot be one batch."""

    code = "batch-refused"
    kind = Kind.REFUSED
    advice = "leave out the reports that do not belong together, then form the batch again"


class BatchMixed(BatchRefused):
    """Reports of different rounds, bundles, plans or parameters in one batch."""

    code = "batch-mixed"


class ReportRepeated(BatchRefused):
    """One report, worker, share or sealed seed twice in one batch."""

    code = "report-repeated"


class BatchDisagreement(BatchRefused):
    """Leader and helper do not mean the same batch."""

    code = "batch-disagreement"
    kind = Kind.CONFLICT


class BatchMalformed(BatchRefused):
    """Bytes that are not one batch in canonical form."""

    code = "batch-malformed"
    kind = Kind.INVALID
    advice = "take the batch from the territory that published it once more"


class SpreadTooSmall(CohortTooSmall):
    """Fewer workers or operators than the rules ask for stand behind a batch."""

    code = "spread-too-small"
