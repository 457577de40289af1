"""The Grid that a ServerApp sees: nodes that stand for the cohort, and answers known beforehand.

Every `send_and_receive` is one round of the real grid. The rounds so far were answered: they are
played again from the journal. The first message without an answer ends the run.

No time passes in a replay, so a message's time to live and a timeout cannot end a wait here. What
ends a round are the voted quorum and deadline; `patience` is what the bundle takes its deadline
from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import Error, Message, RecordDict
from flwr.serverapp import Grid

from . import internals, records
from .records import Flat
from .refusals import Stopped, Suspended

# Ours: no strategy asks more often before it sends; one that does is waiting for nodes.
MAXIMUM_CENSUSES = 32
_NO_USABLE_ANSWER = 1


@dataclass(frozen=True)
class Sent:
    """What the ServerApp says to the cohort: one message type, one content for every node."""

    message_type: str
    flat: Flat
    nodes: tuple[int, ...]  # who is asked, numbered from 0


# What was answered to the message of this number (from 0) of this run, by node; None for an answer
# that cannot be used. Raises Suspended where the grid has to be asked first.
Answer = Callable[[int, Sent], Mapping[int, RecordDict | None]]


class ReplayGrid(Grid):  # type: ignore[misc] # flwr need not be there to check this
    """Flower's Grid over rounds that were and the one round that comes next."""

    def __init__(self, nodes: int, answer: Answer) -> None:
        self._nodes = [internals.SERVER_NODE + 1 + index for index in range(nodes)]
        self._answer = answer
        self._run = internals.empty_run()
        self._pushed: dict[str, list[Message]] = {}
        self._censuses = self._messages = 0
        self.rounds = 0
        self.patience = math.inf  # seconds that the ServerApp would wait for the slowest message
        self.suspended = False

    def set_run(self, run: Any) -> None:
        self._run = run

    @property
    def run(self) -> Any:
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        self._go_on()
        self._censuses += 1
        if self._censuses > MAXIMUM_CENSUSES:
            self.give_up_waiting()
        return list(self._nodes)

    def give_up_waiting(self) -> None:
        """Raise Stopped: nothing will come while the ServerApp waits."""
        raise Stopped(
            "too-few-nodes",
            f"the ServerApp waits for more than {len(self._nodes)} nodes, or for something else "
            "that will not come; set `nodes` to what it asks for (min_available_nodes)",
        )

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        self._go_on()
        pushed = list(messages)
        names = []
        for message in pushed:
            if message.metadata.dst_node_id not in self._nodes:
                raise Stopped(
                    "node-unknown",
                    f"the ServerApp sends to node {message.metadata.dst_node_id}, which it may "
                    f"not have; get_node_ids() named {self._nodes[0]}..{self._nodes[-1]}",
                )
            self._lasts("time to live", message.metadata.ttl)
            self._messages += 1
            names.append(f"m{self._messages}")
            internals.name_message(message, names[-1])
        self._pushed.update(dict.fromkeys(names, pushed))
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self._go_on()
        replies: list[Message] = []
        for name in message_ids:
            batch = self._pushed.get(name)
            if batch is None:
                continue
            self._pushed = {key: found for key, found in self._pushed.items() if found is not batch}
            replies += self._round(batch)
        return replies

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        if timeout is not None:
            self._lasts("timeout", timeout)
        return self.pull_messages(self.push_messages(messages))

    def _round(self, batch: list[Message]) -> list[Message]:
        """The cohort's one reply, as if from the first node that was asked; or each node's own."""
        sent = _common(batch)
        self._censuses = 0
        try:
            contents = self._answer(self.rounds, sent)
        except Suspended:
            self.suspended = True
            raise
        self.rounds += 1
        asked = dict(zip(sent.nodes, batch, strict=True))
        replies = []
        for node, content in contents.items():
            unusable = Error(_NO_USABLE_ANSWER, "no examples, or fewer than the noise would make")
            reply = Message(unusable if content is None else content, reply_to=asked[node])
            internals.name_message(reply, f"r{self.rounds}.{node}")
            replies.append(reply)
        return replies

    def _lasts(self, what: str, seconds: float) -> None:
        if not seconds > 0:  # NaN neither
            raise Stopped(
                "no-time",
                f"the ServerApp gives its messages a {what} of {seconds} seconds, in which nobody "
                "can answer; leave it out, or give the seconds that a round may take",
            )
        self.patience = min(self.patience, float(seconds))

    def _go_on(self) -> None:
        # Whoever caught our stop and went on is stopped again: nothing new can be learnt.
        if self.suspended:
            raise Suspended


def _common(batch: list[Message]) -> Sent:
    first = batch[0]
    if not first.has_content():
        raise Stopped("empty-message", "the ServerApp sends a message without content")
    flat = records.flatten(first.content)
    for other in batch[1:]:
        if other.metadata.message_type != first.metadata.message_type:
            raise Stopped(
                "messages-differ", "the ServerApp sends messages of several types at once"
            )
        if other.content is first.content:
            continue
        again = records.flatten(other.content)
        if again.text != flat.text or again.values.tobytes() != flat.values.tobytes():
            raise Stopped(
                "messages-differ",
                "the ServerApp sends different contents to different nodes; everybody gets the "
                "same parameters here, so that nobody can be singled out",
            )
    nodes = tuple(message.metadata.dst_node_id - internals.SERVER_NODE - 1 for message in batch)
    if len(set(nodes)) != len(nodes):
        raise Stopped("messages-differ", "the ServerApp sends two messages to one node at once")
    return Sent(first.metadata.message_type, flat, nodes)
