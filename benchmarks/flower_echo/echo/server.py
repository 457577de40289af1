"""Rounds of messages to all nodes; how long each took goes into a file."""

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()
PATIENCE_SECONDS = 120.0


@app.main()
def main(grid: Grid, context: Context) -> None:
    """`each` messages to every node and round; only complete rounds are told."""
    told = context.run_config
    nodes: list[int] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(nodes) < told["nodes"] and time.monotonic() < deadline:
        nodes = sorted(grid.get_node_ids())[: told["nodes"]]
        time.sleep(0.1)
    numbers = np.ones(told["floats"], np.float32)
    seconds = []
    for _ in range(told["rounds"]):
        record = RecordDict({"arrays": ArrayRecord([numbers])})
        messages = [Message(record, node, "query") for node in nodes for _ in range(told["each"])]
        started = time.perf_counter()
        replies = list(grid.send_and_receive(messages, timeout=600))
        if sum(reply.has_content() for reply in replies) == told["nodes"] * told["each"]:
            seconds.append(time.perf_counter() - started)
    Path(told["out"]).write_text(json.dumps(seconds), encoding="utf-8")
