"""Bundles: the bytes that the college voted on, vouched for by an author."""

from __future__ import annotations

from audit.checks.objects import Objects
from audit.errors import AuditFailure
from audit.records import Records
from jobs import archive, statement
from jobs.archive import Bundle
from protection import accounting
from trust import dsse
from trust.documents.membership import BundleStatement
from trust.errors import TrustError
from trust.ids import Digest

# A statement is a few hundred bytes; larger objects are not parsed in search of one.
_STATEMENT_BYTES = 16 * 1024


def archives(records: Records, objects: Objects) -> tuple[dict[Digest, Bundle], str]:
    """Each planned bundle, read strictly: manifest, rules, tables and bounds as voted."""
    planned = {logged.document.bundle for logged in records.plans}
    bundles: dict[Digest, Bundle] = {}
    for logged in records.authorisations:
        vote = logged.document
        # What was authorised and never run may be left out of the evidence.
        if vote.bundle not in planned and vote.bundle not in objects:
            continue
        bundle = bundles.get(vote.bundle) or archive.read(
            objects.get(vote.bundle, "the bundle"), vote.bundle
        )
        bundles[vote.bundle] = bundle
        if bundle.manifest_digest != vote.manifest:
            raise AuditFailure(f"the college voted on another manifest than {bundle.filename} has")
        if {r.output: r for r in bundle.manifest.rules()} != {r.output: r for r in vote.rules}:
            raise AuditFailure(f"the release rules of {bundle.filename} are not the voted ones")
        for data_class in bundle.manifest.needs.classes:
            accounting.check_noise(vote.rules, data_class)
        for table, columns in bundle.manifest.needs.tables.items():
            if not set(columns) <= set(vote.tables.get(table, ())):
                raise AuditFailure(f"{bundle.filename} reads more of {table} than was voted")
    for digest in planned:
        if digest not in bundles:
            raise AuditFailure(f"bundle {digest} was planned without an authorisation")
    names = ", ".join(bundle.filename for bundle in bundles.values())
    return bundles, names or "no bundle ran"


def authors(bundles: dict[Digest, Bundle], objects: Objects) -> str:
    """For each bundle a statement about exactly these bytes, signed by the author it names."""
    signers: dict[Digest, set[str]] = {}
    for digest in objects:
        raw = objects.get(digest, "object")
        if len(raw) > _STATEMENT_BYTES or BundleStatement.TYPE.encode() not in raw:
            continue
        try:
            if dsse.Envelope.parse(raw).payload_type != BundleStatement.TYPE:
                continue
        except TrustError:
            continue
        for bundle in bundles.values():
            try:
                signed = statement.verify(bundle, raw)
            except Exception:  # noqa: BLE001, S112 - another bundle's statement, or a bad one
                continue
            signers.setdefault(bundle.digest, set()).add(signed.document.author.keyid)
    for bundle in bundles.values():
        if bundle.digest not in signers:
            raise AuditFailure(f"no author's statement about {bundle.filename} holds")
    return (
        # Anybody may vouch for a bundle: whoever reads this must know the author's key.
        ", ".join(
            f"{bundles[digest].filename} by {' and '.join(sorted(keys))}"
            for digest, keys in signers.items()
        )
        or "no bundle ran"
    )
