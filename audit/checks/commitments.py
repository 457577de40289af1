"""Commitments: padded roots over salted hashes, and the lists of salts that open them.

A leaf is sha256("cadastre/commit/v1" || 32-byte salt || 32-byte envelope digest) or padding;
the root over them in the listed order, taken as entries, is that of RFC 6962.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.errors import AuditFailure
from audit.evidence import Evidence
from audit.records import Logged, Records
from trust.documents.campaign import Commitment
from trust.ids import CampaignId, Digest
from trust.log.tree import Tree, leaf_hash

ORDERS = "orders"
_TAG = b"cadastre/commit/v1"
_ROW_BYTES = 79  # the shorter kind of row, padding, without spaces
_HEX = re.compile(r"[0-9a-f]{64}")
_SPELLINGS: tuple[dict[str, Any], ...] = ({"separators": (",", ":")}, {}, {"indent": 0})


@dataclass(frozen=True)
class Opened:
    """A commitment whose list of salts is here, and the envelopes that it is about."""

    commitment: Logged[Commitment]
    envelopes: tuple[Digest, ...]

    @property
    def kind(self) -> str:
        """What it commits to: orders, partials or consents."""
        return self.commitment.document.kind


def public(records: Records) -> str:
    """Each commitment is padded to a power of two, so that its size tells nothing."""
    for logged in records.commitments:
        size = logged.document.size
        if size < 1 or size & (size - 1):
            raise AuditFailure(
                f"the {logged.document.kind} commitment of entry {logged.index} "
                f"has {size} leaves, not a power of two"
            )
    return f"{len(records.commitments)} padded commitments"


def opened(
    evidence: Evidence, listings: Sequence[str], records: Records
) -> tuple[tuple[Opened, ...], str]:
    """Each list of salts leads to the root that was logged; no commitment has two lists."""
    by_digest = {logged.digest: logged for logged in records.commitments}
    found: dict[Digest, Opened] = {}
    for path in listings:
        commitment, leaves, envelopes = read_listing(evidence.read(path), path)
        logged = by_digest.get(commitment)
        if logged is None:
            raise AuditFailure(f"{path} opens a commitment that is not in the log")
        if commitment in found:
            raise AuditFailure(f"{path} opens a commitment for the second time")
        tree = Tree(leaf_hash(leaf) for leaf in leaves)
        if len(leaves) != logged.document.size or tree.root() != logged.document.root.raw:
            raise AuditFailure(f"{path} does not lead to the logged commitment")
        if len(set(envelopes)) != len(envelopes):
            raise AuditFailure(f"{path} names one envelope twice")
        found[commitment] = Opened(logged, envelopes)
    _require_all(tuple(found.values()), records)
    count = sum(len(item.envelopes) for item in found.values())
    return tuple(found.values()), f"{len(found)} lists of salts, {count} envelopes"


def covered(opened: Sequence[Opened]) -> frozenset[CampaignId]:
    """The campaigns whose restricted documents this evidence is about.

    An export may hold one campaign only; a campaign is covered as soon as any of its lists is.
    """
    found = (item.commitment.document.campaign for item in opened)
    return frozenset(campaign for campaign in found if campaign is not None)


def about(records: Records) -> frozenset[CampaignId]:
    """The campaigns that have restricted documents at all."""
    committed = {logged.document.campaign for logged in records.commitments}
    opened = {logged.document.campaign for logged in records.openings}
    return frozenset(campaign for campaign in committed | opened if campaign is not None)


def _require_all(opened: Sequence[Opened], records: Records) -> None:
    """Of a covered campaign every list: the one left out may be the one that contradicts.

    Orders and receipts about several campaigns are in lists of none, which belong to each.
    """
    here = {item.commitment.digest for item in opened}
    campaigns = covered(opened)
    for logged in records.commitments:
        commitment = logged.document
        shared = commitment.campaign is None and commitment.kind == ORDERS and bool(campaigns)
        if (shared or commitment.campaign in campaigns) and logged.digest not in here:
            whose = commitment.campaign or "several campaigns together"
            raise AuditFailure(
                f"{whose} has {commitment.kind} committed in entry {logged.index}, "
                "whose list of salts is not here"
            )


def read_listing(raw: bytes, path: str) -> tuple[Digest, list[bytes], tuple[Digest, ...]]:
    """(commitment, leaves in order, envelopes) of one list. Raises AuditFailure or Malformed.

    The bytes must be what a JSON writer makes of their contents: no slack that nobody checks.
    """
    # Before it is parsed: a row is one object of two texts, so nothing unfolds in memory.
    rows = raw.count(b"{") - 1
    if raw.count(b"[") != 1 or len(raw) < _ROW_BYTES * rows or raw.count(b'"') > 8 * rows + 6:
        raise AuditFailure(f"{path} is not a list of salts")
    try:
        fields = json.loads(raw)
        spelt = [json.dumps(fields, **spelling).encode() for spelling in _SPELLINGS]
    except (ValueError, RecursionError) as error:
        raise AuditFailure(f"{path} is not JSON") from error
    if raw not in spelt or not isinstance(fields, dict) or set(fields) != {"commitment", "leaves"}:
        raise AuditFailure(f"{path} is not a list of salts in canonical form")
    leaves: list[bytes] = []
    envelopes: list[Digest] = []
    for row in fields["leaves"]:
        match row:
            case {"padding": str(padding)} if len(row) == 1:
                leaves.append(_hex(padding, path))
            case {"salt": str(salt), "envelope": str(envelope)} if len(row) == 2:
                digest = Digest.parse(envelope)
                leaf = hashlib.sha256(_TAG + _hex(salt, path) + digest.raw).digest()
                leaves.append(leaf)
                envelopes.append(digest)
            case _:
                raise AuditFailure(f"{path} has a leaf that is neither a salt nor padding")
    return Digest.parse(str(fields["commitment"])), leaves, tuple(envelopes)


def _hex(text: str, path: str) -> bytes:
    if not _HEX.fullmatch(text):
        raise AuditFailure(f"{path}: {text[:70]!r} is not 64 hexadecimal digits")
    return bytes.fromhex(text)
