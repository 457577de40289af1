"""Every log entry's document: there, of the right type, signed by who had that duty then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.checks.objects import Objects
from audit.checks.roots import Chain
from audit.errors import AuditFailure
from audit.records import Logged, Records
from trust import dsse, schema
from trust.documents import signed as signatures_of
from trust.documents.actions import OperatorAction
from trust.documents.aggregation import (
    AggregateShare,
    BatchCommitment,
    HelperKey,
    HelperRefusal,
    KeyDestroyed,
    Side,
)
from trust.documents.campaign import Commitment, Opening, Plan, Release
from trust.documents.custody import (
    AggregateOpened,
    EpochKey,
    EpochRetired,
    KeyholderRefusal,
    ShareRequest,
    ShareReturned,
    TrusteeKey,
)
from trust.documents.governance import Authorisation, Suspension
from trust.documents.membership import Banned, Enrolled
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry
from trust.problem import Problem
from trust.root import TrustedRoot


@dataclass(frozen=True)
class Form:
    """A type of document, and whose duty it is to sign it."""

    cls: type[Any]
    duty: Duty
    alone: bool = False  # one holder speaks for themself, whatever the duty's threshold


_FORMS: dict[Kind, tuple[Form, ...]] = {
    Kind.AUTHORISATION: (Form(Authorisation, Duty.COLLEGE),),
    Kind.SUSPENSION: (Form(Suspension, Duty.COLLEGE),),
    Kind.PLAN: (Form(Plan, Duty.ORDERS),),
    Kind.OPENING: (Form(Opening, Duty.ORDERS),),
    Kind.RELEASE: (Form(Release, Duty.ORDERS),),
    Kind.ORDERS: (Form(Commitment, Duty.ORDERS),),
    Kind.CONSENTS: (Form(Commitment, Duty.ORDERS),),
    Kind.ENROLMENT: (Form(Enrolled, Duty.ORDERS),),
    Kind.KEY_EVENT: (Form(Banned, Duty.ORDERS),),
    Kind.HELPER_KEY: (Form(HelperKey, Duty.HELPER),),
    Kind.KEY_DESTROYED: (Form(KeyDestroyed, Duty.HELPER),),
    Kind.BATCH: (Form(BatchCommitment, Duty.ORDERS),),
    Kind.SHARE: (Form(AggregateShare, Duty.ORDERS),),  # or the helper's, as its side says
    Kind.REFUSAL: (Form(HelperRefusal, Duty.HELPER), Form(KeyholderRefusal, Duty.KEYHOLDER)),
    Kind.TRUSTEE_KEY: (Form(TrusteeKey, Duty.TRUSTEE, alone=True),),
    Kind.EPOCH_KEY: (Form(EpochKey, Duty.KEYHOLDER),),
    Kind.SHARE_REQUEST: (Form(ShareRequest, Duty.KEYHOLDER),),
    Kind.TRUSTEE_SHARE: (Form(ShareReturned, Duty.TRUSTEE, alone=True),),
    Kind.OPENED: (Form(AggregateOpened, Duty.KEYHOLDER),),
    Kind.EPOCH_RETIRED: (Form(EpochRetired, Duty.KEYHOLDER),),
    Kind.ACTION: (Form(OperatorAction, Duty.ORDERS),),
}
_SIDES = {Side.LEADER: Duty.ORDERS, Side.HELPER: Duty.HELPER}
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
    root = records.roots[-1][1]
    signed = _verified(root, entry.kind, raw)
    if signed.document.territory != root.document.territory:
        raise AuditFailure(f"it is of another territory, {signed.document.territory[:80]}")
    document = signed.document
    if isinstance(document, Commitment) and document.kind not in _COMMITMENT_KINDS[entry.kind]:
        raise AuditFailure(f"it commits to {document.kind[:40]!r}")
    if isinstance(document, Enrolled | Banned) and document.worker != document.key.worker_id:
        raise AuditFailure("the worker's name is not derived from its key")
    records.add(Logged(index, signed))


def _verified(root: TrustedRoot, kind: Kind, raw: bytes) -> Signed[Any]:
    forms = _FORMS.get(kind)
    if forms is None:
        raise AuditFailure(
            f"this program knows no document of the kind {kind.value}",
            remedy="audit with a newer release of this program",
        )
    envelope = dsse.Envelope.parse(raw)
    form = next((form for form in forms if envelope.payload_type == form.cls.TYPE), forms[0])
    duty = form.duty
    if form.cls is AggregateShare:
        duty = _SIDES[schema.decode(AggregateShare, envelope.payload).side]
    if form.alone:
        return signatures_of.verify(form.cls, raw, root.keys(duty).keys)
    return root.verify(form.cls, raw, duty)


def _root(index: int, digest: Digest, chain: Chain, records: Records) -> None:
    version = len(records.roots)
    if version >= len(chain.versions) or chain.versions[version].digest != digest:
        raise AuditFailure(f"it is not version {version + 1} of the chain in policy/")
    records.roots.append((index, chain.versions[version]))
