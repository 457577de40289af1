"""What an audit finds, and why it can't begin."""

from __future__ import annotations

from trust.problem import Kind, Problem


class AuditError(Problem):
    """Root of this package's refusals."""

    code = "audit"
    kind = Kind.UNVERIFIED


class AuditFailure(AuditError):
    """Evidence that contradicts itself, the log, the vote or the rules."""

    code = "audit-failure"
    advice = (
        "fetch the evidence anew with `cadastre audit fetch`; "
        "if it fails again, trust no release and publish this verdict"
    )


class EvidenceMissing(AuditError):
    """There is no evidence where the auditor was sent."""

    code = "evidence-missing"
    kind = Kind.NOT_FOUND


class PolicyMalformed(AuditError):
    """An audit policy file that is not in the form of docs/auditors.md."""

    code = "audit-policy-malformed"
    kind = Kind.INVALID
    advice = "correct the policy file: docs/auditors.md shows its form, line by line"


class DownloadFailed(AuditError):
    """The publisher did not serve what an audit needs, or more than an audit takes."""

    code = "evidence-download-failed"
    kind = Kind.UNAVAILABLE
    advice = (
        "run it again; if it stays so, take the evidence from another copy and tell the cooperative"
    )


class MonitorStateRefused(AuditError):
    """A monitor's state file that is damaged, of another territory, or in use."""

    code = "monitor-state-refused"
    kind = Kind.CONFLICT
    advice = "restore it from a copy, or name a new file and keep the old one: it may hold evidence"
