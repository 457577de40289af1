"""Which partials the keyholder takes: what every opener asks, and a mask."""

from __future__ import annotations

from collections.abc import Iterable

from governance.batches.errors import PartialMismatch, ReportRepeated
from governance.batches.reports import (
    Counted,
    Left,
    Terms,
    read_partial,
    require_counts,
    require_round,
)
from protection.batch import BatchMember
from trust.ids import Digest
from trust.problem import Problem


def judge(
    terms: Terms, partials: Iterable[bytes]
) -> tuple[list[tuple[Counted, bytes]], list[Left]]:
    """Every partial, taken with its bytes or left with its reason."""
    taken: list[tuple[Counted, bytes]] = []
    left: list[Left] = []
    seen: set[object] = set()
    for raw in partials:
        partial = None
        try:
            partial = read_partial(terms, raw)
            require_round(terms, partial)
            require_counts(terms, partial)
            if partial.sealed is None:
                raise PartialMismatch("it names no sealed seed: its ciphertext is not masked")
            member = BatchMember.of(partial, Digest.of(raw), partial.sealed)
            names = {partial.report, partial.worker, partial.sealed, member.share}
            if names & seen:
                raise ReportRepeated("its report id, worker, ciphertext or seed came before")
        except Problem as refusal:
            left.append(Left(partial, refusal))
            continue
        seen |= names
        taken.append((Counted(member, terms.enrolled[partial.worker].operator), raw))
    return taken, left
