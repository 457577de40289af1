"""Values that the scheduler wants no more must not keep the worker from speaking at all."""

from __future__ import annotations

import pytest
from test_agent import Stage, stage  # noqa: F401 - the fixture

from protos.cadastre.v1 import problem_pb2
from trust.ids import Digest
from wire.status import RemoteProblem
from worker import conversation
from worker.agent import Agent


def test_a_report_goes_alone_when_its_values_are_not_due(
    stage: Stage,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversation, "INLINE_BYTES", 0)  # too large to go with their report
    order = stage.scene.territory.order(stage.scene.plan)
    refused: list[Digest] = []

    async def put(data: bytes) -> None:
        stage.scheduler.stored[Digest.of(b"")] = b""
        refused.append(Digest.of(data))
        raise RemoteProblem(
            problem_pb2.Problem(code="values-not-due", kind="refused", sentence="none is alive")
        )

    async def plot(agent: Agent) -> None:
        stage.scheduler.put = put  # type: ignore[method-assign]
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)
        await stage.scheduler.until(lambda: not stage.scheduler.batches[-1].reports)

    journal = stage.play(plot)
    assert len(refused) == 1
    assert stage.scheduler.reports[order.attempt].statement is not None
    assert journal.pending_reports(9) == ()
