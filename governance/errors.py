"""What the cooperative's programs refuse."""

from __future__ import annotations

from trust.problem import Kind, Problem


class GovernanceError(Problem):
    """Root of this package's refusals."""

    code = "governance"
    kind = Kind.INVALID


class DraftRefused(GovernanceError):
    """A file that is not a draft of the expected document, or that this key can't sign."""

    code = "draft-refused"
    advice = (
        "write it anew with `cadastre root draft` or `cadastre authorisation draft`, and sign "
        "that file unchanged"
    )


class CeremonyRefused(GovernanceError):
    """Keys, thresholds or addresses from which no sound territory root can be made."""

    code = "ceremony-refused"
    advice = "give the offer.json exactly as `cadastre scheduler init` wrote it"


class VoteRefused(GovernanceError):
    """An authorisation or suspension that does not make sense as a decision."""

    code = "vote-refused"


class RootMissing(GovernanceError):
    """A server's folder that holds no territory root yet."""

    code = "root-missing"
    kind = Kind.CONFLICT


class StateRefused(GovernanceError):
    """The status server's folder is missing, foreign, or written by another release."""

    code = "status-state-refused"
    kind = Kind.CONFLICT


class StatusTooLarge(GovernanceError):
    """The status no longer fits an envelope."""

    code = "status-too-large"
    kind = Kind.EXHAUSTED


class ConsentRefused(GovernanceError):
    """A consent that the registry does not take; subclasses give the reason code."""

    code = "consent-refused"
    kind = Kind.REFUSED


class ConsentStale(ConsentRefused):
    """A serial that is not above the one already known."""

    code = "consent-stale-serial"
    kind = Kind.CONFLICT
    advice = (
        "sign it again with `cadastre consent grant` or `cadastre consent revoke` in the "
        "directory used last"
    )


class ConsentMalformed(ConsentRefused):
    """A consent whose serial or target no registry could hold."""

    code = "consent-malformed"
    kind = Kind.INVALID
    advice = (
        "sign it anew with `cadastre consent grant`, which keeps serial and target in their bounds"
    )


class ConsentForeign(ConsentRefused):
    """A consent for another territory."""

    code = "consent-other-territory"
    advice = "hand it in to the territory that it names, or sign one for this territory"


class ConsentOwnerChanged(ConsentRefused):
    """A consent signed by another key than the one that first spoke for the capsule."""

    code = "consent-owner-changed"
    kind = Kind.UNVERIFIED
    advice = (
        "sign with the key that first spoke for this capsule, or seal the data as a new capsule"
    )


class ConsentOutOfTime(ConsentRefused):
    """A consent that is dated in the future, has expired or lasts too long."""

    code = "consent-out-of-time"
    advice = (
        "check this machine's clock, then sign a new consent of a permitted length with "
        "`cadastre consent grant`"
    )


class RegistryFull(ConsentRefused):
    """The registry holds as many consents as it was built for."""

    code = "registry-full"
    kind = Kind.EXHAUSTED
    advice = (
        "tell the cooperative; until there is room, a revocation still acts through the scheduler"
    )


class OwnerBudgetExceeded(ConsentRefused):
    """A grant to one host more than an owner's lifetime budget allows."""

    code = "owner-budget-exceeded"
    kind = Kind.EXHAUSTED
    advice = (
        "grant it to one of the hosts that you chose before; `cadastre budget show FOLDER` counts"
    )


class CheckpointRefused(GovernanceError):
    """A ledger checkpoint that the registry does not take; subclasses give the reason code."""

    code = "checkpoint-refused"
    kind = Kind.REFUSED


class CheckpointForeign(CheckpointRefused):
    """A checkpoint for another territory, or signed by another node than it speaks of."""

    code = "checkpoint-foreign"
    kind = Kind.UNVERIFIED
    advice = "check that the worker's territory root names this registry's own status address"


class CheckpointMalformed(CheckpointRefused):
    """A checkpoint whose counter, nonce or size no ledger could have."""

    code = "checkpoint-malformed"
    kind = Kind.INVALID
    advice = "run the worker's own release; it posts checkpoints in the right form"


class CheckpointUnexpected(CheckpointRefused):
    """A checkpoint of a worker that no owner chose as a host."""

    code = "checkpoint-unexpected"
    advice = "hand the owners' consents in to the registry first: `cadastre consent submit`"


class BodyRefused(GovernanceError):
    """A request body over its limit, too slow or not of the expected form."""

    code = "body-refused"
    advice = "send it again in smaller batches, each in one piece"


class ServerBusy(GovernanceError):
    """So many strangers send bodies at once that this one is asked to come back."""

    code = "server-busy"
    kind = Kind.UNAVAILABLE
    retryable = True
