"""What the scheduler writes for auditors is what the audit reads: the same bytes, both ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit.checks.commitments import read_listing
from audit.checks.openings import read_batch
from protection.batch import Batch, BatchMember
from protection.scope import Scope
from scheduler.domain import commitments
from trust.documents.rules import Protection
from trust.entropy import seeded
from trust.ids import CampaignId, Digest, ReportId, WorkerId
from trust.log.tree import Tree, leaf_hash

ENVELOPES = st.lists(st.binary(min_size=1, max_size=8), max_size=20, unique=True)


@given(ENVELOPES, st.binary(min_size=1))
def test_a_list_of_salts_opens_the_commitment_that_the_scheduler_sealed(
    envelopes: list[bytes], seed: bytes
) -> None:
    """The two once took the leaves for different things: as entries, and as leaf hashes."""
    entropy = seeded(seed)
    digests = [Digest.of(raw) for raw in envelopes]
    members = [commitments.Member(entropy(32), digest) for digest in digests]
    sealed = commitments.seal(members, entropy)
    text = sealed.to_json(Digest.of(b"commitment"))
    named, leaves, found = read_listing(text, "restricted/orders-x.json")
    assert named == Digest.of(b"commitment")
    assert set(found) == set(digests)
    assert len(leaves) == sealed.size
    assert Tree(map(leaf_hash, leaves)).root() == sealed.root.raw


@given(ENVELOPES.filter(bool), st.sampled_from([Protection.CLEAR, Protection.SHARED]))
def test_a_batch_reads_back(envelopes: list[bytes], protection: Protection) -> None:
    """The audit's own guard against bombs refuses no batch that a scheduler writes."""
    entropy = seeded(b"batch")
    nothing = Digest.of(b"")
    scope = Scope("t.example", CampaignId.draw(entropy), 1, nothing, nothing, nothing)
    batch = Batch.of(
        BatchMember(
            scope=scope,
            worker=WorkerId.from_bytes(entropy(16)),
            report=ReportId.draw(entropy),
            protection=protection,
            partial=Digest.of(raw),
            share=Digest.of(b"share" + raw),
            seed=None if protection is Protection.CLEAR else Digest.of(b"seed" + raw),
            contributors=1,
            capsules=1,
        )
        for raw in envelopes
    )
    assert read_batch(batch.encode()) == batch
