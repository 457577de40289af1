"""What the broker refuses or fails at; the agent reports the same codes."""

from __future__ import annotations

from capsule_runtime.errors import CapsuleError
from trust.problem import Kind


class BrokerError(CapsuleError):
    """Root of the broker's own refusals."""

    code = "broker"


class MessageRefused(BrokerError):
    """A packet between agent and broker that is none: one of the two is not what it should be."""

    code = "broker-message-refused"
    kind = Kind.INTERNAL
    advice = (
        "install one release of Cadastre whole, then restart the agent: it and its broker "
        "must be of one version"
    )


class BrokerLost(BrokerError):
    """The broker or its sandbox died; it starts again with back-off, nothing is charged twice."""

    code = "broker-lost"
    kind = Kind.UNAVAILABLE
    retryable = True


class RunCancelled(BrokerError):
    """The scheduler or the keeper stopped the unit before its sum left the broker."""

    code = "run-cancelled"


class ConsentWithdrawn(BrokerError):
    """An owner of the cohort withdrew while the unit ran; it starts again without that capsule."""

    code = "consent-withdrawn"
    retryable = True


class NobodyEligible(BrokerError):
    """No capsule here has the tables, a live consent and a live grant for this bundle."""

    code = "nobody-eligible"


class NotConcluded(BrokerError):
    """`conclude` failed, was killed, or returned values that are not finite."""

    code = "conclude-failed"


class BundleUnfit(BrokerError):
    """A bundle that this broker cannot run: another runtime, profile or library."""

    code = "bundle-unfit"


class JournalMissing(BrokerError):
    """The ledger has charged owners, and the journal that must know of it knows nothing."""

    code = "journal-missing"


class SealingUnfit(BrokerError):
    """A helper's key is missing where the protection needs one, or came where it has none."""

    code = "sealing-unfit"
