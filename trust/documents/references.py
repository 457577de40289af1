"""Which further objects a document of the evidence names, so that a download fetches them too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from trust import dsse, schema
from trust.documents.aggregation import AggregateShare, BatchCommitment
from trust.documents.campaign import Opening, Plan, Release
from trust.documents.custody import AggregateOpened, EpochKey
from trust.documents.governance import Authorisation
from trust.documents.reporting import Conclusion
from trust.errors import TrustError
from trust.ids import Digest

_REFERENCES: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    Authorisation.TYPE: (Authorisation, ("bundle",)),
    Plan.TYPE: (Plan, ("bundle", "parameters", "helper", "epoch")),
    BatchCommitment.TYPE: (BatchCommitment, ("helper", "batch")),
    AggregateShare.TYPE: (AggregateShare, ("values",)),
    Opening.TYPE: (Opening, ("batch", "aggregate", "shares")),
    EpochKey.TYPE: (EpochKey, ("public", "trustees")),
    AggregateOpened.TYPE: (AggregateOpened, ("values", "leader", "helper")),
    Release.TYPE: (Release, ("report", "conclusion")),
    Conclusion.TYPE: (Conclusion, ("result",)),
}


def named_in(data: bytes) -> Iterator[Digest]:
    """The digests that an envelope of ours names; none for anything else."""
    try:
        envelope = dsse.Envelope.parse(data)
        cls, names = _REFERENCES.get(envelope.payload_type, (None, ()))
        if cls is None:
            return
        document = schema.decode(cls, envelope.payload)
    except (TrustError, json.JSONDecodeError):
        return
    if isinstance(document, AggregateShare) and _private(document):
        return
    for name in names:
        named: Digest | tuple[Digest, ...] | None = getattr(document, name)
        if isinstance(named, tuple):
            yield from named
        elif named is not None:
            yield named


def _private(share: AggregateShare) -> bool:
    """Whether its sum has no noise, as under `encrypted`: nobody publishes that, nobody asks."""
    return all(variance == "0" for variance in share.variances.values())
