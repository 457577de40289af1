"""An audit in words: one line per check, then what no audit of files can tell."""

from __future__ import annotations

from audit.replay import Verdict
from terminal.output import Output


def show(verdict: Verdict, output: Output, *, as_json: bool) -> None:
    """Write the verdict; under `--json` one object."""
    if as_json:
        output.record(to_plain(verdict))
        return
    width = max((len(line.check) for line in verdict.journal.lines), default=0)
    for line in verdict.journal.lines:
        output.line(f"{'OK  ' if line.ok else 'FAIL'}  {line.check.ljust(width)}  {line.found}")
    for sentence in verdict.journal.not_checked:
        output.line(f"not checked: {sentence}")
    for remedy in verdict.journal.remedies:
        output.line(f"remedy: {remedy}")
    if verdict.ok:
        pin = "under the pinned root" if verdict.pinned else "not pinned"
        output.line(
            f"audit: ok, {len(verdict.journal.lines)} checks, {verdict.entries} entries, {pin}"
        )
    else:
        output.line(f"audit: FAILED at {', '.join(verdict.journal.failed)}")


def to_plain(verdict: Verdict) -> dict[str, object]:
    """The verdict as a JSON object; its field names are stable."""
    return {
        "ok": verdict.ok,
        "pinned": verdict.pinned,
        "root": None if verdict.root is None else str(verdict.root),
        "entries": verdict.entries,
        "failed": list(verdict.journal.failed),
        "remedies": list(verdict.journal.remedies),
        "checks": [
            {"name": line.check, "ok": line.ok, "found": line.found}
            for line in verdict.journal.lines
        ],
        "not_checked": list(verdict.journal.not_checked),
    }
