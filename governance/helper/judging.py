"""Which reports the helper takes: what every opener asks of them, and a seed that opens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

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
from protection.scope import Binding
from protection.seeds import open_seed
from trust.ids import Digest
from trust.problem import Problem
from wire.aggregation import SealedReport


@dataclass(frozen=True)
class Taken(Counted):
    """A report whose seed opened."""

    report: SealedReport


def judge(
    terms: Terms, secret: X25519PrivateKey, reports: Iterable[SealedReport]
) -> tuple[list[Taken], list[Left]]:
    """Every report, taken or left with its reason, in the order given.

    What is repeated (report, worker, seed) is left out the second time it comes.
    """
    taken: list[Taken] = []
    left: list[Left] = []
    seen: set[object] = set()
    for report in reports:
        partial = None
        try:
            partial = read_partial(terms, report.partial)
            require_round(terms, partial)
            require_counts(terms, partial)
            seed = open_seed(report.sealed, secret, Binding.of(partial))
            # HPKE's base mode does not say who sealed. A leader that puts a seed of its own in
            # the place of a worker's would take that worker out of the crowd.
            if partial.sealed != Digest.of(report.sealed):
                raise PartialMismatch("its sealed seed is not the one that the worker signed")
            member = BatchMember.of(partial, Digest.of(report.partial), Digest.of(report.sealed))
            names = {partial.report, partial.worker, seed, member.share}
            if names & seen:
                raise ReportRepeated("its report id, worker, share or seed came before")
        except Problem as refusal:
            left.append(Left(partial, refusal))
            continue
        seen |= names
        taken.append(Taken(member, terms.enrolled[partial.worker].operator, report))
    return taken, left
