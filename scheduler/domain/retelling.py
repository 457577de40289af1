"""Reading a stored reason back: its code and what filled its sentence's holes.

What is stored is the sentence as it was said, in English. A page in French needs the parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from scheduler.domain.reasons import Reason, template

_HOLE = re.compile(r"\{([a-z]+)\}")
_LONGEST = 2000  # letters that are looked at
# Fewer letters of its own than this, and a sentence could be anything that somebody quoted.
_TELLING = 12


@dataclass(frozen=True)
class Retold:
    """A reason and its details; a detail may be another reason's sentence, retold in turn."""

    reason: Reason
    details: dict[str, str | Retold] = field(default_factory=dict)


def retell(why: str, code: str = "") -> Retold | None:
    """What `why` says; None when no sentence of ours fits. `code` is tried first."""
    if not why or len(why) > _LONGEST:
        return None
    known = [Reason(code)] if code in set(Reason) else []
    for reason in (*known, *Reason):
        found = _shape(reason)
        if found is None or not (match := found.fullmatch(why)):
            continue
        return Retold(
            reason,
            {name: _nested(name, text) for name, text in match.groupdict().items()},
        )
    return None


def _nested(name: str, text: str) -> str | Retold:
    return (retell(text) or text) if name in {"what", "why"} else text


@cache
def _shape(reason: Reason) -> re.Pattern[str] | None:
    said = template(reason)
    return None if len(_HOLE.sub("", said)) < _TELLING else pattern(said)


@cache
def pattern(said: str) -> re.Pattern[str]:
    """What fits a sentence whose holes are `{name}`: one group for each of them."""
    parts = _HOLE.split(said)
    return re.compile(
        "".join(f"(?P<{part}>.*)" if at % 2 else re.escape(part) for at, part in enumerate(parts)),
        re.DOTALL,
    )
