"""What travels from round to round: the message to answer, and the replies so far.

Three state arrays of float64. `heading`: the message's type and layout as text, four bytes a cell.
`message`: its numbers; at the end the final arrays. `journal`: the replies, for the next replay.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import records
from .grid import Sent
from .plan import Plan
from .records import Flat
from .refusals import Stopped

_WORD = 4  # bytes per cell: a state's numbers stay under 1e12
FINAL = "final"  # the heading's type when the app has ended

Row = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Reply:
    """A node's or the cohort's mean answer; without examples it cannot be used."""

    node: int
    examples: int
    values: Row  # arrays as differences from the message's, then metrics


@dataclass(frozen=True)
class Entry:
    """One round: which message (by checksum), of which of the plan's kinds, and the answers."""

    check: int
    kind: int
    replies: tuple[Reply, ...]


def checksum(sent: Sent) -> int:
    """32 bits of a message: enough to notice that an app did not do the same again."""
    text = f"{sent.message_type} {sent.nodes} {sent.flat.text}".encode()
    return zlib.crc32(sent.flat.values.tobytes(), zlib.crc32(text))


def final(flat: Flat) -> Sent:
    """What stands in the place of a next message when the app has ended."""
    return Sent(FINAL, flat, ())


def write_heading(sent: Sent, cells: int) -> Row:
    """Type, nodes and layout as numbers. Raises Stopped when they do not fit."""
    text = _heading(sent)
    words = np.frombuffer(text + b" " * (-len(text) % _WORD), "<u4")
    return _padded(np.concatenate([[len(words)], words]), cells, "heading")


def read_heading(heading: Row, message: Row) -> Sent:
    """The inverse of `write_heading`, with the message's numbers."""
    words = np.asarray(heading[1 : 1 + int(heading[0])]).astype("<u4")
    message_type, nodes, layout = json.loads(words.tobytes())
    count = sum(records.size_of(group, entry) for group, _, entry, _ in records.entries(layout))
    return Sent(message_type, Flat(layout, np.asarray(message[:count])), tuple(nodes))


def heading_cells(sent: Sent) -> int:
    """The cells that this heading takes."""
    return 1 + -(-len(_heading(sent)) // _WORD)


def write_message(flat: Flat, cells: int) -> Row:
    """The numbers of a message. Raises Stopped when they do not fit."""
    return _padded(flat.values, cells, "message")


def write_journal(entries: list[Entry], cells: int) -> Row:
    """The entries, one after the other. Raises Stopped when they do not fit."""
    parts: list[Any] = [[float(len(entries))]]
    for entry in entries:
        parts.append([entry.check, entry.kind, len(entry.replies)])
        for reply in entry.replies:
            parts += [[reply.node, reply.examples, len(reply.values)], reply.values]
    return _padded(np.concatenate(parts), cells, "journal")


def read_journal(journal: Row) -> list[Entry]:
    """The inverse of `write_journal`; of zeros, no entry."""
    offset = 0

    def take(count: int) -> Row:
        nonlocal offset
        offset += count
        return np.asarray(journal[offset - count : offset])

    entries = []
    for _ in range(int(take(1)[0])):
        check, kind, count = map(int, take(3))
        replies = []
        for _ in range(count):
            node, examples, size = map(int, take(3))
            replies.append(Reply(node, examples, take(size)))
        entries.append(Entry(check, kind, tuple(replies)))
    return entries


def journal_cells(entries: list[Entry]) -> int:
    """The cells that these entries take."""
    return 1 + sum(3 + sum(3 + len(r.values) for r in entry.replies) for entry in entries)


def kind_of(plan: Plan, sent: Sent) -> int:
    """Which of the plan's kinds a message is. Raises Stopped."""
    for index, kind in enumerate(plan.kinds):
        if kind.message_type == sent.message_type:
            return index
    raise Stopped(
        "message-unforeseen",
        f"the ServerApp sends {sent.message_type!r}, which it did not when the bundle was made",
    )


def _heading(sent: Sent) -> bytes:
    told = [sent.message_type, list(sent.nodes), sent.flat.layout]
    return json.dumps(told, separators=(",", ":")).encode()


def _padded(values: Any, cells: int, name: str) -> Row:
    if len(values) > cells:
        raise Stopped(
            "state-full",
            f"the {name} takes {len(values)} numbers, the bundle declares {cells}; the app does "
            "more than it did when the bundle was made",
        )
    return np.concatenate([values, np.zeros(cells - len(values))])
