"""`cadastre audit monitor URL`: once, for cron, or for ever, for systemd."""

from __future__ import annotations

import argparse
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.arguments import leaf
from terminal.exits import NOT_READY, OK, UNVERIFIED
from terminal.output import Output

if TYPE_CHECKING:
    from audit.monitor.alarms import Report
    from terminal.arguments import Verbs

HOURS = 24.0
LEAST_SECONDS = 10


def add_monitor(verbs: Verbs) -> None:
    """Exit 0 when nothing is wrong, 3 with an alarm, 75 when the log could not be reached."""
    monitor = leaf(
        verbs,
        "monitor",
        _monitor,
        summary="follow a territory's log and alarm on a split view, a gap, a silent witness",
        example="cadastre audit monitor https://cadastre.example --policy audit-policy.txt "
        "--state monitor.json",
    )
    monitor.add_argument("url", metavar="URL", help="the address of a scheduler's public site")
    monitor.add_argument(
        "--policy", type=Path, required=True, help="the file that pins the territory root"
    )
    monitor.add_argument(
        "--state", type=Path, required=True, metavar="FILE", help="what it remembers"
    )
    monitor.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="FILE|URL",
        help="a checkpoint that another monitor exported; may be given several times",
    )
    monitor.add_argument(
        "--ask-witnesses",
        action="store_true",
        help="ask the witnesses of the log policy for the newest head that they cosigned",
    )
    monitor.add_argument(
        "--export", type=Path, metavar="FILE", help="keep the newest verified checkpoint there"
    )
    monitor.add_argument(
        "--alarm-file",
        type=Path,
        metavar="FILE",
        help="a report as JSON that is there while something is wrong",
    )
    monitor.add_argument(
        "--stale",
        type=float,
        default=HOURS,
        metavar="HOURS",
        help=f"how long a witness may give no new cosignature (default {HOURS:g})",
    )
    monitor.add_argument(
        "--every",
        type=int,
        metavar="SECONDS",
        help="look again and again until it is told to stop; without it, once",
    )


def _monitor(arguments: argparse.Namespace) -> int:
    from audit.errors import PolicyMalformed
    from audit.monitor.running import Settings, alone, look, plain
    from audit.monitor.watching import Bounds
    from audit.policy import AuditPolicy
    from trust.clock import SystemClock

    try:
        policy = AuditPolicy.parse(arguments.policy.read_bytes())
    except OSError as error:
        raise PolicyMalformed(
            f"could not read {arguments.policy}: {error.strerror}", remedy="check the path"
        ) from error
    if not 0 < arguments.stale <= 24 * 3650:
        raise PolicyMalformed(f"--stale {arguments.stale:g} is no number of hours")
    if arguments.every is not None and arguments.every < LEAST_SECONDS:
        raise PolicyMalformed(f"--every is {LEAST_SECONDS} seconds or more")
    settings = Settings(
        url=arguments.url,
        pin=policy.root,
        state=arguments.state,
        compare=arguments.compare,
        ask_witnesses=arguments.ask_witnesses,
        export=arguments.export,
        alarm_file=arguments.alarm_file,
        bounds=Bounds(stale=timedelta(hours=arguments.stale)),
    )
    output = Output(as_json=arguments.json)
    stop = threading.Event()
    clock = SystemClock()
    with alone(settings.state):
        report = look(settings, clock)
        _tell(report, output)
        if arguments.every is None:
            if arguments.json:
                output.record(plain(report))
            return _code(report)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        output.event(plain(report))
        while not stop.wait(arguments.every):
            report = look(settings, clock)
            _tell(report, output)
            output.event(plain(report))
    return _code(report)


def _counted(alarms: int) -> str:
    return "1 alarm" if alarms == 1 else f"{alarms} alarms"


def _tell(report: Report, output: Output) -> None:
    for note in report.notes:
        output.note(f"note: {note}")
    for alarm in report.alarms:
        output.line(f"ALARM {alarm.kind.value}: {alarm.sentence}")
        for name in alarm.names:
            output.line(f"  kept: {name}")
    verdict = "ok" if report.ok else _counted(len(report.alarms))
    output.line(
        f"{report.checked_at} {report.log or 'no log yet'}: {report.size} entries, {verdict}"
    )


def _code(report: Report) -> int:
    from audit.monitor.alarms import AlarmKind

    if report.ok:
        return OK
    if all(alarm.kind is AlarmKind.UNREACHABLE for alarm in report.alarms):
        return NOT_READY
    return UNVERIFIED
