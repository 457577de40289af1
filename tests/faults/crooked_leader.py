"""A leader that asks for a second, smaller batch of a round, signed with its own good key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from protection.batch import Batch, BatchMember
from scheduler.state import State
from trust import schema
from trust.documents import signed
from trust.documents.aggregation import BatchCommitment, BatchQuestion
from trust.documents.reporting import Partial
from trust.dsse import Envelope
from trust.ids import Digest
from wire.custody import OpeningPreparation, OpeningRequest, content_of


class CrookedLeader:
    """Who has the scheduler's folder."""

    def __init__(self, folder: Path) -> None:
        self._key = State(folder).orders_key()

    def fewer(self, asked: OpeningPreparation) -> OpeningPreparation:
        """The same preparation with one partial left out."""
        partials = asked.partials[:-1]
        content = content_of(asked.plan, asked.epoch, partials, asked.enrolments)
        question = replace(_read(BatchQuestion, asked.question), content=content)
        return replace(asked, question=self._sign(question), partials=partials)

    def second(self, asked: OpeningRequest, partials: Sequence[bytes]) -> OpeningRequest:
        """The same opening over these partials only: signed, with the proof of the first."""
        read = [(_read(Partial, raw), Digest.of(raw)) for raw in partials]
        batch = Batch.of(BatchMember.of(found, name, found.sealed) for found, name in read)
        said = replace(
            _read(BatchCommitment, asked.batch.envelope),
            batch=batch.digest,
            partials=batch.reports,
            contributors_rounded=batch.contributors_rounded,
        )
        commitment = replace(asked.batch, envelope=self._sign(said))
        return replace(asked, batch=commitment, lines=batch.encode())

    def _sign(self, document: object) -> bytes:
        return signed.sign(document, [self._key]).envelope.raw  # type: ignore[type-var]


def _read(kind: type[signed.D], raw: bytes) -> signed.D:
    return schema.decode(kind, Envelope.parse(raw).payload)
