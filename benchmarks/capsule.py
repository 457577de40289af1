"""`python -m benchmarks.capsule full|quick`: the path of a capsule, as the broker walks it.

Everything is the broker's own code: its unit, its line to an agent, its ledger on disk, its
sandbox. The agent's part (keys, and the journal's word for each reservation) is another process,
as in a worker. What is left out is the time slot in which a finished sum waits to leave.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from benchmarks import figures, owners
from benchmarks.errors import MeasurementFailed
from benchmarks.figures import Figure
from benchmarks.house import SCRATCH
from benchmarks.territory import NAME, PARAMETERS, PURPOSE, Territory
from capsule_runtime.broker import unit
from capsule_runtime.broker.channel import Channel
from capsule_runtime.broker.errors import BrokerLost
from capsule_runtime.broker.messages import Contribute, Key, KeyWanted, Reserved
from capsule_runtime.broker.program import Program, read_program
from capsule_runtime.broker.service import AgentLine, Withdrawn
from capsule_runtime.capsules.store import CapsuleStore
from capsule_runtime.consents import ConsentStore
from capsule_runtime.ledger import Checkpoint, Ledger
from capsule_runtime.sandbox.layout import Layout, find_layout
from capsule_runtime.sandbox.libraries import complete
from capsule_runtime.sandbox.model import Outcome, Status
from capsule_runtime.sandbox.packing import LoadedJob
from capsule_runtime.sandbox.zygote import Zygote
from jobs import archive
from jobs.libraries import LIBRARIES, contents, runtime_of
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from trust.ids import CampaignId, Digest
from worker.hosting import Hosting
from worker.identity import Identity
from worker.journal import Journal, SeenLedger

# One owner takes part in hundreds of campaigns here, which no voted budget would allow.
CAP = Fraction(1_000_000)
WARMING = 5
FULL = {"warm": 100, "cold": 7, "capsules": 512, "units": 3}
QUICK = {"warm": 8, "cold": 2, "capsules": 40, "units": 1}
_MS = 1000.0


class SlotReached(Exception):
    """The sum is ready and would now wait for its time slot."""


class Stopwatch(AgentLine):
    """The broker's line to its agent, with a look at the clock as it is used."""

    def __init__(self, channel: Channel, run: int) -> None:
        super().__init__(channel, run, Withdrawn(), SystemClock())
        self.started = time.perf_counter()
        self.charged = self.done = self.started

    def reserved(self, capsules: int, checkpoint: Checkpoint) -> None:
        super().reserved(capsules, checkpoint)
        self.charged = time.perf_counter()

    def advanced(self, done: int, total: int) -> None:
        super().advanced(done, total)
        self.done = time.perf_counter()

    def check(self, tokens: Collection[Digest], seconds: float = 0.0) -> None:
        if seconds > 0:
            raise SlotReached
        super().check(tokens)


class WatchedZygote(Zygote):
    """The sandbox, refusing to let a failed run pass for a fast one."""

    inside = 0.0

    def run(self, loaded: LoadedJob, data: bytes) -> Outcome:
        started = time.perf_counter()
        outcome = super().run(loaded, data)
        self.inside = time.perf_counter() - started
        if outcome.status is not Status.ok:
            raise MeasurementFailed(f"a capsule's run ended with {outcome.status.value}")
        return outcome


@dataclass(frozen=True)
class Site:
    """A worker's state directory with its capsules, and the program that they said yes to."""

    who: Identity
    program: Program
    runtime: unit.Runtime
    layout: Layout

    @classmethod
    def make(cls, state: Path, bundle: archive.Bundle, capsules: int) -> Site:
        """Join a worker in `state` and let it host `capsules`."""
        clock = SystemClock()
        who = Territory(clock.now()).join(state)
        owners.host(state, bundle, capsules)
        runtime = unit.Runtime(
            store=CapsuleStore(state, clock),
            consents=ConsentStore(state),
            ledger=Ledger(state, clock, cap=CAP),
            worker=who.worker,
            territory=NAME,
            clock=clock,
            entropy=SYSTEM,
        )
        # Read once: the broker keeps the program of its last unit too.
        program = read_program(bundle.raw, LIBRARIES)
        return cls(who, program, runtime, find_layout(contents(runtime_of(program.libraries))))

    def zygote(self) -> WatchedZygote:
        """A new sandbox."""
        zygote = WatchedZygote.start(layout=self.layout)
        assert isinstance(zygote, WatchedZygote)
        return zygote

    def contribute(self, zygote: Zygote, channel: Channel) -> Stopwatch:
        """One unit of a new campaign over every capsule here."""
        sandboxed = unit.Sandboxed(zygote, self.program, PARAMETERS)
        order = Contribute(1, CampaignId.draw(SYSTEM), 1, PURPOSE)
        watch = Stopwatch(channel, order.run)
        with suppress(SlotReached):
            unit.contribute(self.runtime, sandboxed, order, watch)
        return watch


@contextmanager
def agent(who: Identity) -> Iterator[Channel]:
    """The other end of the broker's line, in a process of its own."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ours.close()
            _serve_keys(Channel(theirs), who)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    try:
        yield Channel(ours)
    finally:
        ours.close()
        os.waitpid(child, 0)


def _serve_keys(channel: Channel, who: Identity) -> None:
    hosting, journal = Hosting(who, SystemClock()), Journal(who.state)
    with suppress(BrokerLost):
        while True:
            message, _ = channel.receive()
            match message:
                case KeyWanted():
                    key = hosting.key(message.capsule)
                    channel.send(Key(message.run, message.capsule, key))
                case Reserved():
                    journal.keep_ledger(SeenLedger(message.ledger_counter, message.ledger_hash))


def one_capsule(state: Path, counts: dict[str, int]) -> list[Figure]:
    """Warm and cold: a unit whose whole cohort is one capsule, so nothing is shared out."""
    site = Site.make(state, owners.commute_flows(alone=True), 1)
    warm: list[float] = []
    cold: list[float] = []
    charging: list[float] = []
    inside: list[float] = []
    every = max(1, counts["warm"] // counts["cold"])
    with agent(site.who) as channel, site.zygote() as zygote:
        for number in range(WARMING + counts["warm"]):
            watch = site.contribute(zygote, channel)
            if number < WARMING:
                continue
            warm.append(_MS * (watch.done - watch.started))
            charging.append(_MS * (watch.charged - watch.started))
            inside.append(_MS * zygote.inside)
            if (number - WARMING) % every == 0 and len(cold) < counts["cold"]:
                cold.append(_cold(site, channel))
    ninth = sorted(warm)[int(0.9 * (len(warm) - 1))]
    ratio = figures.median("", cold, "").value / figures.median("", warm, "").value
    return [
        figures.median(
            "capsule.warm_ms",
            warm,
            "one capsule alone: consent gate, ledger transaction on disk, key from the agent, "
            "decryption, fork in the sandbox, guard",
        ),
        Figure("capsule.warm_p90_ms", ninth, len(warm), "nine in ten are faster than this"),
        figures.median(
            "capsule.charge_ms", charging, "of which: consent gate and durable ledger transaction"
        ),
        figures.median(
            "capsule.sandbox_ms", inside, "of which: fork, seal off, compute, read the frame"
        ),
        figures.median(
            "capsule.cold_ms", cold, "the same, with a new sandbox and its imports before it"
        ),
        Figure("capsule.cold_ratio", ratio, len(cold), "cold over warm, taken in turns in one run"),
    ]


def _cold(site: Site, channel: Channel) -> float:
    started = time.perf_counter()
    with site.zygote() as fresh:
        return _MS * (site.contribute(fresh, channel).done - started)


def one_capsule_with_torch(state: Path, counts: dict[str, int]) -> list[Figure]:
    """As `one_capsule`, with three training steps in the run; nothing where torch is missing."""
    if not all(map(complete, owners.LEARNING)):
        return []
    site = Site.make(state, owners.commute_flows(alone=True, torch=True), 1)
    warm: list[float] = []
    with agent(site.who) as channel, site.zygote() as zygote:
        for number in range(WARMING + counts["warm"]):
            watch = site.contribute(zygote, channel)
            if number >= WARMING:
                warm.append(_MS * (watch.done - watch.started))
    return [
        figures.median(
            "capsule.warm_torch_ms",
            warm,
            "one capsule alone in the sandbox with torch: as capsule.warm_ms, and three Adam "
            "steps of a two-layer model",
        )
    ]


def many_capsules(state: Path, counts: dict[str, int]) -> Figure:
    """Steady state: broker, agent and sandbox on one core, one ledger transaction per unit."""
    site = Site.make(state, owners.commute_flows(), counts["capsules"])
    allowed = os.sched_getaffinity(0)
    rates = []
    try:
        # Children inherit it, so the agent and the sandbox share the core with the broker.
        os.sched_setaffinity(0, {min(allowed)})
        with agent(site.who) as channel, site.zygote() as zygote:
            for _ in range(counts["units"]):
                watch = site.contribute(zygote, channel)
                rates.append(counts["capsules"] / (watch.done - watch.started))
    finally:
        os.sched_setaffinity(0, allowed)
    return figures.median(
        "capsule.per_second",
        rates,
        f"units of {counts['capsules']} capsules on one core, one ledger transaction each, the "
        "sandbox renewed on its way",
    )


def main(counts: dict[str, int]) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="cadastre-bench-", dir=SCRATCH) as home:
        found = one_capsule(Path(home) / "one", counts)
        found += one_capsule_with_torch(Path(home) / "torch", counts)
        found.append(many_capsules(Path(home) / "many", counts))
    sys.stdout.write(figures.dump(found) + "\n")


if __name__ == "__main__":
    main(QUICK if sys.argv[1:] == ["quick"] else FULL)
