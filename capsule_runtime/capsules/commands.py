"""What `cadastre capsule …` does: files and stores in, sentences and tables out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from capsule_runtime.capsules import card as cards
from capsule_runtime.capsules import grants, sealed
from capsule_runtime.capsules.directory import CARD, GRANTS, OwnerDirectory, file_all
from capsule_runtime.capsules.errors import OwnerDirectoryRefused
from capsule_runtime.capsules.mapping_file import read_mapping
from capsule_runtime.capsules.store import FILE_NAME, CapsuleStore, tombstone_token
from capsule_runtime.consents import ConsentStore
from durable.files import write_atomic
from durable.keyfile import read_key
from terminal.exits import OK
from terminal.output import Output
from terminal.progress import Progress
from trust import clock, entropy
from trust.clock import SystemClock
from trust.ids import CapsuleId


def seal(
    source: Path,
    mapping: Path,
    out: Path,
    *,
    card: Path | None,
    owner_key: Path | None,
    days: int,
    as_json: bool,
) -> int:
    """`capsule seal`."""
    # numpy is imported here, so that listing and erasing start at once.
    from capsule_runtime.capsules.sealing import seal_source  # noqa: PLC0415

    chosen = None if card is None else cards.read_card(card)
    with Progress(100, "sealing capsules") as bar:
        made = seal_source(
            source,
            read_mapping(mapping),
            out,
            clock=SystemClock(),
            entropy=entropy.SYSTEM,
            card=None if card is None else card.read_bytes(),
            owner=None if owner_key is None else read_key(owner_key),
            lifetime=timedelta(days=days),
            progress=lambda done, total: bar.reach(100 * done // total),
        )
    output = Output(as_json=as_json)
    output.record(
        {
            "directory": str(out),
            "capsules": made.capsules,
            "rows": made.rows,
            "dropped_rows": made.dropped,
            "data_class": made.data_class.value,
            "unit": made.unit.value,
            "grants": made.grants,
            # The owner sees who administers the machine that was chosen.
            "operator": chosen.operator if chosen else None,
            "site": chosen.site if chosen else None,
        }
    )
    output.line(
        "keys/ opens your capsules: keep it, show it to nobody. Nobody may use them yet: "
        "`cadastre consent grant`."
    )
    return OK


def grant(directory: Path, card: Path | None, days: int, *, as_json: bool) -> int:
    """`capsule grant`."""
    owner = OwnerDirectory(directory)
    host = owner.card() if card is None else cards.read_card(card)
    now = SystemClock().now()
    keys = list(owner.owner_keys())
    made: dict[str, bytes] = {}
    with Progress(len(keys), "writing grants") as bar:
        for key in keys:
            made[f"{key.capsule}.{host.worker}.grant"] = grants.issue(
                key.capsule,
                key.capsule_key,
                key.signing,
                host,
                now=now,
                entropy=entropy.SYSTEM,
                lifetime=timedelta(days=days),
            )
            bar.advance()
    file_all(directory / GRANTS, made)
    if card is not None:
        write_atomic(directory / CARD, card.read_bytes())
    Output(as_json=as_json).record(
        {
            "grants": len(keys),
            "worker": host.worker,
            "operator": host.operator,
            "site": host.site,
            "expires_at": clock.to_text(now + timedelta(days=days)),
        }
    )
    return OK


def host(source: Path, state: Path, *, as_json: bool) -> int:
    """`capsule host`: from an owner's directory, or from single capsule and grant files."""
    files, grant_files = _hostable(source)
    with (
        closing(CapsuleStore(state, SystemClock())) as store,
        Progress(len(files) + len(grant_files), "verifying capsules and grants") as bar,
    ):
        # One at a time: a company's capsules may not fit the memory together.
        done = store.add(
            (sealed.parse(raw) for raw in _read_all(files, bar)), _read_all(grant_files, bar)
        )
    Output(as_json=as_json).record(
        {"hosted": done.added, "unchanged": done.unchanged, "grants": done.grants}
    )
    return OK


def list_hosted(state: Path, *, as_json: bool) -> int:
    """`capsule list`."""
    rows: list[tuple[str, str, str, int, str | None]] = []
    if (state / FILE_NAME).exists():
        with closing(CapsuleStore(state, SystemClock())) as store:
            rows = [
                (
                    capsule.id,
                    capsule.data_class.value,
                    capsule.unit.value,
                    capsule.bytes,
                    clock.to_text(capsule.grant_expires_at) if capsule.grant_expires_at else None,
                )
                for capsule in store.hosted()
            ]
    Output(as_json=as_json).table(["capsule", "class", "unit", "bytes", "grant_until"], rows)
    return OK


def erase(names: list[str], state: Path | None, directory: Path | None, *, as_json: bool) -> int:
    """`capsule erase`: on a worker (--state), at the owner's (--directory), or both."""
    if state is None and directory is None:
        raise OwnerDirectoryRefused(
            "there is nothing to erase from",
            remedy="give --state of the worker, --directory of the owner, or both",
        )
    capsules = [CapsuleId.parse(name) for name in names]
    rows: list[tuple[str, str, str]] = []
    # The owner's keys go first: without them not even a new grant can be made.
    if directory is not None:
        for capsule in capsules:
            OwnerDirectory(directory).erase(capsule)
        rows += [(capsule, str(directory), tombstone_token(capsule)) for capsule in capsules]
    if state is not None:
        with closing(ConsentStore(state)) as consents:
            consents.erase(capsules)
        with closing(CapsuleStore(state, SystemClock())) as store:
            store.erase(capsules)
        rows += [(capsule, str(state), tombstone_token(capsule)) for capsule in capsules]
    output = Output(as_json=as_json)
    output.table(["erased", "from", "tombstone"], rows)
    output.line("Statistics that were released before cannot be recalled.")
    return OK


def _hostable(source: Path) -> tuple[list[Path], list[Path]]:
    if source.is_dir():
        owner = OwnerDirectory(source)
        return owner.capsule_files(), owner.grant_files()
    if source.suffix == ".grant":
        return [], [source]
    return [source], sorted((source.parent.parent / GRANTS).glob(f"{source.stem}.*.grant"))


def _read_all(paths: Iterable[Path], bar: Progress) -> Iterator[bytes]:
    for path in paths:
        yield _read(path)
        bar.advance()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OwnerDirectoryRefused(
            f"could not read {path}: {error.strerror}",
            remedy="give an owner's directory, a .capsule file or a .grant file",
        ) from error
