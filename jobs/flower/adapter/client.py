"""An unmodified ClientApp, called once on one capsule."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from . import internals, records, speech
from .files import MemoryFiles, Naps, fix_chance, stop_clock
from .grid import Sent
from .plan import Plan
from .records import Flat
from .refusals import Stopped
from .server import load

SEED = 0
NODE = internals.SERVER_NODE + 1


def answer(plan: Plan, sent: Sent, capsule: Mapping[str, Mapping[str, Any]]) -> Flat:
    """The app's reply to `sent`. Raises Stopped where it is none, or what the app raises."""
    fix_chance(SEED)
    stop_clock(Naps(_wait_in_vain))
    internals.hush()
    MemoryFiles({plan.data_path: table_file(plan, capsule)}).install()
    internals.become(internals.SERVER_NODE)
    message = Message(records.restore(sent.flat), NODE, sent.message_type)
    internals.name_message(message, "m1")
    internals.become(NODE)
    context = Context(
        run_id=internals.RUN_ID,
        node_id=NODE,
        node_config={"data-path": plan.data_path, "partition-id": 0, "num-partitions": 1},
        state=RecordDict(),
        run_config=dict(plan.config),
    )
    with speech.held_back():
        app = load(plan.client, ClientApp)
        try:
            reply = app(message, context)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an author's code raises
            raise Stopped("client-crashed", speech.where(error)) from None
    if not isinstance(reply, Message) or not reply.has_content():
        raise Stopped("client-error", "the ClientApp answers with an error, or with no message")
    if any(kind == "config" for kind, _, _ in records.flatten(reply.content).layout):
        raise Stopped(
            "reply-unfit", "the ClientApp answers with a ConfigRecord; texts have no average"
        )
    return records.flatten(reply.content)


def node_of(plan: Plan, capsule: Mapping[str, Mapping[str, Any]]) -> int:
    """Which node the capsule is, from 0; 0 where replies are not released one by one."""
    if not plan.singles:
        return 0
    numbers = np.unique(np.asarray(capsule[plan.table][plan.node_column]))
    if numbers.shape != (1,) or not 0 <= numbers[0] < plan.nodes or numbers[0] % 1:
        raise Stopped(
            "node-number",
            f"{plan.table}.{plan.node_column} is not one number from 0 to {plan.nodes - 1}",
        )
    return int(numbers[0])


def table_file(plan: Plan, capsule: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The capsule's table as `.csv` (with a heading), `.npy` (a matrix) or `.npz` (by column)."""
    columns = {name: np.asarray(capsule[plan.table][name]) for name in plan.columns}
    if plan.file.endswith(".csv"):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        return text.getvalue().encode()
    stream = io.BytesIO()
    if plan.file.endswith(".npz"):
        np.savez(stream, allow_pickle=False, **columns)
    else:
        np.save(stream, np.stack([column.astype(np.float64) for column in columns.values()], 1))
    return stream.getvalue()


def _wait_in_vain() -> None:
    raise Stopped("client-waits", "the ClientApp sleeps for something that will not come")
