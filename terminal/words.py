"""Words that somebody else wrote, made safe for a terminal.

A title, a file name or a refusal may hold escape sequences that rename the window, letters that
turn the direction of writing, or a line break that forges a line of our own output.
"""

from __future__ import annotations

import json
import unicodedata

# Controls, formats (direction marks, zero widths), halves of surrogate pairs, unassigned, and
# Unicode's own line and paragraph separators. Spaces of every width stay: French needs them.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})


def one_line(text: str) -> str:
    """`text` on one line, every unseen character as "?"."""
    return several_lines(text).replace("\n", " ")


def several_lines(text: str) -> str:
    """`text` with every unseen character but the line feed as "?"."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join("?" if _unseen(letter) else letter for letter in text)


def json_text(text: str) -> str:
    """A JSON document that means the same, every unseen character in its strings escaped."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(json.dumps(letter)[1:-1] if _unseen(letter) else letter for letter in text)


def _unseen(letter: str) -> bool:
    return letter != "\n" and unicodedata.category(letter) in _UNSEEN
