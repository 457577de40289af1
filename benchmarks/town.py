"""A territory of real processes in a folder of its own, and how a bundle comes to run on it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.house import SCRATCH
from loopback.processes import Processes
from loopback.territory import Site, Territory


@contextmanager
def founded(sites: Sequence[Site]) -> Iterator[Territory]:
    """Everything up to the first capsule; workers are joined and do not run yet."""
    with tempfile.TemporaryDirectory(prefix="cadastre-bench-", dir=SCRATCH) as folder:
        home = Path(folder)
        # Workers that root starts run as their own user.
        home.chmod(0o711)
        grid = Territory(Processes(home / "logs", lambda _: None), home)
        try:
            grid.found()
            grid.enrol(list(sites))
            (home / "owners").mkdir(mode=0o700)
            yield grid
        finally:
            grid.processes.stop_all()


def host(grid: Territory, worker: int, source: Path, mapping: Path, owner: str) -> Path:
    """Seal `source` as `owner` and leave it with a worker; the owner's folder."""
    folder, state = grid.home / "owners" / owner, grid.workers[worker]
    run, card = grid.processes.run, ("--worker", state / "card.json")
    run("capsule", "seal", source, "--mapping", mapping, "--out", folder, *card)
    run("capsule", "host", folder, "--state", state)
    return folder


def admit(grid: Territory, source: Path, owners: Sequence[Path], *, library: str = "numpy") -> str:
    """The bundle in the folder `source`: signed, voted, consented to by `owners`; its digest."""
    run, operator = grid.processes.run, grid.operator
    packed = grid.home / f"signed-{source.name}"
    packed.mkdir()
    runtime = ("--library", library, "--state", grid.workers[0])
    image = run("worker", "image", *runtime)["image"]
    signed = run("bundle", "sign", source, "--key", packed / "author", "--new-key", "--out", packed)
    run("bundle", "submit", Path(signed["bundle"]), "--as", operator)
    grid.authorise(Path(signed["bundle"]), image, campaigns=1, rho="0.5")
    for owner in owners:
        run("consent", "grant", owner, "--bundle", signed["digest"])
        run("consent", "submit", owner, "--registry", grid.registry, "--as", operator)
    return str(signed["digest"])
