"""What can go wrong before a call leaves this terminal, or with what comes back."""

from __future__ import annotations

from trust.problem import Kind, Problem


class ClientError(Problem):
    """Root of this package's refusals."""

    code = "client"


class IdentityMissing(ClientError):
    """The folder holds no identity, or a damaged one."""

    code = "identity-missing"
    kind = Kind.NOT_FOUND


class InputRefused(ClientError):
    """A file or an option that cannot be used as it is."""

    code = "input-refused"
    kind = Kind.INVALID


class CampaignEnded(ClientError):
    """The campaign ended without a release."""

    code = "campaign-ended"
    kind = Kind.REFUSED


class ModelNotReady(ClientError):
    """The campaign goes on: its model is not released yet."""

    code = "model-not-ready"
    kind = Kind.UNAVAILABLE


class ModelUnverified(ClientError):
    """Something that a model comes from is not what signed documents name."""

    code = "model-unverified"
    kind = Kind.UNVERIFIED
    advice = (
        "ask again; if it stays so, use nothing of it and show an auditor what `cadastre log "
        "evidence` fetches"
    )


class ConsentsRefused(ClientError):
    """Some consents of a submission were refused; the others stand."""

    code = "consents-refused"
    kind = Kind.REFUSED
    advice = (
        "correct what the registry names, then run `cadastre consent submit` again: what it "
        "has stays"
    )
