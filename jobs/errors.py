"""What the bundle format refuses."""

from __future__ import annotations

from trust.problem import Kind, Problem


class JobsError(Problem):
    """Root of this package's refusals."""

    code = "jobs"
    kind = Kind.INVALID


class ManifestRefused(JobsError):
    """A bundle.toml that says something wrong, or too little; one line per mistake."""

    code = "manifest-refused"


class ParametersRefused(JobsError):
    """Parameter values that are unknown, missing or out of their voted bounds."""

    code = "parameters-refused"
    advice = "give one JSON object of values within the bounds that `cadastre bundle show` prints"


class ArchiveRefused(JobsError):
    """Bytes that are not one canonical bundle, or a folder that cannot become one."""

    code = "archive-refused"
    advice = (
        "keep the folder within the limits of docs/authors.md and pack it anew with `cadastre "
        "bundle sign`"
    )


class BundleUnverified(JobsError):
    """A bundle whose bytes, manifest or author signature do not agree."""

    code = "bundle-unverified"
    kind = Kind.UNVERIFIED


class BundleMissing(JobsError):
    """No bundle lies where the command looked."""

    code = "bundle-missing"
    kind = Kind.NOT_FOUND


class AggregateRefused(JobsError):
    """Values that do not have the layout that the release rules fix."""

    code = "aggregate-refused"


class ReportRefused(JobsError):
    """Report arrays that do not have the layout that the manifest declares."""

    code = "report-refused"
    advice = (
        "let `conclude` return exactly the arrays that [report] declares: `cadastre bundle "
        "try` checks it"
    )


class NoModel(JobsError):
    """A bundle that carries no state from round to round: its release is a report alone."""

    code = "no-model"
    kind = Kind.NOT_FOUND
    advice = "`cadastre model list` lists the models; `cadastre campaign report` prints a report"


class LineageBroken(JobsError):
    """A round of a released model that is not what the documents around it name."""

    code = "lineage-broken"
    kind = Kind.UNVERIFIED
    advice = (
        "do not use the model; show it to an auditor: `cadastre audit verify` finds where the "
        "records part"
    )
