"""Why something may not run here and now; each code is the same on worker, scheduler and CLI."""

from __future__ import annotations

from trust.errors import Refused
from trust.problem import Kind


class RunRefused(Refused):
    """Root of the reasons for which a worker turns an order down."""

    code = "run-refused"


# --- the territory's own standing ---


class RootExpired(RunRefused):
    """The territory root that everything else rests on is out of date."""

    code = "root-expired"


# --- orders ---


class OrderForged(RunRefused):
    """The order batch is not signed by the territory's order key, or is not an order batch."""

    code = "order-forged"
    kind = Kind.UNVERIFIED


class OrderMisdirected(RunRefused):
    """The order batch is for another worker or another territory."""

    code = "order-misdirected"


class OrderReplayed(RunRefused):
    """The order batch answers another exchange than the one just made."""

    code = "order-replayed"


class OrderUnknown(RunRefused):
    """The order is not in the signed batch that is said to hold it."""

    code = "order-unknown"
    kind = Kind.UNVERIFIED


class LeaseExpired(RunRefused):
    """The lease ran out by the worker's own boot clock."""

    code = "lease-expired"


# --- plans ---


class PlanForged(RunRefused):
    """The plan is not signed by the territory's order key, or is not a plan."""

    code = "plan-forged"
    kind = Kind.UNVERIFIED


class PlanMismatch(RunRefused):
    """The order names another plan, campaign, round, bundle or authorisation than the plan."""

    code = "plan-mismatch"


class PlanExpired(RunRefused):
    """The round's deadline has passed."""

    code = "plan-expired"


class TwoPlans(RunRefused):
    """A second, different plan or parameter blob for one round of one campaign."""

    code = "two-plans"


class ParametersAltered(RunRefused):
    """The parameter bytes are not the ones that the plan names."""

    code = "parameters-altered"
    kind = Kind.UNVERIFIED


# --- bundles ---


class BundleAltered(RunRefused):
    """The bundle bytes are not the ones that the order names."""

    code = "bundle-altered"
    kind = Kind.UNVERIFIED


class BundleUnsigned(RunRefused):
    """No author vouches for exactly this bundle and manifest."""

    code = "bundle-unsigned"
    kind = Kind.UNVERIFIED


# --- authorisations ---


class AuthorisationForged(RunRefused):
    """Too few distinct college keys signed the authorisation, or it is none."""

    code = "authorisation-forged"
    kind = Kind.UNVERIFIED


class AuthorisationMismatch(RunRefused):
    """The authorisation is for another bundle, territory or manifest, or is not the one ordered."""

    code = "authorisation-mismatch"


class AuthorisationNotYet(RunRefused):
    """The authorisation's window has not begun."""

    code = "authorisation-not-yet"


class AuthorisationExpired(RunRefused):
    """The authorisation's window is over."""

    code = "authorisation-expired"


class RulesDiffer(RunRefused):
    """The bundle's release rules are not the ones that were voted."""

    code = "rules-mismatch"


class TablesExceeded(RunRefused):
    """The bundle reads a table or a column that was not voted."""

    code = "tables-exceeded"


class ParametersRefused(RunRefused):
    """A parameter is unknown, missing, of the wrong type, or outside its voted bounds."""

    code = "parameters-refused"


class RoundOutOfRange(RunRefused):
    """The round is not one of those that the bundle was voted with."""

    code = "round-out-of-range"


class CampaignsExhausted(RunRefused):
    """This worker served as many campaigns under the authorisation as the college voted."""

    code = "campaigns-exhausted"


class BudgetExceeded(RunRefused):
    """The round would cost a privacy unit more than the authorisation's whole budget."""

    code = "authorisation-budget-exceeded"


class ImageNotPermitted(RunRefused):
    """This worker's runtime image is not among the voted ones."""

    code = "image-not-permitted"


# --- the second aggregator ---


class HelperKeyMissing(RunRefused):
    """The voted protection needs a helper and the order names none, or the other way round."""

    code = "helper-key-missing"


class HelperKeyForged(RunRefused):
    """The helper's key is not signed by the territory's helper, or is none."""

    code = "helper-key-forged"
    kind = Kind.UNVERIFIED


class HelperKeyMismatch(RunRefused):
    """The helper's key was made for another campaign, bundle or vote."""

    code = "helper-key-mismatch"


class HelperKeyExpired(RunRefused):
    """The helper has destroyed the key by now, so nobody could open the share."""

    code = "helper-key-expired"


# --- the key of an encrypted campaign ---


class EpochKeyMissing(RunRefused):
    """Encrypted sums need a key epoch and the order names none, or the other way round."""

    code = "epoch-key-missing"


class EpochKeyForged(RunRefused):
    """The epoch's key is not signed by the territory's keyholder, or is none."""

    code = "epoch-key-forged"
    kind = Kind.UNVERIFIED


class EpochKeyMismatch(RunRefused):
    """The epoch's key is another campaign's, bundle's or vote's, or not the bytes at hand."""

    code = "epoch-key-mismatch"


class EpochKeyExpired(RunRefused):
    """The keyholder has retired the epoch by now, so nobody could open the sum."""

    code = "epoch-key-expired"


# --- governance's status ---


class StatusForged(RunRefused):
    """The status is not signed by the territory's status key, or is not a status."""

    code = "status-forged"
    kind = Kind.UNVERIFIED


class StatusStale(RunRefused):
    """No governance status of the last 24 hours is at hand."""

    code = "status-stale"
    retryable = True


class StatusReplayed(RunRefused):
    """A status with a lower number than one seen before."""

    code = "status-replayed"


class StatusEarly(RunRefused):
    """Governance signed its status in this machine's future: the clock here is wrong."""

    code = "status-early"
    retryable = True


class AuthorisationSuspended(RunRefused):
    """The college suspended the authorisation."""

    code = "authorisation-suspended"


# --- the log ---


class InclusionUnproven(RunRefused):
    """The authorisation or the plan is not proven to be in the witnessed log."""

    code = "inclusion-unproven"
    kind = Kind.UNVERIFIED
