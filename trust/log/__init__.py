"""The verifying half of the transparency log: pure, no input or output, no storage.

Formats: C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-policy, tlog-tiles and
tlog-proof (commit 5ba5ee83); hashes and proofs: RFC 6962 section 2.1 and RFC 9162 section 2.1.
"""
