"""The auditor's own policy file: what must hold whatever the evidence says about itself.

    cadastre-audit-policy-v1
    root sha256:<hex>        the envelope of the territory's first root, from a paper copy
    log <vkey>               optional: the log key that must have signed
    witness <vkey>           optional, repeatable: a witness that must have cosigned

One line each, in any order after the first; blank lines and lines from `#` on are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.errors import PolicyMalformed
from trust.ids import Digest
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey
from trust.problem import Problem

HEADER = "cadastre-audit-policy-v1"
MAXIMUM_BYTES = 64 * 1024


@dataclass(frozen=True)
class AuditPolicy:
    """The pins of one auditor."""

    root: Digest
    log: LogKey | None = None
    witnesses: tuple[CosignerKey, ...] = ()

    @classmethod
    def parse(cls, raw: bytes) -> AuditPolicy:
        """The policy in a file. Raises PolicyMalformed naming the line."""
        lines = _lines(raw)
        root: Digest | None = None
        log: LogKey | None = None
        witnesses: list[CosignerKey] = []
        for number, line in enumerate(lines[1:], start=2):
            word, _, rest = line.strip().partition(" ")
            try:
                if word == "root" and root is None:
                    root = Digest.parse(rest.strip())
                elif word == "log" and log is None:
                    log = LogKey.parse(rest.strip())
                elif word == "witness":
                    witnesses.append(CosignerKey.parse(rest.strip()))
                elif word and not word.startswith("#"):
                    raise PolicyMalformed(f"{word[:40]!r} is unknown or repeated")
            except Problem as problem:
                raise PolicyMalformed(
                    f"line {number} of the audit policy: {problem.sentence}",
                    remedy="docs/auditors.md shows the form",
                ) from problem
        if root is None:
            raise PolicyMalformed("the audit policy pins no root", remedy="add root sha256:<hex>")
        return cls(root, log, tuple(witnesses))


def _lines(raw: bytes) -> list[str]:
    if len(raw) > MAXIMUM_BYTES:
        raise PolicyMalformed(f"an audit policy has at most {MAXIMUM_BYTES} bytes")
    try:
        lines = raw.decode().splitlines()
    except UnicodeDecodeError as error:
        raise PolicyMalformed("the audit policy is not UTF-8 text") from error
    if not lines or lines[0].strip() != HEADER:
        raise PolicyMalformed(f"an audit policy starts with the line {HEADER}")
    return lines
