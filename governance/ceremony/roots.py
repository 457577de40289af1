"""Composing a territory root: duties, log policy, validity; and the next version of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from governance.drafts import read_file
from governance.errors import CeremonyRefused
from governance.offer import Offer
from trust.documents.root import Duty, DutyKeys, Root
from trust.keys import PublicKey
from trust.log.cosignature import CosignerKey
from trust.log.policy import Policy

# Long enough for a city's calendar, short enough that a forgotten root stops being believed.
DEFAULT_DAYS = 730
MAXIMUM_DAYS = 3660
MAXIMUM_ADDRESS = 500  # letters
# One trustee who can act alone would be a second keyholder; protection.shamir deals so many.
LEAST_TRUSTEES, MAXIMUM_TRUSTEES = 2, 16
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_QUORUM = "quorum-of-witnesses"


@dataclass(frozen=True)
class Witness:
    """An independent party that cosigns checkpoints, and where the log reaches it."""

    key: CosignerKey
    url: str


@dataclass(frozen=True)
class Composition:
    """Everything that people decide at the ceremony."""

    root_keys: tuple[PublicKey, ...]
    root_threshold: int
    college_keys: tuple[PublicKey, ...]
    college_threshold: int
    status_key: PublicKey
    registry_key: PublicKey | None
    helper_key: PublicKey | None
    keyholder_key: PublicKey | None
    trustee_keys: tuple[PublicKey, ...]
    trustee_threshold: int | None
    witnesses: tuple[Witness, ...]
    quorum: int
    status_url: str
    days: int
    graph_key: PublicKey | None = None


def compose(offer: Offer, choice: Composition, now: datetime, previous: Root | None = None) -> Root:
    """The root to sign: version 1, or the successor of `previous`. Raises CeremonyRefused."""
    if previous is not None and previous.territory != offer.territory:
        raise CeremonyRefused(
            f"the previous root is of {previous.territory}, the offer of {offer.territory}",
            remedy="give the offer and the previous root of one territory",
        )
    if not 1 <= choice.days <= MAXIMUM_DAYS:
        raise CeremonyRefused(
            f"a root lasts 1 to {MAXIMUM_DAYS} days, not {choice.days}",
            remedy=f"give --days 1 to {MAXIMUM_DAYS}",
        )
    _require_name(offer.territory)
    for address in (offer.site, choice.status_url, *(witness.url for witness in choice.witnesses)):
        _require_address(address)
    duties = {
        Duty.ROOT: _duty(Duty.ROOT, choice.root_keys, choice.root_threshold),
        Duty.COLLEGE: _duty(Duty.COLLEGE, choice.college_keys, choice.college_threshold),
        Duty.STATUS: DutyKeys((choice.status_key,), 1),
        Duty.ORDERS: DutyKeys((offer.orders_key,), 1),
    }
    if choice.registry_key is not None:
        duties[Duty.REGISTRY] = DutyKeys((choice.registry_key,), 1)
    if choice.helper_key is not None:
        duties[Duty.HELPER] = DutyKeys((choice.helper_key,), 1)
    if choice.graph_key is not None:
        duties[Duty.GRAPH] = DutyKeys((choice.graph_key,), 1)
    duties |= _custody(choice)
    watching = (offer.log_key.public, *(witness.key.public for witness in choice.witnesses))
    _refuse_double_duty(duties, watching)
    return Root(
        territory=offer.territory,
        version=1 if previous is None else previous.version + 1,
        issued_at=now,
        expires_at=now + timedelta(days=choice.days),
        duties=duties,
        authority=offer.authority,
        log_policy=log_policy(offer, choice.witnesses, choice.quorum),
        status_url=choice.status_url,
    )


def log_policy(offer: Offer, witnesses: Sequence[Witness], quorum: int) -> str:
    """The C2SP tlog-policy text: this log, these witnesses, `quorum` of them at least."""
    if not 1 <= quorum <= len(witnesses):
        raise CeremonyRefused(
            f"a quorum of {quorum} needs 1 to {len(witnesses)} witnesses",
            remedy="name at least one independent witness: without it the log could show two faces",
        )
    names = [witness.key.name for witness in witnesses]
    lines = [f"log {offer.log_key} {offer.site}/log"]
    lines += [f"witness {w.key.name} {w.key} {w.url}" for w in witnesses]
    lines.append(f"group {_QUORUM} {quorum} {' '.join(names)}")
    lines.append(f"quorum {_QUORUM}")
    text = "".join(f"{line}\n" for line in lines)
    Policy.parse(text.encode())  # refuses repeated names and keys before anybody signs them
    return text


def _custody(choice: Composition) -> dict[Duty, DutyKeys]:
    """Keyholder and trustees: both or neither, beside a helper. Raises CeremonyRefused."""
    if choice.keyholder_key is None and not choice.trustee_keys:
        if choice.trustee_threshold is not None:
            raise CeremonyRefused(
                "a threshold of trustees is given, and no trustee",
                remedy="name them with --trustee-key, or leave --trustee-threshold out",
            )
        return {}
    if choice.keyholder_key is None or not choice.trustee_keys or choice.trustee_threshold is None:
        raise CeremonyRefused(
            "a keyholder opens nothing without trustees, and trustees nothing without a keyholder",
            remedy="give --keyholder-key, --trustee-key and --trustee-threshold together",
        )
    if choice.helper_key is None:
        raise CeremonyRefused(
            "without a helper nobody masks what the keyholder could open alone",
            remedy="give --helper-key too",
        )
    if not choice.trustee_threshold >= LEAST_TRUSTEES or (
        len(choice.trustee_keys) > MAXIMUM_TRUSTEES
    ):
        raise CeremonyRefused(
            f"{choice.trustee_threshold} of {len(choice.trustee_keys)} trustees can't share a key",
            remedy=f"name at most {MAXIMUM_TRUSTEES} trustees, of whom {LEAST_TRUSTEES} or more "
            "must act, as in 3 of 5",
        )
    return {
        Duty.KEYHOLDER: DutyKeys((choice.keyholder_key,), 1),
        Duty.TRUSTEE: _duty(Duty.TRUSTEE, choice.trustee_keys, choice.trustee_threshold),
    }


def _duty(duty: Duty, keys: tuple[PublicKey, ...], threshold: int) -> DutyKeys:
    if len(set(keys)) != len(keys):
        raise CeremonyRefused(
            f"a key is given twice for {duty.value}",
            remedy="each member has their own key: a repeated one would not count twice",
        )
    if not 1 <= threshold <= len(keys):
        raise CeremonyRefused(
            f"{duty.value}: {threshold} of {len(keys)} keys can't be reached",
            remedy="give a threshold of at least 1 and at most the number of keys",
        )
    return DutyKeys(keys, threshold)


def _refuse_double_duty(duties: dict[Duty, DutyKeys], watching: Sequence[PublicKey]) -> None:
    """What no reader would believe later is not drafted: the members would have met in vain."""
    seen: dict[PublicKey, Duty] = {}
    for duty, holders in duties.items():
        for key in holders.keys:
            if key in seen:
                raise CeremonyRefused(
                    f"key {key.keyid} is given for {seen[key].value} and for {duty.value}",
                    remedy="make a separate key per duty: a stolen one then plays one part only",
                )
            seen[key] = duty
    for key in watching:
        if key in seen:
            raise CeremonyRefused(
                f"key {key.keyid} of the log or a witness is also given for {seen[key].value}",
                remedy="make a separate key: the log and its witnesses watch those who sign",
            )


def _require_name(territory: str) -> None:
    """The territory's name stands in certificates and on every screen."""
    if not _NAME.fullmatch(territory):
        raise CeremonyRefused(
            f"{territory[:80]!a} is not a territory's name",
            remedy="a DNS-like name of letters, digits, dots and hyphens",
        )


def _require_address(url: str) -> None:
    """An address is a word of the log policy: a blank or a new line in it would add to it."""
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAXIMUM_ADDRESS
    parts = urlsplit(url) if plain else None
    if (
        parts is None
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.username is not None
        or "#" in url
    ):
        raise CeremonyRefused(
            f"{url[:80]!a} is not an http(s) address", remedy="as in http://host.example:7004"
        )


def read_witness(text: str) -> Witness:
    """The witness given as `VKEYFILE=URL`. Raises CeremonyRefused, Malformed or KeyRefused."""
    name, separator, url = text.partition("=")
    if not separator or not url.startswith(("http://", "https://")):
        raise CeremonyRefused(
            f"{text!r} is not VKEYFILE=URL", remedy="as in W/witness.vkey=http://127.0.0.1:7003"
        )
    vkey = read_file(Path(name)).decode("utf-8", "replace").strip()
    return Witness(CosignerKey.parse(vkey), url.rstrip("/"))
