"""Every log entry's document: there, of the right type, signed by who had that duty then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit.checks.objects import Objects
from audit.checks.roots import Chain
from audit.errors import AuditFailure
from audit.records import Logged, Records
from trust.documents.campaign import Commitment, Opening, Plan, Release
from trust.documents.governance import Authorisation, Suspension
from trust.documents.membership import Banned, Enrolled
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry
from trust.problem import Problem

_DUTIES: dict[Kind, tuple[type[Any], Duty]] = {
    Kind.AUTHORISATION: (Authorisation, Duty.COLLEGE),
    Kind.SUSPENSION: (Suspension, Duty.COLLEGE),
    Kind.PLAN: (Plan, Duty.ORDERS),
    Kind.OPENING: (Opening, Duty.ORDERS),
    Kind.RELEASE: (Release, Duty.ORDERS),
    Kind.ORDERS: (Commitment, Duty.ORDERS),
    Kind.CONSENTS: (Commitment, Duty.ORDERS),
    Kind.ENROLMENT: (Enrolled, Duty.ORDERS),
    Kind.KEY_EVENT: (Banned, Duty.ORDERS),
}
# What a commitment may be about, by the kind of entry that logs it.
_COMMITMENT_KINDS = {
    Kind.ORDERS: frozenset({"orders", "partials"}),
    Kind.CONSENTS: frozenset({"consents"}),
}


def present(entries: Sequence[LogEntry], objects: Objects) -> str:
    """Every entry's envelope is here with the digest that the log names."""
    for index, entry in enumerate(entries):
        objects.get(entry.digest, f"the {entry.kind.value} of entry {index},")
    return f"{len(entries)} envelopes"


def signatures(entries: Sequence[LogEntry], objects: Objects, chain: Chain) -> tuple[Records, str]:
    """Every envelope verified under the root in force at its place in the log."""
    records = Records()
    for index, entry in enumerate(entries):
        try:
            _read(index, entry, objects, chain, records)
        except Problem as problem:
            raise AuditFailure(
                f"entry {index} ({entry.kind.value}): {problem.sentence}"
            ) from problem
    if len(records.roots) != len(chain.versions):
        raise AuditFailure(
            f"{len(chain.versions)} versions of the root are here, {len(records.roots)} are logged"
        )
    count = len(entries) - len(records.roots)
    return records, f"{count} documents signed under their duties, {len(records.roots)} roots"


def _read(index: int, entry: LogEntry, objects: Objects, chain: Chain, records: Records) -> None:
    raw = objects.get(entry.digest, "envelope")
    if entry.kind is Kind.ROOT:
        _root(index, entry.digest, chain, records)
        return
    cls, duty = _DUTIES[entry.kind]
    root = records.roots[-1][1]
    signed: Signed[Any] = root.verify(cls, raw, duty)
    if signed.document.territory != root.document.territory:
        raise AuditFailure(f"it is of another territory, {signed.document.territory[:80]}")
    document = signed.document
    if isinstance(document, Commitment) and document.kind not in _COMMITMENT_KINDS[entry.kind]:
        raise AuditFailure(f"it commits to {document.kind[:40]!r}")
    if isinstance(document, Enrolled | Banned) and document.worker != document.key.worker_id:
        raise AuditFailure("the worker's name is not derived from its key")
    records.add(Logged(index, signed))


def _root(index: int, digest: Digest, chain: Chain, records: Records) -> None:
    version = len(records.roots)
    if version >= len(chain.versions) or chain.versions[version].digest != digest:
        raise AuditFailure(f"it is not version {version + 1} of the chain in policy/")
    records.roots.append((index, chain.versions[version]))
