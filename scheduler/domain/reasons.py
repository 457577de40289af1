"""Why something waits, was refused or ended: one stable code, one sentence for a person.

The codes are the same on worker, scheduler and command line. A sentence names counts, never a
person; its holes are filled by `sentence`.
"""

from __future__ import annotations

import enum
import re

# What a worker says about its own attempt is quoted up to this length.
MAXIMUM_QUOTE = 200
_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_CODE_LETTERS = 64


class Reason(enum.StrEnum):
    """Every reason code that the scheduler gives."""

    NONE = ""
    WAITING_FOR_CONSENTS = "waiting-for-consents"
    WAITING_FOR_WORKERS = "waiting-for-workers"
    WAITING_FOR_OPERATORS = "waiting-for-operators"
    WAITING_FOR_LOG = "waiting-for-log"
    WAITING_FOR_WITNESSES = "waiting-for-witnesses"
    WAITING_FOR_PARTIALS = "waiting-for-partials"
    WAITING_FOR_CONCLUDER = "waiting-for-concluder"
    WAITING_FOR_HELPER = "waiting-for-helper"
    WAITING_FOR_KEYHOLDER = "waiting-for-keyholder"
    WAITING_FOR_CEREMONY = "waiting-for-ceremony"
    WAITING_FOR_TRUSTEES = "waiting-for-trustees"
    WAITING_FOR_REPAIR = "waiting-for-repair"
    WAITING_FOR_BACK_OFF = "waiting-for-back-off"
    WAITING_FOR_SLOT = "waiting-for-slot"
    WAITING_FOR_REQUEST = "waiting-for-request"
    WORKER_QUOTA = "worker-quota"
    WORKER_DRAINING = "worker-draining"
    WORKER_DRAINED = "worker-drained"
    WORKER_LOST = "worker-lost"
    WORKER_NEVER_SEEN = "worker-never-seen"
    WORKER_NOT_READY = "worker-not-ready"
    WORKER_BANNED = "worker-banned"
    WORKER_DOES_NOT_CONTRIBUTE = "worker-does-not-contribute"
    SANDBOX_LEVEL = "sandbox-level"
    IMAGE_NOT_PERMITTED = "image-not-permitted"
    LIBRARY_MISSING = "library-missing"
    BELOW_MINIMUM = "below-minimum"
    NOTHING_TO_DO = "nothing-to-do"
    STALE_TOKEN = "stale-token"  # noqa: S105 - a reason code, not a secret
    UNKNOWN_ATTEMPT = "unknown-attempt"
    ALREADY_REPORTED = "already-reported"
    LEASE_EXPIRED = "lease-expired"
    LEASE_LOST = "lease-lost"
    ATTEMPT_FAILED = "attempt-failed"
    ATTEMPT_REFUSED = "attempt-refused"
    ATTEMPTS_EXHAUSTED = "attempts-exhausted"
    STATEMENT_REFUSED = "statement-refused"
    VALUES_MISSING = "values-missing"
    VALUES_REFUSED = "values-refused"
    ABOVE_CONSENTS = "above-consents"
    ABOVE_REGISTRY = "above-registry"
    ROUND_CLOSED = "round-closed"
    QUORUM_MISSED = "quorum-missed"
    MINIMUM_MISSED = "minimum-missed"
    SUM_OVERFLOW = "sum-overflow"
    CAMPAIGN_CANCELLED = "campaign-cancelled"
    AUTHORISATION_SUSPENDED = "authorisation-suspended"
    AUTHORISATION_EXPIRED = "authorisation-expired"
    KEYS_EXPIRED = "keys-expired"
    NEVER_PLANNED = "never-planned"
    LEFT_OUT = "left-out"
    NOT_DRAWN = "not-drawn"
    HELPER_REFUSED = "helper-refused"
    HELPER_UNREACHABLE = "helper-unreachable"
    KEYHOLDER_REFUSED = "keyholder-refused"
    KEYHOLDER_UNREACHABLE = "keyholder-unreachable"
    TRUSTEES_ABSENT = "trustees-absent"
    WITNESSES_ABSENT = "witnesses-absent"
    NEVER_REPAIRED = "never-repaired"
    BATCH_UNFIT = "batch-unfit"
    CONCLUSION_FAILED = "conclusion-failed"
    REPORT_REFUSED = "report-refused"


_SENTENCES: dict[Reason, str] = {
    Reason.NONE: "",
    Reason.WAITING_FOR_CONSENTS: "waiting for consents: {missing} missing",
    Reason.WAITING_FOR_WORKERS: "waiting for workers: {have} of {need} can contribute ({why})",
    Reason.WAITING_FOR_OPERATORS: "waiting for operators: {have} of {need} distinct ones",
    Reason.WAITING_FOR_LOG: "waiting until the plan stands in the log",
    Reason.WAITING_FOR_WITNESSES: "waiting since {since} until witnesses have cosigned the log",
    Reason.WAITING_FOR_PARTIALS: "waiting for partials: {have} of {need} arrived",
    Reason.WAITING_FOR_CONCLUDER: "waiting for a worker whose token was made with --concludes",
    Reason.WAITING_FOR_HELPER: "waiting for the helper since {since}; last answer: {what}",
    Reason.WAITING_FOR_KEYHOLDER: "waiting for the keyholder since {since}; last answer: {what}",
    Reason.WAITING_FOR_CEREMONY: "waiting for the key ceremony since {since}; last answer: {what}",
    Reason.WAITING_FOR_TRUSTEES: "waiting for trustees since {since}; last answer: {what}",
    Reason.WAITING_FOR_REPAIR: "waiting until the operator has mended this: {what}",
    Reason.WAITING_FOR_BACK_OFF: "the next attempt starts in {seconds} s",
    Reason.WAITING_FOR_SLOT: "the worker has no free slot",
    Reason.WAITING_FOR_REQUEST: "waits until its worker asks for work",
    Reason.WORKER_QUOTA: "the worker used its {quota} attempts of today",
    Reason.WORKER_DRAINING: "the worker's keeper asked it to take nothing new",
    Reason.WORKER_DRAINED: "an operator lets the worker take nothing new",
    Reason.WORKER_LOST: "the worker has not been heard of for {seconds} s",
    Reason.WORKER_NEVER_SEEN: "the worker has never been heard of",
    Reason.WORKER_NOT_READY: "the worker was not ready: {what}",
    Reason.WORKER_BANNED: "the worker was excluded",
    Reason.WORKER_DOES_NOT_CONTRIBUTE: "the worker hosts no capsules",
    Reason.SANDBOX_LEVEL: "the worker's sandbox has level {level}; L2 is the least",
    Reason.IMAGE_NOT_PERMITTED: "the authorisation does not permit the worker's runtime image",
    Reason.LIBRARY_MISSING: "no worker with {library}",
    Reason.BELOW_MINIMUM: "{have} live consents on the worker, the rules ask for {need}",
    Reason.NOTHING_TO_DO: "no work unit waits for this worker",
    Reason.STALE_TOKEN: "the fencing token is not the one of the live lease",
    Reason.UNKNOWN_ATTEMPT: "the scheduler knows no such attempt of this worker",
    Reason.ALREADY_REPORTED: "the attempt was reported before with another statement",
    Reason.LEASE_EXPIRED: "the lease ran out before a report arrived",
    Reason.LEASE_LOST: "the worker no longer holds the lease",
    Reason.ATTEMPT_FAILED: "the attempt failed on the worker: {what}",
    Reason.ATTEMPT_REFUSED: "the worker refused: {what}",
    Reason.ATTEMPTS_EXHAUSTED: "{used} attempts ended without an accepted report; the last: {what}",
    Reason.STATEMENT_REFUSED: "the statement does not match its order: {what}",
    Reason.VALUES_MISSING: "the values that the statement names were not put as a blob",
    Reason.VALUES_REFUSED: "the values do not have the voted layout: {what}",
    Reason.ABOVE_CONSENTS: "{claimed} claimed, {known} consents are known for the worker",
    Reason.ABOVE_REGISTRY: "{claimed} claimed, the registry knows {known} live consents",
    Reason.ROUND_CLOSED: "the round closed before the report arrived",
    Reason.QUORUM_MISSED: "{have} partials arrived by the deadline, the quorum is {need}",
    Reason.MINIMUM_MISSED: "the batch has {have} {what}, the rules ask for {need}",
    Reason.SUM_OVERFLOW: "the sum of the partials leaves 64 bits in {output}",
    Reason.CAMPAIGN_CANCELLED: "cancelled by an operator: {what}",
    Reason.AUTHORISATION_SUSPENDED: "the college suspended the authorisation: {what}",
    Reason.AUTHORISATION_EXPIRED: "the authorisation ended before the campaign did",
    Reason.KEYS_EXPIRED: "the campaign's keys end before another round could be opened",
    Reason.NEVER_PLANNED: "no round could be planned in time; the last obstacle: {what}",
    Reason.NOT_DRAWN: "this round asks a share of the workers, and drew others",
    Reason.LEFT_OUT: "the {who} left this worker's report out of the batch ({code})",
    Reason.HELPER_REFUSED: "the helper refused ({code}): {what}",
    Reason.HELPER_UNREACHABLE: "the helper was not reached in time; the last: {what}",
    Reason.KEYHOLDER_REFUSED: "the keyholder refused ({code}): {what}",
    Reason.KEYHOLDER_UNREACHABLE: "the keyholder was not reached in time; the last: {what}",
    Reason.TRUSTEES_ABSENT: "too few trustees gave their share in time; the last: {what}",
    Reason.WITNESSES_ABSENT: "the log was not witnessed in time; the last: {what}",
    Reason.NEVER_REPAIRED: "what the campaign rests on was not mended in time; the last: {what}",
    Reason.BATCH_UNFIT: "the batch cannot be opened: {what}",
    Reason.CONCLUSION_FAILED: "the aggregate could not be concluded: {what}",
    Reason.REPORT_REFUSED: "the conclusion cannot be turned into a report: {what}",
}


def sentence(reason: Reason, **details: object) -> str:
    """The sentence of `reason` with its holes filled. A missing detail reads "?"."""
    return _SENTENCES[reason].format_map(_Holes({k: quote(str(v)) for k, v in details.items()}))


def template(reason: Reason) -> str:
    """The sentence of `reason` with its holes open, as `{name}`."""
    return _SENTENCES[reason]


def own_code(code: str, otherwise: Reason) -> str:
    """Another institution's own code for its refusal, where it looks like one."""
    return code if len(code) <= _CODE_LETTERS and _CODE.fullmatch(code) else otherwise.value


def quote(text: str) -> str:
    """Foreign text made harmless for a log line or a terminal: printable, short."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAXIMUM_QUOTE]


class _Holes(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"
