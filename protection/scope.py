"""Which round a report belongs to, and the bytes that bind a sealed seed to its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from trust.documents.reporting import Partial
from trust.ids import CampaignId, Digest, ReportId, WorkerId

LABEL = "cadastre/seed/v1"
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Scope:
    """One round: what every report of one batch has in common."""

    territory: str
    campaign: CampaignId
    round: int
    bundle: Digest
    plan: Digest  # of the plan's envelope
    parameters: Digest

    @classmethod
    def of(cls, partial: Partial) -> Self:
        """The round that a partial says it belongs to."""
        return cls(
            territory=partial.territory,
            campaign=partial.campaign,
            round=partial.round,
            bundle=partial.bundle,
            plan=partial.plan,
            parameters=partial.parameters,
        )


@dataclass(frozen=True)
class Binding:
    """One report of one worker to one round."""

    scope: Scope
    worker: WorkerId
    report: ReportId

    @classmethod
    def of(cls, partial: Partial) -> Self:
        """The report that a partial says it is."""
        return cls(Scope.of(partial), partial.worker, partial.report)

    def info(self) -> bytes:
        """HPKE's `info`: the label and every field, each after its length in 4 bytes.

        Two different bindings never give the same bytes, whatever their texts hold.
        """
        scope = self.scope
        fields = (
            LABEL,
            scope.territory,
            scope.campaign,
            str(scope.round),
            scope.bundle,
            scope.plan,
            scope.parameters,
            self.worker,
            self.report,
        )
        raw = [field.encode() for field in fields]
        return b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in raw)
