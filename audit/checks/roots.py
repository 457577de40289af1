"""The chain of territory roots: pinned by the auditor, or at least whole in itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from audit.checks.layout import LOG_POLICY
from audit.errors import AuditFailure
from audit.evidence import Evidence
from audit.policy import AuditPolicy
from trust import clock
from trust import root as roots
from trust.errors import Malformed
from trust.ids import Digest
from trust.log.policy import Policy
from trust.root import TrustedRoot


@dataclass(frozen=True)
class Chain:
    """Every version of the root, each vouched for by the one before."""

    versions: tuple[TrustedRoot, ...]
    raw: tuple[bytes, ...]

    @property
    def newest(self) -> TrustedRoot:
        """The root in force now."""
        return self.versions[-1]

    @property
    def log_policies(self) -> tuple[Policy, ...]:
        """The log policy of every version, where it can be read."""
        found = []
        for version in self.versions:
            with suppress(Malformed):
                found.append(Policy.parse(version.document.log_policy.encode()))
        return tuple(found)


def pin(evidence: Evidence, first: str, policy: AuditPolicy | None) -> tuple[Digest, str]:
    """The digest of the first root, equal to the auditor's pin when there is one."""
    found = Digest.of(evidence.read(first))
    if policy is None:
        return found, f"root {found}, not pinned: compare it with the cooperative's paper copy"
    if found != policy.root:
        raise AuditFailure(
            f"the evidence rests on root {found}, the policy pins {policy.root}",
            remedy="compare the pin with the cooperative's paper copy: one of the roots is false",
        )
    return found, f"root {found}, as pinned"


def chain(evidence: Evidence, paths: Sequence[str], first: Digest) -> tuple[Chain, str]:
    """Every root, each signed by a threshold of the one before and of its own keys."""
    raw = tuple(evidence.read(path) for path in paths)
    versions = [roots.trust_pinned(raw[0], first)]
    if versions[0].document.version != 1:
        raise AuditFailure(f"the first root has version {versions[0].document.version}")
    for later in raw[1:]:
        versions.append(roots.rotate(versions[-1], later))
    newest = versions[-1].document
    until = clock.to_text(newest.expires_at)
    found = f"{newest.territory}, version {newest.version}, good until {until}"
    return Chain(tuple(versions), raw), found


def log_policy(
    evidence: Evidence, newest: TrustedRoot, policy: AuditPolicy | None
) -> tuple[Policy, str]:
    """The log policy that the newest root names: with witnesses, and with the auditor's own."""
    text = newest.document.log_policy.encode()
    if evidence.read(LOG_POLICY) != text:
        raise AuditFailure(f"{LOG_POLICY} is not the log policy of the newest root")
    parsed = Policy.parse(text)
    if parsed.quorum is None:
        raise AuditFailure(
            "the root's log policy asks for no witness: the log could have two faces",
            remedy="ask the cooperative for a next root that names witnesses and their quorum",
        )
    pinned = None if policy is None else policy.log
    if pinned is not None and pinned not in [log.key for log in parsed.logs]:
        raise AuditFailure(
            f"the root does not name the pinned log {pinned.name}",
            remedy="compare the policy's log line with the key that the log's operator published",
        )
    for witness in () if policy is None else policy.witnesses:
        if witness not in [known.key for known in parsed.witnesses.values()]:
            raise AuditFailure(
                f"the root does not name the pinned witness {witness.name}",
                remedy="compare the policy's witness line with the key that its keeper published",
            )
    return parsed, f"{len(parsed.logs)} log, {len(parsed.witnesses)} witnesses"
