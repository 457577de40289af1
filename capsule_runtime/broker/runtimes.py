"""The runtimes of one worker: what each holds, which image it is, and which one is warm.

One sandbox per set of libraries, one of them warm at a time: a bundle that needs numpy alone never
shares a process with torch, starts as fast and takes as little memory as on a worker without it.
"""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from capsule_runtime.errors import RuntimeUnreadable, SandboxUnavailable
from capsule_runtime.sandbox.image import RuntimeImage
from capsule_runtime.sandbox.known_images import KnownImages
from capsule_runtime.sandbox.layout import Layout, find_layout
from capsule_runtime.sandbox.libraries import complete
from capsule_runtime.sandbox.zygote import Zygote
from jobs.libraries import BASE, RUNTIMES, contents, runtime_of
from trust.ids import Digest

_LOG = logging.getLogger("cadastre.broker")


def find_layouts(libraries: Sequence[str]) -> dict[str, Layout]:
    """The layout of every runtime that `libraries` make; the base is always there.

    A runtime that lacks a library, or a library's part, is left out: what needs less runs on.
    Raises LibraryMissing for the base, RuntimeUnreadable.
    """
    found = {BASE: find_layout(contents(BASE))}
    for name, held in RUNTIMES.items():
        if name == BASE or not set(held) <= {BASE, *libraries}:
            continue
        if lacking := [library for library in held if not complete(library)]:
            _LOG.warning("%s is not offered: a part of %s is missing", name, ", ".join(lacking))
            continue
        found[name] = find_layout(held)
    return found


def measure(layouts: Mapping[str, Layout], state: Path) -> dict[str, Digest]:
    """The image of each. The base is hashed each time; what has torch, once.

    Done in a child: the names of 14,000 files would stay 4 MiB of an idle desktop's memory.
    Raises RuntimeUnreadable.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # What is garbage here belongs to our parent: an object that owns threads (a TenSEAL
            # context) would wait at its end for threads that a forked child does not have.
            gc.freeze()
            os.close(reading)
            with open(writing, "w", encoding="ascii") as answer:  # noqa: PTH123 - a descriptor
                json.dump(_measured(layouts, state), answer)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, encoding="ascii") as answer:  # noqa: PTH123 - a descriptor
        text = answer.read()
    _, ended = os.waitpid(child, 0)
    if ended != 0:
        raise RuntimeUnreadable(
            "The files that the sandbox would hold could not be read whole.",
            remedy="Install Cadastre and its libraries again; `cadastre worker image` names the "
            "file.",
        )
    return {name: Digest.parse(image) for name, image in json.loads(text).items()}


def _measured(layouts: Mapping[str, Layout], state: Path) -> dict[str, str]:
    known = KnownImages(state)
    return {
        name: str(RuntimeImage.of(layout).digest if name == BASE else known.digest(layout))
        for name, layout in layouts.items()
    }


class WarmRuntime:
    """At most one warm sandbox; whoever asks for another runtime's ends it."""

    def __init__(self, start: Callable[[str], Zygote] | None) -> None:
        """`start` makes a named runtime's sandbox; None at level L0: nothing native runs."""
        self._start = start
        self._name = ""
        self._zygote: Zygote | None = None

    @property
    def warm(self) -> bool:
        """Whether one is up."""
        return self._zygote is not None

    def require(self) -> None:
        """Raise SandboxUnavailable at level L0."""
        if self._start is None:
            raise SandboxUnavailable(
                "this machine's sandbox did not pass its self-test: no native bundle runs here",
                remedy="run `cadastre doctor`, repair what it names, and start the worker again",
            )

    def zygote(self, libraries: Sequence[str]) -> Zygote:
        """A warm sandbox with `libraries`. Raises SandboxUnavailable, SandboxError."""
        self.require()
        assert self._start is not None
        name = runtime_of(libraries)
        if self._zygote is None or self._name != name:
            self.cool_down()
            self._name, self._zygote = name, self._start(name)
        return self._zygote

    def cool_down(self) -> None:
        """Give the warm sandbox's memory back; the next unit pays one cold start for it."""
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.close()
