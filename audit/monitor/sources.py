"""Where a monitor's heads and entries come from: a site over HTTP, files, other addresses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audit.errors import DownloadFailed
from audit.evidence import MAXIMUM_FILE_BYTES
from audit.monitor.watching import Shown, origin_name
from audit.publisher import Publisher
from trust.ids import Digest
from trust.log.note import NOTE_LIMIT
from trust.log.policy import Policy
from trust.problem import Problem
from trust.root import MAXIMUM_CHAIN, TrustedRoot, versions


class Site:
    """A territory's public pages, or a copy of them; asked anew at every look."""

    def __init__(self, url: str) -> None:
        self._publisher = Publisher(url)

    def close(self) -> None:
        """Hang up."""
        self._publisher.close()

    def roots(self, pin: Digest) -> tuple[TrustedRoot, ...]:
        """The chain of roots from the pinned one. Raises DownloadFailed, RootRefused and such."""
        chain: list[bytes] = []
        while len(chain) < MAXIMUM_CHAIN:
            number = len(chain) + 1
            raw = self._publisher.get(f"policy/root-{number}.json", MAXIMUM_FILE_BYTES)
            if raw is None:  # as some copies have it
                raw = self._publisher.get(f"root/{number}.json", MAXIMUM_FILE_BYTES)
            if raw is None:
                break
            chain.append(raw)
        if not chain:
            raise DownloadFailed(f"{self._publisher.url} serves no territory root")
        return versions(chain, pin)

    def head(self) -> bytes:
        """The newest checkpoint. Raises DownloadFailed."""
        note = self._publisher.get("log/checkpoint", NOTE_LIMIT)
        if note is None:
            raise DownloadFailed(f"{self._publisher.url} serves no log")
        return note

    def fetch(self, path: str) -> bytes:
        """A tile of the log. Raises LookupError, DownloadFailed."""
        data = self._publisher.get(f"log/{path}", MAXIMUM_FILE_BYTES)
        if data is None:
            raise LookupError(path)
        return data


def shown(places: Sequence[str]) -> tuple[list[Shown], list[str]]:
    """The heads in files or at addresses, and a sentence for each that could not be had."""
    found: list[Shown] = []
    missing: list[str] = []
    for place in places:
        try:
            found.append(Shown(place, _read(place)))
        except (Problem, OSError) as error:
            said = error.sentence if isinstance(error, Problem) else error.strerror
            missing.append(f"no checkpoint from {place}: {said}")
    return found, missing


def witness_places(policy: Policy, origin: str) -> list[str]:
    """Where the witnesses of a policy that have an address serve the log's newest head."""
    return [
        f"{witness.url.rstrip('/')}/{origin_name(origin)}/checkpoint"
        for witness in policy.witnesses.values()
        if witness.url
    ]


def _read(place: str) -> bytes:
    if not place.startswith(("http://", "https://")):
        with Path(place).open("rb") as file:
            return file.read(NOTE_LIMIT + 1)
    base, _, name = place.rpartition("/")
    publisher = Publisher(base)
    try:
        note = publisher.get(name, NOTE_LIMIT)
    finally:
        publisher.close()
    if note is None:
        raise DownloadFailed(f"{place} serves nothing")
    return note
