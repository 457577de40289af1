"""Old copies of the institutions' folders, and what they put in their place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cipher_town import CipherTown

# Which process has which folder; the trustees' have none that stays.
_SERVERS = {"scheduler": "work", "keyholder": "keyholder", "helper": "helper"}


class Copies:
    """What was copied while one campaign went on."""

    def __init__(self, place: CipherTown, campaign: str) -> None:
        self.campaign = campaign
        self._place = place
        self._folder = place.home / "copies"
        self._folder.mkdir(mode=0o700)

    def keep(self, *names: str) -> None:
        """Copy these folders as they are, their processes stopped for it."""
        for name in names:
            with self._stopped(name):
                shutil.copytree(self._place.home / name, self._folder / name)

    @contextmanager
    def restored(self, *names: str, only: str = "*") -> Iterator[None]:
        """The old copies in place, processes not started; afterwards everything as it was.

        `only` limits it to the files of that pattern; what else matches is removed.
        """
        aside = self._folder / "aside"
        for name in names:
            self._stop(name)
            shutil.copytree(self._place.home / name, aside / name)
            self._put(self._folder / name, self._place.home / name, only)
        try:
            yield
        finally:
            for name in names:
                self._stop(name)
                self._put(aside / name, self._place.home / name, "*")
                server = _SERVERS.get(name)
                if server is not None:
                    self._place.mortals.serve_again(server)
            shutil.rmtree(aside)

    @contextmanager
    def _stopped(self, name: str) -> Iterator[None]:
        self._stop(name)
        yield
        if name in _SERVERS:
            self._place.mortals.serve_again(_SERVERS[name])
            self._place.wait_up(_SERVERS[name])

    def _stop(self, name: str) -> None:
        server = _SERVERS.get(name)
        if server is not None and self._place.mortals.runs(server):
            self._place.mortals.stop(server)

    @staticmethod
    def _put(source: Path, folder: Path, only: str) -> None:
        for there in folder.glob(only):
            shutil.rmtree(there) if there.is_dir() else there.unlink()
        for old in source.glob(only):
            if old.is_dir():
                shutil.copytree(old, folder / old.name)
            else:
                shutil.copy2(old, folder / old.name)
