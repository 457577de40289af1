"""A territory of real processes on which any bundle can run, for tests of every room.

Scheduler, helper, keyholder, witness, governance's status server and one worker per site are
programs of their own that speak mutual TLS over loopback; every step is a command.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from mortals import Mortals, TooLate, until

from jobs import archive, description
from loopback.processes import CommandFailed
from loopback.territory import Site, Territory
from terminal import exits
from trust.ids import Digest

ENDED = {"released", "failed", "cancelled"}
CAMPAIGN_SECONDS = 240.0
PROOF_SECONDS = 60.0


class Standing:
    """The processes of a territory, its owners and what it runs."""

    def __init__(self, home: Path, sites: Sequence[Site]) -> None:
        self.home = home
        self.lines: list[str] = []
        self.mortals = Mortals(home / "logs", self.lines.append)
        self.grid = Territory(self.mortals, home)
        self.run = self.mortals.run
        self.owners: list[Path] = []  # in the order of hosting
        self._sites = list(sites)
        self._defaults: dict[str, dict[str, str]] = {}  # of parameters, by the bundle's digest

    @property
    def workers(self) -> list[str]:
        """The names of the worker processes."""
        return [state.name for state in self.grid.workers]

    @property
    def asked(self) -> tuple[str, str]:
        """Where the scheduler asks helper and keyholder."""
        return self.grid.helper, self.grid.keyholder

    def found(self) -> None:
        """Everything but capsules, workers' processes and votes."""
        self.grid.found()
        self.grid.enrol(self._sites)

    def replace_scheduler(self, program: Path) -> None:
        """Stop the scheduler and run `program` on its state; its ports answer afterwards."""
        self.mortals.stop("work")
        state = self.home / "scheduler"
        self.mortals.serve("work", state, *self.asked, program=(program,))
        for port in ("work", "enrol", "http"):
            self.mortals.wait_until("work", self.mortals.answers(self.grid.ports[port]))

    def host(self, worker: int, source: Path, mapping: Path) -> None:
        """Seal `source` as one owner, on a worker that does not run yet."""
        state = self.grid.workers[worker]
        folder = self.home / "owners" / str(len(self.owners) + 1)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        card = ("--worker", state / "card.json")
        self.run("capsule", "seal", source, "--mapping", mapping, "--out", folder, *card)
        self.run("capsule", "host", folder, "--state", state)
        self.owners.append(folder)

    def work(self) -> None:
        """The workers start."""
        self.grid.start_workers()

    def admit(
        self,
        source: Path,
        *,
        library: str = "numpy",
        campaigns: int = 10,
        owners: Sequence[Path] | None = None,
    ) -> str:
        """The bundle in the folder `source`: signed, voted, consented to; its digest.

        Every owner consents, or these `owners` only.
        """
        chosen = ("--library", library, "--state", self.grid.workers[0])
        image = self.run("worker", "image", *chosen)["image"]
        folder = self.home / "bundles"
        new = [] if folder.exists() else ["--new-key"]
        folder.mkdir(exist_ok=True)
        author = ("--key", folder / "author", *new, "--out", folder)
        signed = self.run("bundle", "sign", source, *author)
        packed, digest = Path(signed["bundle"]), str(signed["digest"])
        self._defaults[digest] = dict(description.defaults(archive.pack_folder(source).manifest))
        self.run("bundle", "submit", packed, "--as", self.grid.operator)
        self.grid.authorise(packed, image, campaigns=campaigns, rho="0.5")
        registry = ("--registry", self.grid.registry, "--as", self.grid.operator)
        for owner in self.owners if owners is None else owners:
            self.run("consent", "grant", owner, "--bundle", digest)
            self.run("consent", "submit", owner, *registry)
        return digest

    def launch(self, bundle: str, **settings: object) -> str:
        """Start a campaign with the bundle's defaults and `settings` in their place; its id.

        Its round waits until every worker has shown itself.
        """
        values = {**self._defaults[bundle], **settings}
        chosen = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
        view = self.run("campaign", "start", bundle, *chosen, "--as", self.grid.operator)
        return str(view["campaign"])

    def view(self, campaign: str) -> dict[str, Any]:
        """The campaign as its operator sees it; empty while the scheduler is not up."""
        shown = self.mortals.attempt("campaign", "show", campaign, "--as", self.grid.operator)
        view: dict[str, Any] = json.loads(shown.stdout) if shown.returncode == 0 else {}
        return view

    def follow(self, campaign: str, seconds: float = CAMPAIGN_SECONDS) -> dict[str, Any]:
        """Its last view, once it has ended. Raises TooLate with what it waits for."""
        last: dict[str, Any] = {}

        def ended() -> bool:
            self.mortals.require_alive()
            last.update(self.view(campaign))
            return last.get("state") in ENDED

        try:
            until(f"{campaign} ends", ended, seconds)
        except TooLate as error:
            raise TooLate(f"{error}; last seen {last}") from None
        return last

    def require_released(self, campaign: str, seconds: float = CAMPAIGN_SECONDS) -> dict[str, Any]:
        """Its last view, once it was released."""
        view = self.follow(campaign, seconds)
        assert view["state"] == "released", view
        return view

    def export(self, campaign: str) -> Path:
        """The folder of the released model; the command verifies every round of it."""
        out = self.home / f"model-of-{campaign}"
        words = ("model", "export", campaign, "--out", out, "--as", self.grid.operator)

        def exported() -> bool:
            """A release is told before the witness has cosigned the log that holds it."""
            ended = self.mortals.attempt(*words)
            assert ended.returncode in {exits.OK, exits.NOT_READY}, ended.stderr
            return ended.returncode == exits.OK

        until("the release is proven to be in the log", exported, PROOF_SECONDS)
        return out

    def require_evidence(self) -> None:
        """An auditor replays everything from the files that the scheduler hands out by now."""
        evidence = Path(tempfile.mkdtemp(prefix="evidence-", dir=self.home))
        pinned = self.home / "policy.txt"
        self.run("log", "evidence", "--out", evidence, "--as", self.grid.auditor)
        root = Digest.of(self.grid.root.read_bytes())
        pinned.write_text(f"cadastre-audit-policy-v1\nroot {root}\n")
        self.run("audit", "verify", evidence, "--policy", pinned)


T = TypeVar("T", bound=Standing)


@contextmanager
def founded(make: Callable[[Path], T]) -> Iterator[T]:
    """What `make` makes in a folder that the workers' own user can reach; it is stopped after."""
    # Workers of a root test run as their own user, who can't enter pytest's private folders.
    home = Path(tempfile.mkdtemp(prefix="cadastre-standing-"))
    home.chmod(0o711)
    made = make(home)
    started = time.monotonic()
    try:
        made.found()
        made.lines.append(f"founded in {time.monotonic() - started:.1f} s")
        yield made
    except (AssertionError, CommandFailed):
        for log in sorted(made.mortals.logs.glob("*.log")):
            print(f"--- {log.name}\n{made.mortals.tail(log.stem, 4000)}")
        print("\n".join(made.lines[-40:]))
        raise
    finally:
        made.mortals.stop_all()
        if "CADASTRE_KEEP" not in os.environ:
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def standing(sites: Sequence[Site]) -> Iterator[Standing]:
    """A territory with a worker per site."""
    with founded(lambda home: Standing(home, sites)) as made:
        yield made
