"""What agent and broker say to each other: one JSON document per packet, between trusted ends.

Bulk (bundles, parameters, aggregates, values, withdrawn tokens) travels beside a message as
sealed memory, never inside it. The agent imports this module, so it needs no numpy.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from capsule_runtime.broker.errors import MessageRefused
from jobs.libraries import BASE, runtime_of
from trust import schema
from trust.documents.rules import Bound, ReleaseRules
from trust.errors import Malformed
from trust.ids import CampaignId, CapsuleId, Digest, ReportId, WorkerId

# SOCK_SEQPACKET keeps the borders; a longer packet is a fault of ours (sandbox.md 8.4).
MAXIMUM_PACKET_BYTES = 64 * 1024


@dataclass(frozen=True)
class Setup:
    """Agent: the first message. Beside it the journal's rounds: lines `campaign round rho`."""

    state: str
    territory: str
    worker: WorkerId
    libraries: tuple[str, ...]
    ledger_counter: int  # the last ledger checkpoint that the journal saw
    ledger_hash: bytes


@dataclass(frozen=True)
class Ready:
    """Broker: the self-test is done; `level` L0 means that nothing native will run."""

    level: str
    reasons: tuple[str, ...]
    image: Digest  # of the base runtime
    libraries: tuple[str, ...]  # of all runtimes; and tenseal, if this process can encrypt
    capsules: int
    ledger_counter: int
    ledger_hash: bytes
    images: dict[str, Digest] = field(default_factory=dict)  # of the runtimes with more libraries

    def image_for(self, libraries: Collection[str]) -> Digest:
        """The image that a bundle with these libraries runs in; of nothing where there is none."""
        name = runtime_of(libraries)
        return self.image if name == BASE else self.images.get(name, Digest.of(b""))


@dataclass(frozen=True)
class Inspect:
    """Agent: read the bundle in the memory beside this."""

    run: int


@dataclass(frozen=True)
class Inspected:
    """Broker: what the bundle's manifest demands, as plain documents."""

    run: int
    bundle: Digest
    manifest: Digest
    name: str
    version: str
    rules: tuple[ReleaseRules, ...]
    tables: dict[str, tuple[str, ...]]
    bounds: dict[str, Bound]
    libraries: tuple[str, ...]
    rounds: int
    charge: str  # zCDP of one round for one privacy unit, a fraction as text


@dataclass(frozen=True)
class Sealing:
    """To whom and for which report a share is sealed; the agent has verified the keys."""

    helper: bytes  # the helper's X25519 key for this campaign, 32 bytes
    plan: Digest
    report: ReportId
    profile: str | None = None  # of the epoch's public key, under `encrypted`


@dataclass(frozen=True)
class Contribute:
    """Agent: run `contribute` over every eligible capsule. Beside it: bundle, parameters.

    Under `encrypted` the epoch's public key lies there too. The agent has checked that this may
    run; the broker checks consents and budget. `sealing` is there exactly when the voted
    protection has a helper.
    """

    run: int
    campaign: CampaignId
    round: int
    purpose: str
    sealing: Sealing | None = None


@dataclass(frozen=True)
class Conclude:
    """Agent: run `conclude`. Beside it: bundle, parameters, aggregate."""

    run: int


@dataclass(frozen=True)
class KeyWanted:
    """Broker: one capsule's key, please."""

    run: int
    capsule: CapsuleId


@dataclass(frozen=True)
class Key:
    """Agent: the unwrapped key, or None when no live grant opens the capsule."""

    run: int
    capsule: CapsuleId
    key: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Reserved:
    """Broker: the cohort is charged, durably; nothing has run yet."""

    run: int
    capsules: int
    ledger_counter: int
    ledger_hash: bytes


@dataclass(frozen=True)
class Advanced:
    """Broker: how many of the cohort's capsules are done."""

    run: int
    done: int
    total: int


@dataclass(frozen=True)
class Contributed:
    """Broker: the protected sum; its blob lies beside this, and the sealed seed, if any.

    `withdrawals` counts the Withdraw messages that the broker had seen when it decided: a
    result that crossed with a later one is thrown away by the agent.
    """

    run: int
    capsules: int
    contributors: int
    variances: dict[str, str]
    rho: str
    withdrawals: int
    neutral: int  # contributions that the neutral vector replaced; stays on this worker


@dataclass(frozen=True)
class Concluded:
    """Broker: the report arrays; their column-format blob lies beside this."""

    run: int


@dataclass(frozen=True)
class Failed:
    """Broker: the run ended without a result; nothing of it left the broker."""

    run: int
    code: str
    kind: str
    sentence: str
    remedy: str
    retryable: bool


@dataclass(frozen=True)
class Withdraw:
    """Agent: these revocation tokens count from now on; beside it, 32 bytes each."""

    number: int


@dataclass(frozen=True)
class Cancel:
    """Agent: stop this run before anything of it leaves."""

    run: int


Message = (
    Setup
    | Ready
    | Inspect
    | Inspected
    | Contribute
    | Conclude
    | KeyWanted
    | Key
    | Reserved
    | Advanced
    | Contributed
    | Concluded
    | Failed
    | Withdraw
    | Cancel
)
_TYPES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        *(Setup, Ready, Inspect, Inspected, Contribute, Conclude, KeyWanted, Key, Reserved),
        *(Advanced, Contributed, Concluded, Failed, Withdraw, Cancel),
    )
}


def plain(text: str, longest: int) -> str:
    """`text` as a document may hold it: cut to `longest` characters, and Unicode only.

    A sentence that quotes a file name may hold what is not: Python keeps the name's bytes as
    lone surrogates, which no signed document and no packet can be written with.
    """
    return text[:longest].encode("utf-8", "replace").decode()


def encode(message: Message) -> bytes:
    """The packet of `message`. Raises MessageRefused when it is too long."""
    name = type(message).__name__
    packet = b'{"%s":%s}' % (name.encode(), schema.encode(message))
    if len(packet) > MAXIMUM_PACKET_BYTES:
        raise MessageRefused(
            f"a {name} of {len(packet)} bytes does not fit one packet",
            remedy="the bundle declares more outputs or parameters than a worker can handle",
        )
    return packet


def decode(packet: bytes) -> Message:
    """The message in `packet`. Raises MessageRefused."""
    head, _, rest = packet.partition(b":")
    try:
        cls = _TYPES[json.loads(head.removeprefix(b"{"))]
        message: Message = schema.decode(cls, rest.removesuffix(b"}"))
    except (ValueError, KeyError, TypeError, Malformed) as error:
        raise MessageRefused("agent and broker do not speak the same language") from error
    return message
