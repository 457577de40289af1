"""The scheduler's reasons as sentences in both languages.

The messages are those of `scheduler.domain.reasons`, letter by letter (a test compares them): what
is stored is retold here, with its details, in the reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.domain.reasons import Reason
from scheduler.domain.retelling import Retold, retell
from scheduler.web.details import detail, own
from web.sentences import Foreign, Sentence, Value, mark, plural, say

SENTENCES: Mapping[Reason, str] = {
    Reason.WAITING_FOR_CONSENTS: mark("waiting for consents: {missing} missing"),
    Reason.WAITING_FOR_WORKERS: mark(
        "waiting for workers: {have} of {need} can contribute ({why})"
    ),
    Reason.WAITING_FOR_OPERATORS: mark("waiting for operators: {have} of {need} distinct ones"),
    Reason.WAITING_FOR_LOG: mark("waiting until the plan stands in the log"),
    Reason.WAITING_FOR_WITNESSES: mark("waiting until witnesses have cosigned the log"),
    Reason.WAITING_FOR_PARTIALS: mark("waiting for partials: {have} of {need} arrived"),
    Reason.WAITING_FOR_CONCLUDER: mark(
        "waiting for a worker whose token was made with --concludes"
    ),
    Reason.WAITING_FOR_HELPER: mark("waiting for the helper: {what}"),
    Reason.WAITING_FOR_KEYHOLDER: mark("waiting for the keyholder: {what}"),
    Reason.WAITING_FOR_CEREMONY: mark("waiting for the key ceremony: {what}"),
    Reason.WAITING_FOR_TRUSTEES: mark("waiting for trustees: {what}"),
    Reason.WAITING_FOR_REPAIR: mark("waiting until the operator has mended this: {what}"),
    Reason.WAITING_FOR_BACK_OFF: mark("the next attempt starts in {seconds} s"),
    Reason.WAITING_FOR_SLOT: mark("the worker has no free slot"),
    Reason.WORKER_QUOTA: mark("the worker used its {quota} attempts of today"),
    Reason.WORKER_DRAINING: mark("the worker's keeper asked it to take nothing new"),
    Reason.WORKER_DRAINED: mark("an operator lets the worker take nothing new"),
    Reason.WORKER_LOST: mark("the worker has not been heard of for {seconds} s"),
    Reason.WORKER_NOT_READY: mark("the worker was not ready: {what}"),
    Reason.WORKER_BANNED: mark("the worker was excluded"),
    Reason.WORKER_DOES_NOT_CONTRIBUTE: mark("the worker hosts no capsules"),
    Reason.SANDBOX_LEVEL: mark("the worker's sandbox has level {level}; L2 is the least"),
    Reason.IMAGE_NOT_PERMITTED: mark(
        "the authorisation does not permit the worker's runtime image"
    ),
    Reason.LIBRARY_MISSING: mark("no worker with {library}"),
    Reason.BELOW_MINIMUM: mark("{have} live consents on the worker, the rules ask for {need}"),
    Reason.NOTHING_TO_DO: mark("no work unit waits for this worker"),
    Reason.STALE_TOKEN: mark("the fencing token is not the one of the live lease"),
    Reason.UNKNOWN_ATTEMPT: mark("the scheduler knows no such attempt of this worker"),
    Reason.ALREADY_REPORTED: mark("the attempt was reported before with another statement"),
    Reason.LEASE_EXPIRED: mark("the lease ran out before a report arrived"),
    Reason.LEASE_LOST: mark("the worker no longer holds the lease"),
    Reason.ATTEMPT_FAILED: mark("the attempt failed on the worker: {what}"),
    Reason.ATTEMPT_REFUSED: mark("the worker refused: {what}"),
    Reason.ATTEMPTS_EXHAUSTED: mark(
        "{used} attempts ended without an accepted report; the last: {what}"
    ),
    Reason.STATEMENT_REFUSED: mark("the statement does not match its order: {what}"),
    Reason.VALUES_MISSING: mark("the values that the statement names were not put as a blob"),
    Reason.VALUES_REFUSED: mark("the values do not have the voted layout: {what}"),
    Reason.ABOVE_CONSENTS: mark("{claimed} claimed, {known} consents are known for the worker"),
    Reason.ABOVE_REGISTRY: mark("{claimed} claimed, the registry knows {known} live consents"),
    Reason.ROUND_CLOSED: mark("the round closed before the report arrived"),
    Reason.QUORUM_MISSED: mark("{have} partials arrived by the deadline, the quorum is {need}"),
    Reason.MINIMUM_MISSED: mark("the batch has {have} {what}, the rules ask for {need}"),
    Reason.SUM_OVERFLOW: mark("the sum of the partials leaves 64 bits in {output}"),
    Reason.CAMPAIGN_CANCELLED: mark("cancelled by an operator: {what}"),
    Reason.AUTHORISATION_SUSPENDED: mark("the college suspended the authorisation: {what}"),
    Reason.AUTHORISATION_EXPIRED: mark("the authorisation ended before the campaign did"),
    Reason.KEYS_EXPIRED: mark("the campaign's keys end before another round could be opened"),
    Reason.NEVER_PLANNED: mark("no round could be planned in time; the last obstacle: {what}"),
    Reason.NOT_DRAWN: mark("this round asks a share of the workers, and drew others"),
    Reason.LEFT_OUT: mark("the {who} left this worker's report out of the batch ({code})"),
    Reason.HELPER_REFUSED: mark("the helper refused ({code}): {what}"),
    Reason.HELPER_UNREACHABLE: mark("the helper was not reached in time; the last: {what}"),
    Reason.KEYHOLDER_REFUSED: mark("the keyholder refused ({code}): {what}"),
    Reason.KEYHOLDER_UNREACHABLE: mark("the keyholder was not reached in time; the last: {what}"),
    Reason.TRUSTEES_ABSENT: mark("too few trustees gave their share in time; the last: {what}"),
    Reason.WITNESSES_ABSENT: mark("the log was not witnessed in time; the last: {what}"),
    Reason.NEVER_REPAIRED: mark(
        "what the campaign rests on was not mended in time; the last: {what}"
    ),
    Reason.BATCH_UNFIT: mark("the batch cannot be opened: {what}"),
    Reason.CONCLUSION_FAILED: mark("the aggregate could not be concluded: {what}"),
    Reason.REPORT_REFUSED: mark("the conclusion cannot be turned into a report: {what}"),
}


# The batch's crowds, which agree with their number.
_CROWDS: Mapping[str, Sentence] = {
    "operators": plural("{number} operator", "{number} operators", 0),
    "contributors": plural("{number} contributor", "{number} contributors", 0),
    "contributors without those of one operator": plural(
        "{number} contributor without those of one operator",
        "{number} contributors without those of one operator",
        0,
    ),
}
_LEFT_OUT: Mapping[str, str] = {
    "helper": mark("the helper left this worker's report out of the batch ({code})"),
    "keyholder": mark("the keyholder left this worker's report out of the batch ({code})"),
}
# People give these reasons, in whatever language is theirs.
_PEOPLES = frozenset({Reason.CAMPAIGN_CANCELLED, Reason.AUTHORISATION_SUSPENDED})
_QUOTED = frozenset({"what", "why"})


def told(why: str, code: str = "") -> Sentence | None:
    """What a stored reason says; words that are not ours are quoted as foreign. None for "".

    `code` may be another institution's own word for it.
    """
    if not why:
        return None
    found = retell(why, code)
    if found is not None:
        return _said(found)
    return own(why) or say("{text}", text=Foreign(why))


def _said(found: Retold) -> Sentence:
    values = {name: _value(found.reason, name, part) for name, part in found.details.items()}
    match found.details:
        case {"who": str(who), "code": code} if who in _LEFT_OUT:
            return Sentence(_LEFT_OUT[who], {"code": str(code)})
        case {"have": str(have), "what": str(what)} if what in _CROWDS and have.isdecimal():
            one, number = _CROWDS[what], int(have)
            values["what"] = Sentence(one.message, {"number": number}, one.many, number)
            return Sentence(mark("the batch has {what}, the rules ask for {need}"), values)
    return Sentence(SENTENCES[found.reason], values)


def _value(reason: Reason, name: str, part: str | Retold) -> Value:
    if isinstance(part, Retold):
        return _said(part)
    return detail(part) if name in _QUOTED and reason not in _PEOPLES else part
