"""How a campaign of several rounds is told to people: a bar while it runs, a table in the end."""

from __future__ import annotations

from typing import Any

from terminal.output import Cell

_SHOWN = 4  # values of a round on one line: loss, accuracy and the like


def progress_of(view: Any) -> tuple[float, str]:
    """(the part that is done, 0..1; what to say) of a running campaign."""
    if not view.rounds:
        return 0.0, "capsules"
    newest = view.rounds[-1]
    total = newest.capsules_total
    part = newest.capsules_done / total if total else 0.0
    voted = max(view.rounds_voted, 1)
    if voted == 1:
        return part, "capsules"
    told: dict[str, float] = next(
        (entry.metrics for entry in reversed(view.rounds) if entry.metrics), {}
    )
    said = ", ".join(f"{name} {value:.4g}" for name, value in sorted(told.items())[:_SHOWN])
    done = (newest.number - 1 + min(part, 1.0)) / voted
    return done, f"round {newest.number}/{voted}" + (f" ({said})" if said else "")


def table_of(view: Any) -> tuple[list[str], list[list[Cell]]]:
    """One row per concluded round: what it told, who took part, how many bytes they sent."""
    told = [entry for entry in view.rounds if entry.metrics]
    names = sorted({name for entry in told for name in entry.metrics})
    head = ["round", *names, "workers", "KiB sent"]
    rows: list[list[Cell]] = [
        [
            str(entry.number),
            *(f"{entry.metrics[name]:.4g}" if name in entry.metrics else None for name in names),
            str(entry.participants),
            f"{entry.bytes / 1024:.0f}",
        ]
        for entry in told
    ]
    return head, rows
