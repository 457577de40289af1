"""What Prometheus reads when it asks: counts from the database, and the state of disk and log.

Meters (`scheduler.meters`) count as things happen; these are looked up, at most once in
`AGE_SECONDS`, so that asking more often costs nothing.
"""

from __future__ import annotations

import importlib.metadata
import resource
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shutil import disk_usage
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from scheduler import readiness
from scheduler.log.witnessing import Waiting
from scheduler.service.desk import Desk
from scheduler.views.alerts import AlertKind
from scheduler.views.measures import measures
from scheduler.views.watching import Watch

AGE_SECONDS = 5.0


class Written(Protocol):
    """The log; a LogWriter is one."""

    @property
    def size(self) -> int: ...
    def waiting(self) -> Sequence[Waiting]: ...


class Gauges(Collector):
    """Everything that is looked up; register it once per scheduler."""

    def __init__(
        self, desk: Desk, log: Written, folder: Path, database: Path, watch: Watch
    ) -> None:
        self._desk, self._log, self._folder, self._database = desk, log, folder, database
        self._watch = watch
        self._lock = threading.Lock()
        self._found: list[Metric] = []
        self._asked = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering reads no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, of this moment or of at most `AGE_SECONDS` before."""
        with self._lock:
            moment = self._desk.store.clock.boottime()
            if moment - self._asked >= AGE_SECONDS:
                self._found, self._asked = list(self._look()), moment
            return iter(self._found)

    def _look(self) -> Iterator[Metric]:
        found = measures(self._desk)
        yield _labelled("cadastre_workers", "Workers by freshness", "freshness", found.workers)
        yield _labelled(
            "cadastre_campaigns", "Campaigns that have not ended", "state", found.campaigns
        )
        yield _labelled("cadastre_units", "Work units that have not ended", "state", found.units)
        yield _plain("cadastre_units_late", "Units that should be further", found.late_units)
        yield _plain(
            "cadastre_campaigns_failed_day", "Campaigns failed in 24 h", found.failed_campaigns
        )
        yield _plain("cadastre_units_failed_day", "Units failed in 24 h", found.failed_units)
        yield _plain("cadastre_log_unproven", "Entries without a witnessed proof", found.unproven)
        yield _plain("cadastre_log_entries", "Entries of the signed log", self._log.size)
        now = self._desk.now()
        yield _labelled(
            "cadastre_witness_absent_seconds",
            "How long a witness has not cosigned the newest checkpoint",
            "witness",
            {one.witness: (now - one.since).total_seconds() for one in self._log.waiting()},
        )
        standing = Counter(alert.kind for alert in self._watch.alerts())
        yield _labelled(
            "cadastre_alerts",
            "Alerts that stand, as the page of alerts lists them",
            "kind",
            {kind.value: standing[kind] for kind in AlertKind},
        )
        yield _plain(
            "cadastre_root_expires_seconds",
            "Time until the territory root expires",
            found.root_seconds,
        )
        yield _plain(
            "cadastre_clock_leaping", "1 while the clock is not believed", found.clock_leaping
        )
        yield _plain(
            "cadastre_turn_age_seconds", "Since the last turn of the grid", found.turn_seconds
        )
        trouble = readiness.trouble(self._desk, self._log, self._folder)
        yield _plain("cadastre_ready", "1 when /readyz says ready", not trouble)
        yield _plain(
            "cadastre_disk_free_bytes",
            "Free where the state lies",
            disk_usage(self._folder).free,
        )
        yield _plain(
            "cadastre_database_bytes", "Size of the database", self._database.stat().st_size
        )
        # Not prometheus_client's own: it reads files of /proc that a hardened process may not.
        used = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily(
            "cadastre_processor_seconds",
            "Processor time used by the scheduler",
            value=used.ru_utime + used.ru_stime,
        )
        yield _plain(
            "cadastre_memory_peak_bytes",
            "The most memory that the scheduler ever held",
            used.ru_maxrss * 1024,
        )
        yield _labelled(
            "cadastre_build_info", "1, with the program's version", "version", {_version(): 1}
        )


def install(desk: Desk, log: Written, folder: Path, database: Path, watch: Watch) -> None:
    """Put everything that is looked up beside the desk's meters."""
    desk.meters.registry.register(Gauges(desk, log, folder, database, watch))


def _plain(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=float(value))


def _labelled(name: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family


def _version() -> str:
    try:
        return importlib.metadata.version("cadastre")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
