"""All that is used of flwr without being promised by it; tested with 1.40 and 1.41."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from flwr.app import Message

RUN_ID = 1
SERVER_NODE = 1  # what SuperLink calls itself; cohort nodes are numbered from there
_QUIET = logging.ERROR


def become(node: int) -> None:
    """Make this process `node` of the one run: Message() asks flwr who is speaking."""
    identity = importlib.import_module("flwr.supercore.task_identity").TaskIdentity
    identity.run_id, identity.node_id, identity.task_id = RUN_ID, node, 1


def empty_run() -> Any:
    """What Grid.run is expected to answer."""
    return importlib.import_module("flwr.supercore.run").Run.create_empty(RUN_ID)


def name_message(message: Message, name: str) -> None:
    """Give a sent message its id, as SuperLink does; there is no public way."""
    message.metadata.__dict__["_message_id"] = name


def hush() -> None:
    """Keep flwr's progress lines back: an author has 4 KiB for what they want to say."""
    logging.getLogger("flwr").setLevel(_QUIET)


def replace_sleep(sleep: Any) -> None:
    """Strategies hold on to the sleep that they found when flwr was loaded."""
    utilities: Any = importlib.import_module("flwr.serverapp.strategy.strategy_utils")
    utilities.sleep = sleep
