"""What of a stored reason its bundle's author may read: causes and voted numbers, nobody's counts.

Operators read reasons in full. An author could start from exact counts of consents to single
people, and what a worker or an institution wrote in its own words may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.domain.planning import round_down
from scheduler.domain.reasons import Reason, own_code, sentence
from scheduler.domain.retelling import Retold, retell

HIDDEN = "…"
# Counts of people's consents or contributions; the others count machines, or were voted.
_PEOPLE: Mapping[Reason, tuple[str, ...]] = {
    Reason.BELOW_MINIMUM: ("have",),
    Reason.ABOVE_CONSENTS: ("claimed", "known"),
    Reason.ABOVE_REGISTRY: ("claimed", "known"),
    Reason.MINIMUM_MISSED: ("have",),
}
# Written by an operator or the college for everybody to read.
_PUBLIC = frozenset({Reason.CAMPAIGN_CANCELLED, Reason.AUTHORISATION_SUSPENDED})
_FREE = frozenset({"what", "why"})
_OPERATORS = "operators"  # what MINIMUM_MISSED counts beside contributors


def discreet(why: str, code: str = "") -> str:
    """`why` with counts of people in tens and foreign words left out; "…" for none of ours.

    Where `code` is an institution's own word for its refusal, as `below-minimum`, it stands in
    their place: codes are stable and tell no count.
    """
    if not why:
        return ""
    found = retell(why, code)
    own = code if code not in set(Reason) and own_code(code, Reason.NONE) == code else ""
    return HIDDEN if found is None else _said(found, own or HIDDEN)


def _said(found: Retold, hidden: str) -> str:
    details = {name: _detail(found, name, part, hidden) for name, part in found.details.items()}
    return sentence(found.reason, **details)


def _detail(found: Retold, name: str, part: str | Retold, hidden: str) -> str:
    if isinstance(part, Retold):
        return _said(part, hidden)
    if found.reason is Reason.WAITING_FOR_CONSENTS:
        return str(round_up(int(part))) if _is_count(part) else HIDDEN
    if found.reason is Reason.MINIMUM_MISSED and found.details.get("what") == _OPERATORS:
        return part
    if name in _PEOPLE.get(found.reason, ()):
        return str(round_down(int(part))) if _is_count(part) else HIDDEN
    counted = found.reason is Reason.MINIMUM_MISSED  # whose `what` is a word of ours
    return hidden if name in _FREE and found.reason not in _PUBLIC and not counted else part


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12


def round_up(count: int) -> int:
    """What is missing is published rounded up to tens."""
    return -(-count // 10) * 10
