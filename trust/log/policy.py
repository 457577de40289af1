"""C2SP tlog-policy: which logs count, and which witnesses must have cosigned a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from trust.errors import LogRefused, Malformed, TooLarge
from trust.keys import PublicKey
from trust.log.checkpoint import VerifiedCheckpoint, confirm, open_checkpoint
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey

POLICY_LIMIT = 64 * 1024  # bytes
NAMES_LIMIT = 256  # logs, witnesses and groups together; tlog-policy asks for 32 of each

_NONE = "none"
_SPACES = re.compile(r"[ \t]+")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,3}")

_K = TypeVar("_K")


@dataclass(frozen=True)
class PolicyLog:
    """A log that the policy accepts, and where to reach it ("" when not said)."""

    key: LogKey
    url: str


@dataclass(frozen=True)
class PolicyWitness:
    """A witness by the policy's own name for it, and where to reach it ("" when not said)."""

    name: str
    key: CosignerKey
    url: str


@dataclass(frozen=True)
class PolicyGroup:
    """Witnessed when at least `threshold` of its members are."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """A parsed policy; `text` is the file verbatim, `quorum` is None when none is asked."""

    text: bytes
    logs: tuple[PolicyLog, ...]
    witnesses: Mapping[str, PolicyWitness]
    groups: Mapping[str, PolicyGroup]
    quorum: str | None

    @classmethod
    def parse(cls, text: bytes) -> Policy:
        """The policy in a file. Raises Malformed (naming the line), TooLarge."""
        return _Reader(text).policy()

    def verify(self, note: bytes) -> VerifiedCheckpoint:
        """The checkpoint in `note` under this policy. Raises Malformed, LogRefused."""
        signed = open_checkpoint(
            note,
            [log.key for log in self.logs],
            [witness.key for witness in self.witnesses.values()],
        )
        return confirm(signed, self)

    def require(self, cosigners: frozenset[CosignerKey]) -> None:
        """Return when `cosigners` are a quorum. Raises LogRefused naming who is missing."""
        if self.quorum is None or self._witnessed(self.quorum, cosigners):
            return
        missing = [name for name in self._members(self.quorum) if not self._has(name, cosigners)]
        raise LogRefused(
            f"the checkpoint lacks its quorum {self._shown(self.quorum)}: "
            f"no cosignature of {', '.join(missing)}",
            remedy="wait until these witnesses have cosigned, then fetch the checkpoint again",
        )

    def _has(self, name: str, cosigners: frozenset[CosignerKey]) -> bool:
        return self.witnesses[name].key in cosigners

    def _witnessed(self, name: str, cosigners: frozenset[CosignerKey]) -> bool:
        if name in self.witnesses:
            return self._has(name, cosigners)
        group = self.groups[name]
        present = sum(self._witnessed(member, cosigners) for member in group.members)
        return present >= group.threshold

    def _members(self, name: str) -> list[str]:
        if name in self.witnesses:
            return [name]
        return [leaf for member in self.groups[name].members for leaf in self._members(member)]

    def _shown(self, name: str) -> str:
        if name in self.witnesses:
            return name
        group = self.groups[name]
        return f"{name} ({group.threshold} of {len(group.members)})"


class _Reader:
    """One pass over a policy file, line by line."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._line = 0
        self._logs: list[PolicyLog] = []
        self._witnesses: dict[str, PolicyWitness] = {}
        self._groups: dict[str, PolicyGroup] = {}
        self._keys: set[PublicKey] = set()
        self._members: set[str] = set()
        self._quorum: list[str] = []

    def policy(self) -> Policy:
        for fields in self._fields():
            self._read(fields)
        if len(self._quorum) != 1:
            self._line = 0
            raise self._malformed(f"has {len(self._quorum)} quorum lines instead of one")
        quorum = self._quorum[0]
        return Policy(
            self._text,
            tuple(self._logs),
            self._witnesses,
            self._groups,
            None if quorum == _NONE else quorum,
        )

    def _fields(self) -> list[list[str]]:
        if len(self._text) > POLICY_LIMIT:
            raise TooLarge(f"a log policy has at most {POLICY_LIMIT} bytes")
        if any((b < 0x20 and b not in b"\t\n") or b == 0x7F for b in self._text):
            raise self._malformed("has a control character other than tab and newline")
        if self._text and not self._text.endswith(b"\n"):
            raise self._malformed("does not end with a newline: it may be cut off")
        # Names are opaque octets: surrogateescape keeps every byte string distinct.
        lines = self._text.decode("utf-8", "surrogateescape").split("\n")
        return [_SPACES.split(line.strip(" \t")) for line in lines]

    def _read(self, fields: list[str]) -> None:
        self._line += 1
        if not fields[0] or fields[0].startswith("#"):
            return
        match fields:
            case ["log", vkey]:
                self._log(vkey, "")
            case ["log", vkey, url]:
                self._log(vkey, url)
            case ["witness", name, vkey]:
                self._witness(name, vkey, "")
            case ["witness", name, vkey, url]:
                self._witness(name, vkey, url)
            case ["group", name, threshold, _, *_]:
                self._group(name, threshold, tuple(fields[3:]))
            case ["quorum", name]:
                if name != _NONE:
                    self._defined(name)
                self._quorum.append(name)
            case _:
                raise self._malformed(
                    "is none of: log <vkey> [url], witness <name> <vkey> [url], "
                    "group <name> all|any|<k> <name>..., quorum <name>|none"
                )
        if len(self._logs) + len(self._witnesses) + len(self._groups) > NAMES_LIMIT:
            raise TooLarge(f"a log policy defines at most {NAMES_LIMIT} names")

    def _log(self, vkey: str, url: str) -> None:
        key = self._key(LogKey.parse, vkey)
        self._once(key.public)
        self._logs.append(PolicyLog(key, url))

    def _witness(self, name: str, vkey: str, url: str) -> None:
        key = self._key(CosignerKey.parse, vkey)
        # The same key under two names would count twice, and a log whose own key counted as a
        # witness would vouch for itself: keys are compared by their bytes.
        self._once(key.public)
        self._fresh(name)
        self._witnesses[name] = PolicyWitness(name, key, url)

    def _group(self, name: str, threshold: str, members: tuple[str, ...]) -> None:
        for member in members:
            self._defined(member)
            if member in self._members:
                raise self._malformed(f"lists {_shown(member)} as a member for the second time")
            self._members.add(member)
        match threshold:
            case "all":
                count = len(members)
            case "any":
                count = 1
            case _ if _THRESHOLD.fullmatch(threshold) and int(threshold) <= len(members):
                count = int(threshold)
            case _:
                raise self._malformed(f"needs all, any or 1 to {len(members)}")
        self._fresh(name)
        self._groups[name] = PolicyGroup(name, count, members)

    def _key(self, parse: Callable[[str], _K], vkey: str) -> _K:
        try:
            return parse(vkey)
        except Malformed as error:
            raise self._malformed(f"has no usable key: {error.sentence}") from error

    def _once(self, key: PublicKey) -> None:
        if key in self._keys:
            raise self._malformed("repeats the key of another log or witness")
        self._keys.add(key)

    def _fresh(self, name: str) -> None:
        if name == _NONE or name in self._witnesses or name in self._groups:
            raise self._malformed(f"defines the name {_shown(name)}, which is taken")

    def _defined(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise self._malformed(f"names {_shown(name)}, which no earlier line defines")

    def _malformed(self, what: str) -> Malformed:
        subject = f"line {self._line} of the log policy" if self._line else "the log policy"
        return Malformed(f"{subject} {what}", remedy="see c2sp.org/tlog-policy for the form")


def _shown(name: str) -> str:
    return repr(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[:80])
