"""Everything that the scheduler can refuse; edges map `kind`, people read code and remedy."""

from __future__ import annotations

import enum

from trust.problem import Kind, Problem


class SchedulerError(Problem):
    """Root of this package's refusals."""

    code = "scheduler"


class InputRefused(SchedulerError):
    """A request that is malformed, too large or out of its bounds."""

    code = "input-refused"
    kind = Kind.INVALID
    advice = "correct the value that the sentence names and send the request again"


class Unknown(SchedulerError):
    """Nothing is known under this name."""

    code = "unknown"
    kind = Kind.NOT_FOUND
    advice = "look the name up with the noun's `list` verb, as in `cadastre campaign list`"


class Ambiguous(SchedulerError):
    """A prefix that fits several names."""

    code = "ambiguous-prefix"
    kind = Kind.INVALID
    advice = "type more of the name, or all of it as the noun's `list` verb prints it"


class TokenRefused(SchedulerError):
    """An enrolment token that is unknown, used or expired."""

    code = "token-refused"
    kind = Kind.REFUSED


class ProofRefused(SchedulerError):
    """An enrolment proof that does not belong to its token, key or request."""

    code = "enrolment-proof-refused"
    kind = Kind.UNVERIFIED
    advice = (
        "ask for a new token for this operator and site (`cadastre scheduler token`) and join "
        "with it"
    )


class NotEnrolled(SchedulerError):
    """The caller's certificate names somebody who is not, or no longer, a member."""

    code = "not-enrolled"
    kind = Kind.REFUSED


class WrongTerritory(SchedulerError):
    """A signed document that was made for another territory."""

    code = "wrong-territory"
    kind = Kind.REFUSED


class NotYours(SchedulerError):
    """A signed document that names somebody else than the caller."""

    code = "not-yours"
    kind = Kind.REFUSED


class MessageExpired(SchedulerError):
    """A message that was signed too long ago."""

    code = "message-expired"
    kind = Kind.REFUSED


class MessageEarly(SchedulerError):
    """A message from the future: one of the two clocks is wrong."""

    code = "message-early"
    kind = Kind.REFUSED


class IdentityShared(SchedulerError):
    """Two machines use one worker's identity, or its state was restored from a copy."""

    code = "identity-shared"
    kind = Kind.CONFLICT


class Superseded(SchedulerError):
    """A newer exchange of the same worker overtook this one."""

    code = "exchange-superseded"
    kind = Kind.CONFLICT


class Conflict(SchedulerError):
    """The same name or key is already taken by other content."""

    code = "conflict"
    kind = Kind.CONFLICT
    advice = (
        "see what is known with `cadastre bundle list`, and hand yours in under a name or id "
        "of its own"
    )


class NotAuthorised(SchedulerError):
    """No valid authorisation of the college covers this."""

    code = "not-authorised"
    kind = Kind.REFUSED
    advice = "ask the college for an authorisation that covers it (`cadastre authorisation draft`)"


class AlreadyEnded(SchedulerError):
    """A campaign that is over can neither move nor be cancelled."""

    code = "already-ended"
    kind = Kind.CONFLICT
    advice = "start a new campaign with `cadastre campaign start`"


class ActionRefused(SchedulerError):
    """What an operator wants to do by hand, and the rules or the state of things do not allow.

    `why` says it to pages, which tell it in the reader's language.
    """

    code = "action-refused"
    kind = Kind.CONFLICT
    advice = "look at the newest state: nothing was done, and nothing was logged"

    def __init__(self, why: enum.Enum, sentence: str, *, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.why = why


class TooManyActions(SchedulerError):
    """Somebody, or what stole their session or token, does more by hand than hands do."""

    code = "too-many-actions"
    kind = Kind.EXHAUSTED
    advice = "wait an hour; if it was not you, end your sessions and tokens on the account page"


class NotReleased(SchedulerError):
    """There is no report yet, or there will be none."""

    code = "not-released"
    kind = Kind.UNAVAILABLE


class ArchiveTooLarge(SchedulerError):
    """The evidence up to a campaign is more than one file of the pages may be."""

    code = "archive-too-large"
    kind = Kind.EXHAUSTED
    advice = "copy it file by file instead: cadastre audit fetch URL --out DIR"


class ArchiveBusy(SchedulerError):
    """As many archives as allowed are being read already."""

    code = "archive-busy"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = "ask again in a minute, or copy the evidence with `cadastre audit fetch`"


class NotLogged(SchedulerError):
    """The entry waits for the log or for its witnesses."""

    code = "not-logged"
    kind = Kind.UNAVAILABLE
    retryable = True


class ConsentRefused(SchedulerError):
    """A consent that is not the owner's, is old, or contradicts what is stored."""

    code = "consent-refused"
    kind = Kind.REFUSED
    advice = "let the owner sign it anew with `cadastre consent grant`, then submit that one"


class StatementRefused(SchedulerError):
    """A partial or conclusion that does not match its order."""

    code = "statement-refused"
    kind = Kind.REFUSED
    advice = (
        "compare `cadastre worker image` there with the vote; if it is voted, tell the "
        "worker's operator"
    )


class ValuesMissing(SchedulerError):
    """The blob that a statement names was never put."""

    code = "values-missing"
    kind = Kind.NOT_FOUND
    advice = (
        "let the worker report again, values first; if it stays so, look at its network and "
        "the scheduler's disk"
    )


class ValuesNotDue(SchedulerError):
    """Values that a worker wants to leave without a live lease that still lacks its own."""

    code = "values-not-due"
    kind = Kind.REFUSED


class ValuesRefused(SchedulerError):
    """Values that do not have the voted layout."""

    code = "values-refused"
    kind = Kind.INVALID
    advice = (
        "install the voted release on that worker (`cadastre worker image`): its values do "
        "not fit the rules"
    )


class AboveConsents(SchedulerError):
    """A worker claims more contributors than consents are known for it."""

    code = "above-consents"
    kind = Kind.REFUSED
    advice = (
        "let owners of that worker hand their consents in with `cadastre consent submit`, or "
        "look into the worker"
    )


class AboveRegistry(SchedulerError):
    """A worker claims more contributors than the registry knows."""

    code = "above-registry"
    kind = Kind.REFUSED
    advice = (
        "let owners hand in to the registry too (`cadastre consent submit`), or look into the "
        "worker"
    )


class BlobRefused(SchedulerError):
    """A blob transfer out of order, over its size or not for this caller."""

    code = "blob-refused"
    kind = Kind.INVALID
    advice = "put the blob again from its beginning: its digest first, then its bytes in order"


class QuotaExceeded(SchedulerError):
    """The caller used up what it may store."""

    code = "quota-exceeded"
    kind = Kind.EXHAUSTED


class SchemaRefused(SchedulerError):
    """The database is not one that this program may open."""

    code = "schema-refused"
    kind = Kind.REFUSED


class StoreFailed(SchedulerError):
    """A transaction did not commit; nothing of it is stored, asking again is right."""

    code = "store-failed"
    kind = Kind.UNAVAILABLE
    retryable = True


class StoreFull(StoreFailed):
    """The database's disk is full."""

    code = "disk-full"
    kind = Kind.EXHAUSTED


class ClockBehind(SchedulerError):
    """The machine's clock is behind the last moment that the database has seen."""

    code = "clock-behind"
    kind = Kind.REFUSED


class StateRefused(SchedulerError):
    """A state directory that is missing, incomplete or already in use."""

    code = "state-refused"
    kind = Kind.INVALID
    advice = "install root version 1 first, or restore the scheduler's whole folder from one backup"


class DatabaseRestored(SchedulerError):
    """Database and log are of two moments: one of them was restored from an old copy."""

    code = "database-restored"
    kind = Kind.UNVERIFIED
    advice = (
        "put the newest database and log back, both of one moment; where they are lost, found the "
        "territory anew"
    )


class BackupRefused(SchedulerError):
    """A backup that was not taken, or is not whole, or may not be put back there."""

    code = "backup-refused"
    kind = Kind.REFUSED
    advice = "take another copy of the file, or an older backup"


class BackupOutlived(SchedulerError):
    """The log went on after the backup was taken: put back, it would grow a second history."""

    code = "backup-outlived"
    kind = Kind.UNVERIFIED
    advice = (
        "take a newer backup; where there is none, found the territory anew and keep the old "
        "log's public files"
    )


class HelperUnavailable(SchedulerError):
    """The second aggregator does not answer, or not to the question."""

    code = "helper-unavailable"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = "check that `cadastre helper serve` runs at the address given with --helper"


class HelperDenied(SchedulerError):
    """The second aggregator said no; `envelope` is its signed refusal, not yet verified."""

    code = "helper-refused"
    kind = Kind.REFUSED
    advice = "read the helper's signed refusal, which is in the log, for its reason"

    def __init__(self, envelope: bytes) -> None:
        super().__init__(
            "the helper refused", remedy="its signed refusal, in the log, gives the reason"
        )
        self.envelope = envelope


class KeyholderUnavailable(SchedulerError):
    """The keyholder does not answer, not to the question, or waits for people."""

    code = "keyholder-unavailable"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = "check that `cadastre keyholder serve` runs at the address given with --keyholder"

    def __init__(
        self, sentence: str, *, remedy: str = "", awaits: str = "", **context: str
    ) -> None:
        super().__init__(sentence, remedy=remedy, **context)
        self.awaits = awaits  # the keyholder's own code for what it waits for


class KeyholderDenied(SchedulerError):
    """The keyholder said no; `envelope` is its signed refusal, not yet verified."""

    code = "keyholder-refused"
    kind = Kind.REFUSED
    advice = "read the keyholder's signed refusal, which is in the log, for its reason"

    def __init__(self, envelope: bytes, retired: bytes | None) -> None:
        super().__init__(
            "the keyholder refused", remedy="its signed refusal, in the log, gives the reason"
        )
        self.envelope = envelope
        self.retired = retired  # the notice that goes with it, once the epoch is retired


class BatchUnfit(SchedulerError):
    """A frozen batch that cannot be opened, whatever the helper says."""

    code = "batch-unfit"
    kind = Kind.REFUSED
    advice = "the round gives no release; start the campaign again once its cause is mended"


class PagesRefused(SchedulerError):
    """The pages cannot be served as they were asked for."""

    code = "pages-refused"
    kind = Kind.INVALID
    advice = "correct the --web- option that the sentence names, and start again"


class ExtraMissing(SchedulerError):
    """A form of a download that this installation has no library for."""

    code = "extra-missing"
    kind = Kind.UNAVAILABLE
