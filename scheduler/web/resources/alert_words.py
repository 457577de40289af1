"""Alerts in sentences, and the page where one looks further."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from scheduler.views.alerts import Alert, AlertKind, Thresholds, Unit
from scheduler.web.reasons import told
from web.cells import Cell, Share, Status, Tone
from web.sentences import Sentence, plural, say

KINDS: dict[AlertKind, Status] = {
    kind: Status(kind.value, word, tone)
    for kind, word, tone in (
        (AlertKind.WORKER_LOST, say("Workers are lost"), Tone.BAD),
        (AlertKind.UNIT_WAITS, say("A work unit finds no worker"), Tone.WARN),
        (AlertKind.ATTEMPTS_FAIL, say("Many attempts fail"), Tone.WARN),
        (AlertKind.HELPER_SILENT, say("The helper is waited for"), Tone.BAD),
        (AlertKind.KEYHOLDER_SILENT, say("The keyholder is waited for"), Tone.BAD),
        (AlertKind.WITNESS_SILENT, say("A witness is silent"), Tone.BAD),
        (AlertKind.PROOF_LATE, say("The log is late with proofs"), Tone.WARN),
        (AlertKind.DISK_FILLS, say("The disk is nearly full"), Tone.BAD),
        (AlertKind.BUDGET_SPENT, say("A privacy budget is nearly spent"), Tone.WARN),
        (AlertKind.CLOCK_WRONG, say("The clock of a worker is wrong"), Tone.WARN),
    )
}
THRESHOLDS: dict[str, tuple[Sentence, Unit, float]] = {
    # name: what it bounds, its unit, and what the file's number is multiplied with to be in it
    "workers_lost": (say("Workers lost"), Unit.COUNT, 1),
    "ready_minutes": (say("A work unit waits for a worker"), Unit.SECONDS, 60),
    "failed_share": (say("Share of attempts that failed within an hour"), Unit.SHARE, 1),
    "failed_least": (say("Attempts before that share is judged"), Unit.COUNT, 1),
    "helper_minutes": (say("A campaign waits for the helper"), Unit.SECONDS, 60),
    "keyholder_minutes": (say("A campaign waits for the keyholder"), Unit.SECONDS, 60),
    "witness_minutes": (say("A witness has not cosigned"), Unit.SECONDS, 60),
    "proof_minutes": (say("A document waits for its proof"), Unit.SECONDS, 60),
    "disk_free_share": (say("Free share of the disk, at least"), Unit.SHARE, 1),
    "budget_share": (say("Used share of a voted privacy budget"), Unit.SHARE, 1),
    "clock_seconds": (say("The clock of a worker differs"), Unit.SECONDS, 1),
}


@dataclass(frozen=True)
class Told:
    """An alert as pages show it."""

    alert: Alert
    status: Status
    sentence: Sentence
    href: str
    link: Sentence


def amount(value: float, unit: Unit) -> Cell:
    """A figure or a threshold."""
    match unit:
        case Unit.SECONDS:
            return timedelta(seconds=round(value))
        case Unit.SHARE:
            return Share(value)
        case Unit.COUNT:
            return int(value) if value == int(value) else value


def bounds(thresholds: Thresholds) -> list[list[Cell]]:
    """Every threshold: its name in the file, what it bounds, its value."""
    return [
        [name, meaning, amount(getattr(thresholds, name) * factor, unit)]
        for name, (meaning, unit, factor) in THRESHOLDS.items()
    ]


def tell(alert: Alert) -> Told:
    """What an alert says, and where one looks further."""
    sentence, href, link = _told(alert)
    return Told(alert, KINDS[alert.kind], sentence, href, link)


def _told(one: Alert) -> tuple[Sentence, str, Sentence]:
    long = timedelta(seconds=round(one.figure)) if one.unit is Unit.SECONDS else timedelta()
    match one.kind:
        case AlertKind.WORKER_LOST:
            return (
                plural(
                    "{number} worker has not been heard of for 90 s or more.",
                    "{number} workers have not been heard of for 90 s or more.",
                    int(one.figure),
                ),
                "/workers?state=lost",
                say("The lost workers"),
            )
        case AlertKind.UNIT_WAITS:
            return (
                say("A work unit has been ready for {time}, and no worker took it.", time=long),
                f"/units/{one.which}",
                say("The work unit and why it waits"),
            )
        case AlertKind.ATTEMPTS_FAIL:
            failed, _, ended = one.name.partition("/")
            return (
                say("Within the last hour {failed} of {ended} attempts ended without an accepted "
                    "report.", failed=failed, ended=ended),
                "/queue",
                say("Queue and throughput"),
            )  # fmt: skip
        case AlertKind.HELPER_SILENT | AlertKind.KEYHOLDER_SILENT:
            return (
                say("A campaign has waited for {time}: {why}", time=long, why=told(one.why) or ""),
                f"/campaigns/{one.which}",
                say("The campaign that waits"),
            )
        case AlertKind.WITNESS_SILENT:
            return (
                say("The witness {who} has not cosigned for {time}: {why}", who=one.which,
                    time=long, why=one.why),
                "/log",
                say("The log and its cosignatures"),
            )  # fmt: skip
        case AlertKind.PROOF_LATE:
            return (
                say("A document has waited for its witnessed proof for {time}.", time=long),
                "/log",
                say("The log and its cosignatures"),
            )
        case AlertKind.DISK_FILLS:
            return (
                say("Less of the disk is free than should be. When it is full nothing is lost, "
                    "and nothing moves."),
                "/alerts",
                say("Thresholds"),
            )  # fmt: skip
        case AlertKind.BUDGET_SPENT:
            return (
                say("Of the privacy budget that was voted for “{title}” most is used; the college "
                    "votes anew before it ends.", title=one.name),
                f"/bundles/{one.which.removeprefix('sha256:')}",
                say("The bundle and its votes"),
            )  # fmt: skip
        case AlertKind.CLOCK_WRONG:
            away = (
                say("The clock of a worker is {time} behind; set it right with timedatectl.",
                    time=long)
                if one.name == "behind"
                else say("The clock of a worker is {time} ahead; set it right with timedatectl.",
                         time=long)
            )  # fmt: skip
            return away, f"/workers/{one.which}", say("The worker")
