"""Why an opener says no. The same codes stand in signed refusals, in the log and in the CLI.

A `BatchDenied` refuses a whole campaign or batch and is signed; a report that is left out is
dropped by its code, and the batch goes on without it.
"""

from __future__ import annotations

from governance.errors import GovernanceError
from trust.problem import Kind


class BatchProblem(GovernanceError):
    """Root of these refusals."""

    code = "batch"
    kind = Kind.REFUSED


class HistoryUnreadable(BatchProblem):
    """The log, or an object that it names, cannot be read now: nothing is answered meanwhile."""

    code = "log-unreadable"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = (
        "check --site and that the scheduler answers there; the same question is asked again "
        "by itself"
    )


class StandingUnknown(BatchProblem):
    """No fresh governance status: neither suspensions nor live consents are known."""

    code = "status-stale"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = (
        "check that `cadastre status serve` answers at the root's address; it is asked again "
        "by itself"
    )


class BatchDenied(BatchProblem):
    """A whole campaign or batch is refused for good; signed and logged."""

    code = "batch-denied"


class NotAuthorised(BatchDenied):
    """The college did not authorise this, not for this protection, or no longer."""

    code = "not-authorised"
    advice = (
        "compare the campaign with the college's vote (`cadastre authorisation show`), then "
        "start another"
    )


class Suspended(BatchDenied):
    """The college suspended the authorisation."""

    code = "authorisation-suspended"


class NotLogged(BatchDenied):
    """A document is not proven to be in the witnessed log."""

    code = "not-logged"


class PlanMismatch(BatchDenied):
    """The plan is for another campaign, bundle, vote or key."""

    code = "plan-mismatch"
    advice = "look into the scheduler that signed the plan, then start the campaign again"


class BelowMinimum(BatchDenied):
    """Fewer contributors than voted, or only one operator's contributions reach the minimum."""

    code = "below-minimum"


class AboveMaximum(BatchDenied):
    """More contributors than the rules were admitted for: their sum could leave its ring."""

    code = "above-maximum"


class TooFewOperators(BatchDenied):
    """Fewer workers or operators than voted."""

    code = "too-few-operators"


class BatchDiffers(BatchDenied):
    """Another list of reports than the one that this round was prepared with."""

    code = "batch-differs"
    advice = (
        "the leader asks with the list and documents of its first question, or gives the round up"
    )


class AlreadyOpened(BatchDenied):
    """The round was opened with another batch, here or in the log."""

    code = "already-opened"


class BatchExpired(BatchDenied):
    """The batch comes too long after the consents behind it were counted."""

    code = "batch-expired"
    advice = "start the campaign again: consents are counted anew when its round is prepared"


class EpochElsewhere(BatchDenied):
    """The campaign's key epoch was made in another folder, or in a later state of this one."""

    code = "epoch-elsewhere"


class ReportDropped(BatchProblem):
    """One report is left out; the batch goes on."""

    code = "report-dropped"


class PartialForged(ReportDropped):
    """The partial is not signed by the enrolled worker that it names, or is none."""

    code = "partial-forged"
    advice = "look into that worker's key and journal; its report stays out of the batch"


class WorkerUnknown(ReportDropped):
    """No logged enrolment stands behind the worker's key."""

    code = "worker-unknown"
    advice = "let that worker join again, so that its enrolment is logged before it reports"


class PartialMismatch(ReportDropped):
    """The partial is about another round, or made in another way than voted."""

    code = "partial-mismatch"
    advice = (
        "compare the worker's release and image with the vote; its report stays out of the batch"
    )


class ParametersMixed(ReportDropped):
    """The partial was made with other parameters than the plan's."""

    code = "parameters-mixed"
    advice = "let the worker run the round again with the parameters of its plan"


class AboveRegistry(ReportDropped):
    """The partial claims more capsules than the registry knows live consents on that worker."""

    code = "above-registry"


class ReportRepeated(ReportDropped):
    """A report id, a worker or a seed for the second time."""

    code = "report-repeated"
    advice = "look into that worker's source of randomness; the second report stays out"
