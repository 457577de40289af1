"""The base installation: the agent without the extra `capsule`, on a small desktop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from capsule_runtime.broker.messages import Setup
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from worker import broker_program
from worker.broker import BrokerProcess
from worker.journal import Journal

pytestmark = pytest.mark.base


def test_without_the_capsule_extra_no_unit_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_program, "CAPSULE_EXTRA", ("a_package_that_nobody_has",))

    def never() -> Setup:
        raise AssertionError("no broker is started")

    broker = BrokerProcess(
        never, Journal(tmp_path), lambda _: None, clock=SystemClock(), entropy=SYSTEM
    )
    ready = asyncio.run(broker.ready())
    assert ready.level == "L0"
    assert "pip install 'cadastre[capsule]'" in ready.reasons[0]
    assert broker.process_id is None


def test_the_whole_agent_is_imported_without_the_extra() -> None:
    import worker.agent
    import worker.cli
    import worker.joining
    import worker.program

    assert worker.program.run is not None
