"""Signing a root and showing how far the signatures reach."""

from __future__ import annotations

from governance.drafts import Draft, require_plain
from governance.errors import CeremonyRefused
from trust.documents.root import Duty, Root
from trust.keys import PublicKey
from trust.log.policy import Policy


def require_root_key(root: Root, key: PublicKey, previous: Root | None) -> None:
    """Raise CeremonyRefused unless `key` is a root key of this root or of the one it replaces."""
    own = root.duties[Duty.ROOT].keys if Duty.ROOT in root.duties else ()
    before = previous.duties[Duty.ROOT].keys if previous and Duty.ROOT in previous.duties else ()
    if key in own or key in before:
        return
    hint = " or give --previous, when the key belongs to the root being replaced"
    raise CeremonyRefused(
        f"key {key.keyid} is no root key of this root: its signature would count for nothing",
        remedy=f"sign with one of the root keys{hint if root.version > 1 else ''}",
    )


def standing(draft: Draft) -> dict[str, object]:
    """How many of the root's own keys have signed, and whether that suffices."""
    root = draft.document(Root)
    duty = root.duties.get(Duty.ROOT)
    if duty is None:
        raise CeremonyRefused(
            "this root names no root keys: nobody could ever replace it",
            remedy="draft it again with `cadastre root draft`",
        )
    signers = draft.signers(duty.keys)
    return {
        "territory": root.territory,
        "version": root.version,
        "signed by": [key.keyid for key in duty.keys if key in signers],
        "still needed": max(0, duty.threshold - len(signers)),
        # The digest is what tokens and auditors pin; it changes with every signature.
        "digest": draft.envelope.digest if draft.envelope else "not signed yet",
    }


def show(draft: Draft) -> dict[str, object]:
    """Everything that a root says, a line per duty, witness and date."""
    root = draft.document(Root)
    fields: dict[str, object] = dict(standing(draft))
    policy = Policy.parse(root.log_policy.encode())
    require_plain(root.territory, root.status_url, root.log_policy.replace("\n", ""))
    for duty, holders in sorted(root.duties.items()):
        names = ", ".join(str(key) for key in holders.keys)
        fields[duty.value] = f"{holders.threshold} of {len(holders.keys)}: {names}"
    for number, log in enumerate(policy.logs, 1):
        fields["log" if number == 1 else f"log {number}"] = f"{log.key} {log.url}"
    for name, witness in policy.witnesses.items():
        fields[f"witness {name}"] = f"{witness.key} {witness.url}"
    for name, group in policy.groups.items():
        if name != policy.quorum:
            members = ", ".join(group.members)
            fields[f"group {name}"] = f"{group.threshold} of {len(group.members)}: {members}"
    fields["quorum"] = _quorum(policy)
    fields["status"] = root.status_url
    fields["issued"] = f"{root.issued_at:%Y-%m-%d %H:%M} UTC"
    fields["expires"] = f"{root.expires_at:%Y-%m-%d %H:%M} UTC"
    return fields


def _quorum(policy: Policy) -> str:
    """What the log needs before anybody believes it, as the policy itself asks for it."""
    if policy.quorum is None:
        return "none: the log needs no witness and could show two faces"
    if policy.quorum in policy.witnesses:
        return f"{policy.quorum} alone"
    group = policy.groups[policy.quorum]
    of = "witnesses" if set(group.members) <= set(policy.witnesses) else "members"
    return f"{group.threshold} of {len(group.members)} {of}: {', '.join(group.members)}"
