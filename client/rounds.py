"""How a campaign of several rounds is told to people: a bar while it runs, a table in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protos.cadastre.v1 import states_pb2
from terminal.output import Cell

# Of a line of terminal.progress.COLUMNS, beside its shortest bar.
ROOM = 85
_SHOWN = 4  # values of a round on one line
_FIRST = ("loss", "accuracy")  # before the others, which come by name
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def progress_of(view: Any) -> tuple[float, str]:
    """(the part that is done, 0..1; what to say) of a running campaign.

    What is said takes ROOM columns at most, of a campaign of up to 999 rounds: where all of it
    does not fit, the last of the values that the round told are left out.
    """
    if not view.rounds:
        return 0.0, "capsules"
    newest = view.rounds[-1]
    total = newest.capsules_total
    part = newest.capsules_done / total if total else 0.0
    voted = max(view.rounds_voted, 1)
    done = (newest.number - 1 + min(part, 1.0)) / voted
    said = "capsules" if voted == 1 else f"round {newest.number}/{voted}"
    over = next((entry for entry in reversed(view.rounds) if _is_over(view, entry)), None)
    if over is None:
        return done, said
    said += ": " if over.number == newest.number else f", after {over.number}: "
    told = [f"{name} {_figure(over.metrics[name])}" for name in _by_weight(over.metrics)[:_SHOWN]]
    cost = [_workers(over.participants), size(over.bytes)]
    if over.HasField("epsilon"):
        cost.append(f"epsilon {over.epsilon:.2f}")
    while told and len(said + ", ".join([*told, *cost])) > ROOM:
        told.pop()
    return done, said + ", ".join([*told, *cost])


def table_of(view: Any) -> tuple[list[str], list[list[Cell]]]:
    """One row per concluded round: what it told, who took part, how many bytes they sent.

    Its epsilon is what all rounds up to it cost one privacy unit together, at delta = 1e-6; none
    where no noise protects anybody, or a scheduler of an older release does not tell it.
    """
    over = [entry for entry in view.rounds if _is_over(view, entry)]
    names = sorted({name for entry in over for name in entry.metrics})
    head = ["round", *names, "workers", "KiB sent", "epsilon so far"]
    rows: list[list[Cell]] = [
        [
            str(entry.number),
            *(f"{entry.metrics[name]:.4g}" if name in entry.metrics else None for name in names),
            str(entry.participants),
            f"{entry.bytes / 1024:.0f}",
            f"{entry.epsilon:.2f}" if entry.HasField("epsilon") else None,
        ]
        for entry in over
    ]
    return head, rows


def epsilon_so_far(view: Any) -> float | None:
    """What the campaign has cost one privacy unit, at delta = 1e-6.

    None where rounds were opened and no epsilon holds: over public data nothing is noised.
    """
    opened = any(entry.state == states_pb2.ROUND_STATE_OPENED for entry in view.rounds)
    return None if opened and not view.epsilon else round(view.epsilon, 4)


def size(count: int) -> str:
    """`count` bytes in the largest unit that leaves a whole one, in at most four figures."""
    amount, unit = float(count), 0
    while round(amount) >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.3g} {_UNITS[unit]}"


def _is_over(view: Any, entry: Any) -> bool:
    """Whether the round was concluded; where rounds tell no values, whether it was opened."""
    if any(other.metrics for other in view.rounds):
        return bool(entry.metrics)
    return bool(entry.state == states_pb2.ROUND_STATE_OPENED)


def _by_weight(told: Mapping[str, float]) -> list[str]:
    first = [name for name in _FIRST if name in told]
    return [*first, *sorted(name for name in told if name not in _FIRST)]


def _figure(value: float) -> str:
    return f"{value:.0f}" if 1000 <= abs(value) < 1_000_000 else f"{value:.3g}"


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
