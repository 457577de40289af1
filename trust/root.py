"""The chain of territory roots, walked as in The Update Framework.

The first root is trusted by its pinned hash (an enrolment token or an auditor's policy file
carries it); each later one must be signed by a threshold of the previous root's keys and by a
threshold of its own, with a version exactly one higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from trust import dsse, schema
from trust.documents import signed
from trust.documents.root import Duty, DutyKeys, Root
from trust.errors import Malformed, RootRefused
from trust.ids import Digest
from trust.keys import PublicKey
from trust.log.policy import Policy

D = TypeVar("D", bound=signed.Document)

# No territory has rotated its keys this often; a longer chain is somebody wasting our time.
MAXIMUM_CHAIN = 256


@dataclass(frozen=True)
class TrustedRoot:
    """A root that the pin or its predecessor vouches for; made by the functions below."""

    document: Root
    digest: Digest  # of the envelope

    def keys(self, duty: Duty) -> DutyKeys:
        """The keys of `duty`. Raises RootRefused when the root gives it to nobody."""
        holders = self.document.duties.get(duty)
        if holders is None:
            raise RootRefused(
                f"the territory root names no key for {duty.value}",
                remedy=f"ask the cooperative for a next root that gives {duty.value} to somebody",
            )
        return holders

    def verify(self, cls: type[D], raw: bytes, duty: Duty) -> signed.Signed[D]:
        """The document in `raw`, signed by this territory's threshold for `duty`."""
        holders = self.keys(duty)
        return signed.verify(cls, raw, holders.keys, threshold=holders.threshold)

    def require_current(self, now: datetime) -> None:
        """Raise RootRefused once the root has expired."""
        if now >= self.document.expires_at:
            raise RootRefused(
                f"the territory root version {self.document.version} expired at "
                f"{self.document.expires_at:%Y-%m-%d}",
                remedy="ask the territory's operator for the next root",
            )


def trust_pinned(raw: bytes, pin: Digest) -> TrustedRoot:
    """The root whose envelope has the digest `pin`. Raises RootRefused, also for a weak root."""
    if Digest.of(raw) != pin:
        raise RootRefused(
            f"the territory root offered here is {Digest.of(raw)}, not the pinned {pin}",
            remedy="someone serves another root: compare the pin with the cooperative's paper copy",
        )
    envelope = dsse.Envelope.parse(raw)
    claimed = schema.decode(Root, envelope.payload)
    return _accept(envelope, _own_keys(claimed), claimed)


def rotate(current: TrustedRoot, raw: bytes) -> TrustedRoot:
    """The successor of `current`. Raises RootRefused or SignatureInvalid."""
    envelope = dsse.Envelope.parse(raw)
    previous = current.keys(Duty.ROOT)
    dsse.verify(envelope, Root.TYPE, previous.keys, threshold=previous.threshold)
    successor = schema.decode(Root, envelope.payload)
    if successor.version != current.document.version + 1:
        raise RootRefused(
            f"root version {successor.version} does not follow {current.document.version}",
            remedy=f"give version {current.document.version + 1} next: no version may be left out",
        )
    if successor.territory != current.document.territory:
        raise RootRefused(
            "a root rotation cannot rename the territory",
            remedy="draft the next root for the same territory; a new name is a new territory",
        )
    return _accept(envelope, _own_keys(successor), successor)


def walk(chain: Sequence[bytes], pin: Digest) -> TrustedRoot:
    """The newest root of `chain`, whose first element has the digest `pin`."""
    return versions(chain, pin)[-1]


def versions(chain: Sequence[bytes], pin: Digest) -> tuple[TrustedRoot, ...]:
    """Every root of `chain`, oldest first; the first element has the digest `pin`.

    Raises RootRefused or SignatureInvalid.
    """
    if not chain or len(chain) > MAXIMUM_CHAIN:
        raise RootRefused(f"a chain of roots has 1 to {MAXIMUM_CHAIN} versions")
    trusted = [trust_pinned(chain[0], pin)]
    for raw in chain[1:]:
        trusted.append(rotate(trusted[-1], raw))
    return tuple(trusted)


def _own_keys(root: Root) -> DutyKeys:
    holders = root.duties.get(Duty.ROOT)
    if holders is None:
        raise RootRefused(
            "a territory root must name its own root keys",
            remedy="write the root with `cadastre root draft`, which names them",
        )
    return holders


def _accept(envelope: dsse.Envelope, own: DutyKeys, root: Root) -> TrustedRoot:
    dsse.verify(envelope, Root.TYPE, own.keys, threshold=own.threshold)
    seen: dict[PublicKey, Duty] = {}
    for duty, holders in root.duties.items():
        if not 1 <= holders.threshold <= len(set(holders.keys)):
            raise RootRefused(
                f"{duty.value}: a threshold of {holders.threshold} over "
                f"{len(set(holders.keys))} distinct keys cannot be met",
                remedy="draft the root with at least as many keys as the duty's threshold",
            )
        for key in set(holders.keys):
            # One key with two duties would let whoever steals it play both parts.
            if key in seen:
                raise RootRefused(
                    f"key {key.keyid} has two duties, {seen[key].value} and {duty.value}",
                    remedy="draft the root with a key of its own for each duty",
                )
            seen[key] = duty
    _refuse_log_keys_with_duties(root, seen)
    return TrustedRoot(root, envelope.digest)


def _refuse_log_keys_with_duties(root: Root, duties: dict[PublicKey, Duty]) -> None:
    """The log and its witnesses watch those who sign: none of them may be one of those."""
    try:
        policy = Policy.parse(root.log_policy.encode())
    except Malformed:
        return  # nothing can be proven under it: the policy LoggedUnderQuorum refuses every run
    watching = [log.key.public for log in policy.logs]
    watching += [witness.key.public for witness in policy.witnesses.values()]
    for key in watching:
        if key in duties:
            raise RootRefused(
                f"key {key.keyid} of the log policy also has the duty {duties[key].value}",
                remedy="draft the root with other keys for the log and its witnesses",
            )
