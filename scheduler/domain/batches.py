"""Naming a batch: the text whose digest an opening commits to."""

from __future__ import annotations

from collections.abc import Iterable

from trust.ids import Digest, ReportId


def batch_lines(members: Iterable[tuple[ReportId, Digest]]) -> bytes:
    """Sorted lines `<report id> <partial envelope digest>`; a blob under its own digest."""
    return "".join(sorted(f"{report} {digest}\n" for report, digest in members)).encode()
