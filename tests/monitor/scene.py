"""A real scheduler's site on loopback, and a second log under the same key that should not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from audit.monitor.alarms import AlarmKind, Report
from audit.monitor.running import Settings, look
from audit.monitor.watching import Bounds
from scheduler.log.writer import LogWriter
from scheduler.site import Page, Site, SiteServer
from tests.scheduler.conftest import TERRITORY, World, build
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry

Bend = Callable[[str, bytes], bytes | None]


class BentSite(Site):
    """The real site, whose log a test may replace or bend."""

    log: LogWriter | None = None
    bend: Bend | None = None

    def page(self, path: str, *, local: bool = False) -> Page | None:
        found = super().page(path, local=local)
        name = path.removeprefix("/log/")
        if self.log is not None and path.startswith("/log/"):
            try:
                found = Page(self.log.fetch(name))
            except LookupError:
                found = None
        if self.bend is not None and found is not None:
            data = self.bend(name, found.data)
            found = None if data is None else Page(data)
        return found


@dataclass
class Scene:
    """A territory, its site and a monitor's settings."""

    folder: Path
    world: World
    site: BentSite
    url: str
    settings: Settings
    forks: list[LogWriter] = field(default_factory=list)

    def log(self, *numbers: int) -> None:
        """Entries in the scheduler's own log."""
        self.world.desk.log.append([entry(number) for number in numbers])

    def fork(self, *numbers: int) -> LogWriter:
        """Another log with the same key, name and witness: what a split view is made of."""
        folder = self.folder / f"fork-{len(self.forks)}"
        key, clock = self.world.keys["log"], self.world.clock
        folder.mkdir()
        LogWriter.create(folder, key, f"{TERRITORY}/log", clock)
        made = LogWriter.open(folder, key, f"{TERRITORY}/log", clock, [self.world.witness])
        self.forks.append(made)
        made.append([entry(number) for number in numbers])
        return made

    def look(self, **changes: object) -> Report:
        """One look of the monitor."""
        settings = Settings(**{**vars(self.settings), **changes})  # type: ignore[arg-type]
        return look(settings, self.world.clock)

    def kinds(self, **changes: object) -> list[AlarmKind]:
        """What one look alarms about."""
        return [alarm.kind for alarm in self.look(**changes).alarms]


def entry(number: int) -> bytes:
    """An entry of that number's own."""
    return LogEntry(Kind.PLAN, Digest.of(str(number).encode())).emit()


@contextmanager
def scene_in(folder: Path) -> Iterator[Scene]:
    """An empty log behind a served site."""
    world = build(folder)
    site = BentSite(world.desk, [world.root_envelope], list)
    server = SiteServer(site, "127.0.0.1", 0)
    server.start()
    url = f"http://127.0.0.1:{server.port}"
    settings = Settings(
        url=url,
        pin=Digest.of(world.root_envelope),
        state=folder / "monitor" / "state.json",
        bounds=Bounds(stale=timedelta(hours=24)),
    )
    made = Scene(folder, world, site, url, settings)
    try:
        yield made
    finally:
        server.stop()
        for log in made.forks:
            log.close()
        world.desk.store.close()
        world.desk.log.close()  # type: ignore[attr-defined]
