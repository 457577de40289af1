"""Looks one after the other: what was found is stored first, then told, then slept over."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from audit.errors import DownloadFailed, MonitorStateRefused
from audit.monitor import memory as memories
from audit.monitor.alarms import Alarm, AlarmKind, Report
from audit.monitor.memory import Memory
from audit.monitor.sources import Site, shown, witness_places
from audit.monitor.watching import Bounds, Look
from durable.files import make_directory, write_atomic
from trust.clock import Clock
from trust.errors import TrustError
from trust.ids import Digest
from trust.log.policy import Policy


@dataclass(frozen=True)
class Settings:
    """What one monitor watches, and where it keeps things."""

    url: str
    pin: Digest  # of the territory's first root
    state: Path
    compare: Sequence[str] = ()  # files and addresses of heads that others were shown
    ask_witnesses: bool = False
    export: Path | None = None  # the newest verified head, for other monitors
    alarm_file: Path | None = None  # there while there are alarms
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def evidence(self) -> Path:
        """Where signed heads that contradict each other are kept."""
        return self.state.with_name(f"{self.state.name}.evidence")


def look(settings: Settings, clock: Clock) -> Report:
    """One look, stored. Raises MonitorStateRefused, StorageFailed; the rest is in the report."""
    memory = memories.load(settings.state, settings.pin)
    report = _look(settings, memory, clock)
    kept = tuple(_kept(settings.evidence, alarm) for alarm in report.alarms)
    report = replace(report, alarms=kept)
    # If we crash here: evidence is kept, the state is the old one, and the next look finds it
    # again, under the same names.
    memories.save(settings.state, memory)
    if settings.export is not None and memory.note:
        write_atomic(settings.export, memory.note.encode())
    if settings.alarm_file is not None:
        if report.ok:
            settings.alarm_file.unlink(missing_ok=True)
        else:
            write_atomic(settings.alarm_file, json.dumps(plain(report), indent=2).encode() + b"\n")
    return report


def plain(report: Report) -> dict[str, object]:
    """A report as JSON says it; `evidence` names the files that were kept."""
    return {
        "ok": report.ok,
        "log": report.log,
        "size": report.size,
        "root": report.root,
        "checked_at": report.checked_at,
        "alarms": [
            {"kind": one.kind.value, "sentence": one.sentence, "evidence": list(one.names)}
            for one in report.alarms
        ],
        "notes": list(report.notes),
    }


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Hold the state's lock. Raises MonitorStateRefused while another monitor does."""
    make_directory(state.parent)
    descriptor = os.open(state.with_name(f"{state.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MonitorStateRefused(
                f"another monitor runs on {state}", remedy="stop it first, or name another --state"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _look(settings: Settings, memory: Memory, clock: Clock) -> Report:
    watched = Look(memory, (), _nothing, clock.now(), settings.bounds)
    site = Site(settings.url)
    try:
        watched.policies = _policies(site, settings.pin)
        watched.fetch = site.fetch
        others, missing = shown(_places(settings, memory, watched.policies[0]))
        watched.notes += missing
        return watched.run(site.head(), others)
    except DownloadFailed as error:
        watched.alarm(AlarmKind.UNREACHABLE, error.sentence)
    except TrustError as error:
        watched.alarm(AlarmKind.ROOT, error.sentence)
    finally:
        site.close()
    watched.clock_of_this_machine()
    watched.silence()
    return watched.report()


def _policies(site: Site, pin: Digest) -> tuple[Policy, ...]:
    """The log policies of every root, the newest first."""
    texts = dict.fromkeys(root.document.log_policy for root in reversed(site.roots(pin)))
    return tuple(Policy.parse(text.encode()) for text in texts)


def _places(settings: Settings, memory: Memory, policy: Policy) -> list[str]:
    places = list(settings.compare)
    if settings.ask_witnesses:
        head = memory.head
        origins = {head.origin} if head else {log.key.name for log in policy.logs}
        for origin in sorted(origins):
            places += witness_places(policy, origin)
    return places


def _nothing(path: str) -> bytes:
    raise LookupError(path)


def _kept(folder: Path, alarm: Alarm) -> Alarm:
    """The alarm with its signed notes as files, named by what they hold."""
    names = []
    for note in alarm.evidence:
        data = note.encode()
        path = folder / f"{alarm.kind.value}-{hashlib.sha256(data).hexdigest()[:16]}.txt"
        if not path.exists():
            make_directory(folder)
            write_atomic(path, data)
        names.append(str(path))
    return replace(alarm, names=tuple(names))
