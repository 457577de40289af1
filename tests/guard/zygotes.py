"""Warm sandboxes by the libraries that a bundle needs, each started once for a test module."""

from __future__ import annotations

import contextlib
import os

import pytest

from capsule_runtime.broker.program import Program
from capsule_runtime.sandbox import Zygote
from capsule_runtime.sandbox.libraries import complete
from jobs.libraries import contents, runtime_of

RUN_AS = (64123, 64123) if os.geteuid() == 0 else None


class Zygotes(contextlib.ExitStack):
    """`zygotes.of(program)`; skips the test when a library that it needs is not installed."""

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[str, Zygote] = {}

    def of(self, program: Program) -> Zygote:
        return self.holding(runtime_of(program.libraries))

    def holding(self, runtime: str) -> Zygote:
        missing = [name for name in contents(runtime) if not complete(name)]
        if missing:
            pytest.skip(f"{missing[0]} is not installed (the extra `learning`)")
        if runtime not in self._started:
            zygote = Zygote.start(contents(runtime), run_as=RUN_AS, keep_stderr=True)
            self._started[runtime] = self.enter_context(zygote)
        return self._started[runtime]
