"""What the scheduler writes for auditors is what the audit reads: the same bytes, both ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit.checks.commitments import read_listing
from audit.checks.openings import Member, read_batch
from scheduler.domain import batches, commitments
from trust.entropy import seeded
from trust.ids import Digest, ReportId
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


@given(ENVELOPES)
def test_a_batch_reads_back(envelopes: list[bytes]) -> None:
    entropy = seeded(b"batch")
    members = [(ReportId.draw(entropy), Digest.of(raw)) for raw in envelopes]
    found = read_batch(batches.batch_lines(members))
    assert set(found) == {Member(report, digest) for report, digest in members}
