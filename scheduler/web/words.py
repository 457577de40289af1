"""States, kinds and causes in words: one status for each, the same on every page."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.views.health import Trouble, TroubleKind
from scheduler.views.lateness import Cause, LateUnit
from trust.log.entry import Kind
from web.cells import Status, Tone
from web.sentences import Sentence, mark, plural, say

CAMPAIGNS: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status("draft", say("being planned"), Tone.WAIT),
        Status("running", say("running"), Tone.BUSY),
        Status("concluding", say("concluding"), Tone.BUSY),
        Status("released", say("released"), Tone.GOOD),
        Status("failed", say("failed"), Tone.BAD),
        Status("cancelled", say("cancelled"), Tone.OFF),
    )
}
ROUNDS: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status("open", say("collecting"), Tone.BUSY),
        Status("preparing", say("being checked"), Tone.BUSY),
        Status("opened", say("opened"), Tone.GOOD),
        Status("aborted", say("aborted"), Tone.BAD),
    )
}
UNITS: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status("waiting", say("waiting"), Tone.WAIT),
        Status("ready", say("ready"), Tone.WAIT),
        Status("leased", say("at work"), Tone.BUSY),
        Status("satisfied", say("done"), Tone.GOOD),
        Status("failed", say("failed"), Tone.BAD),
        Status("cancelled", say("cancelled"), Tone.OFF),
    )
}
ATTEMPTS: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status("leased", say("at work"), Tone.BUSY),
        Status("reported", say("being checked"), Tone.BUSY),
        Status("accepted", say("accepted"), Tone.GOOD),
        Status("rejected", say("rejected"), Tone.BAD),
        Status("expired", say("expired"), Tone.WARN),
        Status("abandoned", say("given back"), Tone.WARN),
        Status("cancelled", say("cancelled"), Tone.OFF),
    )
}
WORKERS: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status("fresh", say("fresh"), Tone.GOOD),
        Status("late", say("late"), Tone.WARN),
        Status("lost", say("lost"), Tone.BAD),
        Status("banned", say("excluded"), Tone.OFF),
    )
}
TAKES: Mapping[str, Status] = {
    one.code: one
    for one in (
        Status("takes", say("takes new work"), Tone.GOOD),
        Status("drained", say("drained by an operator"), Tone.WAIT),
        Status("draining", say("drained by its keeper"), Tone.WAIT),
        Status("nothing", say("takes none"), Tone.OFF),
    )
}
PROOFS: Mapping[bool, Status] = {
    True: Status("proven", say("proven"), Tone.GOOD),
    False: Status("unwitnessed", say("waits for witnesses"), Tone.WAIT),
}
UNIT_KINDS: Mapping[str, Sentence] = {
    "contribute": say("contributes"),
    "conclude": say("concludes"),
}
DUTIES: Mapping[str, str] = {
    "root": mark("root of the territory"),
    "college": mark("college"),
    "status": mark("governance's status"),
    "orders": mark("scheduler"),
    "registry": mark("registry of consents"),
    "helper": mark("helper"),
    "keyholder": mark("keyholder"),
    "trustee": mark("trustee"),
    "graph": mark("authority of the graph"),
}
ENTRIES: Mapping[str, str] = {
    Kind.ROOT: mark("territory root"),
    Kind.AUTHORISATION: mark("authorisation"),
    Kind.SUSPENSION: mark("suspension"),
    Kind.PLAN: mark("plan of a round"),
    Kind.ORDERS: mark("commitment to orders or reports"),
    Kind.OPENING: mark("opening of a round"),
    Kind.RELEASE: mark("release"),
    Kind.CONSENTS: mark("commitment to consents"),
    Kind.ENROLMENT: mark("enrolment"),
    Kind.KEY_EVENT: mark("exclusion"),
    Kind.HELPER_KEY: mark("helper's campaign key"),
    Kind.KEY_DESTROYED: mark("destroyed key"),
    Kind.BATCH: mark("fixed batch"),
    Kind.SHARE: mark("share of a sum"),
    Kind.REFUSAL: mark("refusal"),
    Kind.TRUSTEE_KEY: mark("trustee's key"),
    Kind.EPOCH_KEY: mark("key epoch"),
    Kind.SHARE_REQUEST: mark("request to the trustees"),
    Kind.TRUSTEE_SHARE: mark("trustee's share"),
    Kind.OPENED: mark("opened aggregate"),
    Kind.EPOCH_RETIRED: mark("retired key epoch"),
    Kind.ACTION: mark("operator's action"),
}


def entry_word(kind: str) -> Sentence:
    """A kind of log entry in words."""
    return Sentence(ENTRIES[kind])


def trouble(one: Trouble) -> tuple[Sentence, Sentence]:
    """What is wrong, and what to do about it."""
    match one.kind:
        case TroubleKind.WITNESS:
            assert one.since is not None
            return (
                say("The witness {who} has not cosigned since {since}: {why}",
                    who=one.who, since=one.since, why=one.why),
                say("Plans and releases wait for it. Start the witness, or call who runs it."),
            )  # fmt: skip
        case TroubleKind.CLOCK:
            return (
                say("This machine's clock leapt ahead and is not believed yet."),
                say("Set the clock right with timedatectl; leases go on by the old time."),
            )
        case TroubleKind.ROOT:
            return (
                say("The territory root has expired."),
                say("Nothing new is accepted. The cooperative signs a new root; install it."),
            )


def late_because(one: LateUnit) -> Sentence:
    """Why a unit counts as late, in one sentence."""
    match one.cause:
        case Cause.DEADLINE:
            assert one.since is not None
            return say("should have ended by {since}", since=one.since)
        case Cause.SILENT if one.since is None:
            return say("its worker has never been heard of")
        case Cause.SILENT:
            assert one.since is not None
            return say("its worker has been silent since {since}", since=one.since)
        case Cause.RETRIED:
            return plural(
                "{number} attempt ended without a report",
                "{number} attempts ended without a report",
                one.ended,
            )
