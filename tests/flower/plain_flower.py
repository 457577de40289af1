"""A Flower app under Flower itself, without SuperLink: real files, real nodes, the real strategy.

Run as a program of its own (flwr keeps one identity per process):
plain_flower.py APP_DIR CONFIG_JSON DATA_FILE... writes what the app writes into the working folder
and prints the server's view of its metrics as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

SERVER = 1


def become(node):
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, node, 1


class LocalGrid(Grid):
    """Every node in this process, one after the other."""

    def __init__(self, app, contexts):
        self._app, self._contexts, self._run = app, contexts, Run.create_empty(1)
        self._count = 0

    def set_run(self, run):
        self._run = run

    @property
    def run(self):
        return self._run

    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None):
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self):
        return list(self._contexts)

    def push_messages(self, messages):
        raise NotImplementedError

    def pull_messages(self, message_ids):
        raise NotImplementedError

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in sorted(messages, key=lambda m: m.metadata.dst_node_id):
            self._count += 1
            message.metadata.__dict__["_message_id"] = f"m{self._count}"
            node = message.metadata.dst_node_id
            become(node)
            replies.append(self._app(message, self._contexts[node]))
            become(SERVER)
        return replies


def main():
    folder, overrides, *data = sys.argv[1:]
    project = tomllib.loads((Path(folder) / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    config = {**project["config"], **json.loads(overrides)}
    sys.path.insert(0, folder)
    apps = {}
    for kind, reference in project["components"].items():
        module, _, name = reference.partition(":")
        apps[kind] = getattr(importlib.import_module(module), name)

    def context(node, node_config):
        return Context(
            run_id=1, node_id=node, node_config=node_config, state=RecordDict(), run_config=config
        )

    nodes = {
        SERVER + 1 + index: context(
            SERVER + 1 + index,
            {"data-path": path, "partition-id": index, "num-partitions": len(data)},
        )
        for index, path in enumerate(data)
    }
    results = []
    start = Strategy.start

    def noted(self, *given, **named):
        results.append(start(self, *given, **named))
        return results[-1]

    Strategy.start = noted
    become(SERVER)
    apps["serverapp"](LocalGrid(apps["clientapp"], nodes), context(SERVER, {}))
    told = {}
    for kind in ("train", "evaluate"):
        rounds = getattr(results[0], f"{kind}_metrics_clientapp")
        told |= {f"{kind} {key}": value for key, value in dict(rounds[max(rounds)]).items()}
    rounds = results[0].evaluate_metrics_serverapp
    told |= {f"server {k}": v for k, v in dict(rounds[max(rounds)]).items()} if rounds else {}
    Path("told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
