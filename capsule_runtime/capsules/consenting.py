"""What `cadastre consent …` does: one decision for one owner, or for a directory of them."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from capsule_runtime.capsules import card as cards
from capsule_runtime.capsules import decisions
from capsule_runtime.capsules.directory import KEYS, OwnerDirectory, OwnerKey, read_owner_key
from capsule_runtime.capsules.errors import ConsentRefused, OwnerDirectoryRefused
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentStore
from terminal.exits import OK, explain
from terminal.output import Output
from terminal.progress import Progress
from trust import clock, schema
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.consent import PURPOSE_PREFIX, Consent, Decision
from trust.dsse import Envelope
from trust.ids import CapsuleId, Digest
from trust.problem import Problem


@dataclass(frozen=True)
class Request:
    """What the owner asked for on the command line."""

    keys: Path
    bundle: str | None
    purpose: str | None
    tables: tuple[str, ...]
    only: tuple[str, ...]
    only_file: Path | None
    card: Path | None
    serial: int | None
    days: int | None  # None: withdraw

    state: Path | None

    @property
    def target(self) -> str:
        """The consent's target."""
        if self.bundle is not None:
            return Digest.parse(self.bundle)
        return f"{PURPOSE_PREFIX}{self.purpose}"


def decide_all(request: Request, *, as_json: bool) -> int:
    """`consent grant` and `consent revoke`."""
    directory, keys = _keys(request)
    host = directory.card() if request.card is None else cards.read_card(request.card)
    target, now = request.target, SystemClock().now()
    known = decisions.last_serials(directory.path)
    tag = decisions.target_tag(target)
    days = 365 if request.days is None else request.days
    made: list[signed.Signed[Consent]] = []
    with Progress(len(keys), "signing decisions") as bar:
        for key in keys:
            made.append(
                decisions.decide(
                    key,
                    Decision.REVOKE if request.days is None else Decision.GRANT,
                    target,
                    _tables(directory, key.capsule, request.tables),
                    territory=host.territory,
                    worker=host.worker,
                    serial=request.serial or known.get((key.capsule, tag), 0) + 1,
                    now=now,
                    lifetime=timedelta(days=days),
                )
            )
            bar.advance()
    # The owner's own copy first: if we crash before the worker's store has it, repeating the
    # command signs the next serial, which wins.
    decisions.write_decisions(directory.path, made)
    refused: list[Problem] = []
    if request.state is not None:
        refused = _store(request.state, [found.envelope.raw for found in made])
    Output(as_json=as_json).record(
        {
            "decision": made[0].document.decision.value,
            "target": target,
            "capsules": len(made),
            "worker": host.worker,
            "operator": host.operator,
            "site": host.site,
            "expires_at": clock.to_text(made[0].document.expires_at),
            "stored_here": None if request.state is None else len(made) - len(refused),
        }
    )
    return explain(refused[0]) if refused else OK


def list_decisions(directory: Path, *, as_json: bool) -> int:
    """`consent list`: the last words filed in an owner's directory."""
    rows = []
    for raw in decisions.read_directory(directory):
        consent = schema.decode(Consent, Envelope.parse(raw).payload)
        rows.append(
            (
                consent.capsule,
                consent.target,
                consent.serial,
                consent.decision.value,
                ", ".join(consent.tables),
                clock.to_text(consent.expires_at),
            )
        )
    Output(as_json=as_json).table(
        ["capsule", "target", "serial", "decision", "tables", "expires_at"], rows
    )
    return OK


def _keys(request: Request) -> tuple[OwnerDirectory, list[OwnerKey]]:
    if request.keys.is_dir():
        directory = OwnerDirectory(request.keys)
        wanted = _wanted(request)
        if wanted is None:
            keys = list(directory.owner_keys())
        else:
            keys = [directory.key(capsule) for capsule in wanted]
    else:
        directory = OwnerDirectory(request.keys.absolute().parent.parent)
        keys = [read_owner_key(request.keys)]
    if not keys:
        raise OwnerDirectoryRefused(
            f"{request.keys} holds no key to decide with",
            remedy=f"look into its {KEYS}/; erased capsules have none",
        )
    return directory, keys


def _wanted(request: Request) -> list[CapsuleId] | None:
    names = list(request.only)
    if request.only_file is not None:
        try:
            names += request.only_file.read_text("ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise OwnerDirectoryRefused(
                f"could not read the list of capsules {request.only_file}",
                remedy="give a text file with one capsule id a line",
            ) from error
    elif not names:
        return None
    return [CapsuleId.parse(name) for name in dict.fromkeys(names)]


def _tables(
    directory: OwnerDirectory, capsule: CapsuleId, asked: Collection[str]
) -> Collection[str]:
    present = directory.header(capsule).tables
    unknown = sorted(set(asked) - set(present))
    if unknown:
        raise ConsentRefused(
            f"the capsule has no table {unknown[0]!r}",
            remedy=f"its tables are {', '.join(sorted(present))}",
            capsule=capsule,
        )
    return asked or present


def _store(state: Path, raws: list[bytes]) -> list[Problem]:
    with (
        closing(CapsuleStore(state, SystemClock())) as capsules,
        closing(ConsentStore(state)) as consents,
    ):
        # One query for all owners: a lookup each would open 5,000 statements.
        owners = capsules.owners()
        outcome = consents.add(raws, lambda name: owners.get(name) or capsules.owner(name))
    return [problem for _, problem in outcome.refused]
