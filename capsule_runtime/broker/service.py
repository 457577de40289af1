"""The broker's loop: one message at a time, one unit at a time, every failure a typed answer."""

from __future__ import annotations

import ctypes
import gc
import logging
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction

from capsule_runtime.broker import unit
from capsule_runtime.broker.channel import Channel
from capsule_runtime.broker.errors import (
    BrokerLost,
    BundleUnfit,
    ConsentWithdrawn,
    JournalMissing,
    MessageRefused,
    RunCancelled,
)
from capsule_runtime.broker.messages import (
    Advanced,
    Cancel,
    Conclude,
    Concluded,
    Contribute,
    Failed,
    Inspect,
    Inspected,
    Key,
    KeyWanted,
    Reserved,
    Setup,
    Withdraw,
    plain,
)
from capsule_runtime.broker.program import Program, read_program
from capsule_runtime.broker.runtimes import WarmRuntime
from capsule_runtime.ledger import Charge, Checkpoint, MissingRound
from capsule_runtime.ledger.chain import START
from capsule_runtime.sandbox.zygote import Zygote
from trust.clock import Clock
from trust.ids import CampaignId, CapsuleId, Digest
from trust.problem import Kind, Problem

_LOG = logging.getLogger("cadastre.broker")
# The heartbeat carries progress; more often is noise on the channel and a finer clock for nobody.
PROGRESS_SECONDS = 0.5
TOKEN_BYTES = 32
# Characters of a refusal and of its remedy: both fit one packet, however they are escaped.
MAXIMUM_WORDS = 2000
# A warm sandbox takes 27 MiB of somebody's desktop and 0.15 s to make (with torch 350 MiB and
# 3 s): an idle one is let go.
IDLE_SECONDS = 30.0


def _give_back() -> None:
    """Return what a unit needed to the desktop: the C library keeps freed memory for itself."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)


class Withdrawn:
    """The revocation tokens that count, and how many messages brought them."""

    def __init__(self) -> None:
        self.tokens: frozenset[Digest] = frozenset()
        self.number = 0

    def take(self, message: Withdraw, attachments: tuple[bytes, ...]) -> None:
        """The newest list replaces the one before. Raises MessageRefused."""
        if len(attachments) != 1 or len(attachments[0]) % TOKEN_BYTES:
            raise MessageRefused("a Withdraw carries its tokens beside it, 32 bytes each")
        raw = attachments[0]
        self.tokens = frozenset(
            Digest.from_bytes(raw[i : i + TOKEN_BYTES]) for i in range(0, len(raw), TOKEN_BYTES)
        )
        self.number = message.number


class AgentLine:
    """One run's conversation with the agent: the `Line` that a unit speaks over."""

    def __init__(self, channel: Channel, run: int, withdrawn: Withdrawn, clock: Clock) -> None:
        self._channel = channel
        self._run = run
        self._withdrawn = withdrawn
        self._clock = clock
        self._last_progress = clock.boottime() - PROGRESS_SECONDS
        self._tokens: Collection[Digest] = ()

    def key(self, capsule: CapsuleId) -> bytes | None:
        self._channel.send(KeyWanted(self._run, capsule))
        while True:
            answer = self._listen()
            if isinstance(answer, Key):
                if (answer.run, answer.capsule) != (self._run, capsule):
                    raise MessageRefused("the agent answered for another capsule")
                return answer.key

    def reserved(self, capsules: int, checkpoint: Checkpoint) -> None:
        self._channel.send(Reserved(self._run, capsules, checkpoint.counter, checkpoint.hash))

    def advanced(self, done: int, total: int) -> None:
        now = self._clock.boottime()
        if done == total or now - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = now
            self._channel.send(Advanced(self._run, done, total))

    def check(self, tokens: Collection[Digest], seconds: float = 0.0) -> None:
        self._tokens = tokens
        while self._channel.waiting(seconds):
            if self._listen() is not None:
                raise MessageRefused("the agent sent a key that nobody asked for")
            seconds = 0.0
        self._require_consent()

    def revoked(self) -> frozenset[Digest]:
        return self._withdrawn.tokens

    def withdrawals(self) -> int:
        return self._withdrawn.number

    def _listen(self) -> Key | None:
        message, attachments = self._channel.receive()
        match message:
            case Key(run=run):
                return message if run == self._run else None
            case Withdraw():
                self._withdrawn.take(message, attachments)
                self._require_consent()
            case Cancel(run=run) if run == self._run:
                raise RunCancelled(
                    "the unit was stopped before its sum left this worker",
                    remedy="nothing to do: nothing of it was released",
                )
            case Cancel():
                pass  # crossed with the end of the run that it meant
            case _:
                raise MessageRefused(f"a {type(message).__name__} came in the middle of a unit")
        return None

    def _require_consent(self) -> None:
        if not self._withdrawn.tokens.isdisjoint(self._tokens):
            raise ConsentWithdrawn(
                "an owner of the cohort withdrew while the unit ran",
                remedy="the unit starts again without that capsule",
            )


class Broker:
    """Serves one agent until it hangs up."""

    def __init__(
        self,
        channel: Channel,
        runtime: unit.Runtime,
        start_zygote: Callable[[str], Zygote] | None,
        libraries: tuple[str, ...],
    ) -> None:
        """`start_zygote` makes the sandbox of a runtime (jobs.libraries).

        It is None at level L0: every run is refused, inspections still work.
        """
        self._channel = channel
        self._runtime = runtime
        self._warm = WarmRuntime(start_zygote)
        self._libraries = libraries
        self._withdrawn = Withdrawn()
        self._program: Program | None = None

    def serve(self) -> None:
        """Until the agent hangs up; a crash of ours is seen by it as the same."""
        try:
            self._serve()
        finally:
            self._warm.cool_down()

    def _serve(self) -> None:
        while True:
            if self._warm.warm and not self._channel.waiting(IDLE_SECONDS):
                self._warm.cool_down()
                _give_back()
            try:
                message, attachments = self._channel.receive()
            except BrokerLost:
                return
            match message:
                case Inspect() | Contribute() | Conclude():
                    self._answer(message, attachments)
                case Withdraw():
                    self._withdrawn.take(message, attachments)
                case Cancel() | Key():
                    pass  # crossed with the end of the run that it belongs to
                case _:
                    raise MessageRefused(f"a {type(message).__name__} is not for a broker")

    def _answer(
        self, message: Inspect | Contribute | Conclude, attachments: tuple[bytes, ...]
    ) -> None:
        try:
            self._run(message, attachments)
        except (BrokerLost, MessageRefused):
            raise
        except Problem as problem:
            _LOG.info("run failed", extra={"code": problem.code})
            self._channel.send(failed(message.run, problem))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one unit, not the worker
            _LOG.exception("run met an unexpected fault")
            self._channel.send(
                Failed(
                    run=message.run,
                    code="internal",
                    kind=Kind.INTERNAL.value,
                    sentence=f"the broker met an unexpected {type(error).__name__}; see its log",
                    remedy="report it with the worker's log",
                    retryable=False,
                )
            )

    def _run(
        self, message: Inspect | Contribute | Conclude, attachments: tuple[bytes, ...]
    ) -> None:
        line = AgentLine(self._channel, message.run, self._withdrawn, self._runtime.clock)
        match message, attachments:
            case Inspect(), (bundle,):
                self._send_inspected(self._read(bundle).inspected(message.run))
            case Contribute(), (bundle, parameters, *public) if len(public) <= 1:
                sandboxed = self._sandboxed(bundle, parameters)
                answer, halves = unit.contribute(
                    self._runtime, sandboxed, message, line, public[0] if public else None
                )
                self._channel.send(answer, halves)
            case Conclude(), (bundle, parameters, aggregate):
                sandboxed = self._sandboxed(bundle, parameters)
                result = unit.conclude(sandboxed, aggregate, line)
                self._channel.send(Concluded(message.run), (result,))
            case _:
                raise MessageRefused("a request came without its attachments")

    def _send_inspected(self, inspected: Inspected) -> None:
        try:
            self._channel.send(inspected)
        except MessageRefused as error:
            # What its author wrote is no reason for the broker to end.
            raise BundleUnfit(
                f"the bundle's manifest demands more than one answer holds: {error.sentence}",
                remedy="the author declares fewer outputs, columns or parameters, or shorter "
                "choices",
            ) from error

    def _read(self, bundle: bytes) -> Program:
        if self._program is None or self._program.bundle_file.raw != bundle:
            self._program = read_program(bundle, self._libraries)
        return self._program

    def _sandboxed(self, bundle: bytes, parameters: bytes) -> unit.Sandboxed:
        self._warm.require()
        program = self._read(bundle)
        zygote = self._warm.zygote(program.libraries)
        return unit.Sandboxed(zygote, program, parameters)


def reconciled(runtime: unit.Runtime, setup: Setup, rounds: Iterable[MissingRound]) -> Checkpoint:
    """The ledger's checkpoint, after charging what a restored copy forgot.

    Raises JournalMissing when the ledger was used and the journal knows of no round: without it
    a restored ledger cannot be told from a current one, and a round could be said twice. A
    crash between a first charge and its checkpoint is not that: the round was noted before.
    """
    seen, rounds = Checkpoint(setup.ledger_counter, setup.ledger_hash), list(rounds)
    if seen == START and not rounds and runtime.ledger.checkpoint() != START:
        raise JournalMissing(
            "the privacy ledger was used before, but the worker's journal knows of no round: "
            "the journal was removed or is another one",
            remedy="put this worker's journal.sqlite back (with its -wal file); if it is lost for "
            "good, owners move their capsules to a worker that is joined anew",
        )
    hosted = [Charge(capsule, owner) for capsule, owner in runtime.store.owners().items()]
    return runtime.ledger.reconcile(seen, rounds, hosted)


def parse_rounds(raw: bytes) -> list[MissingRound]:
    """The journal's rounds, one `campaign round rho` a line. Raises MessageRefused."""
    rounds = []
    for line in raw.decode("ascii", "replace").splitlines():
        fields = line.split(" ")
        try:
            campaign, number, rho = fields
            rounds.append(MissingRound(CampaignId.parse(campaign), int(number), Fraction(rho)))
        except (ValueError, Problem) as error:
            raise MessageRefused(
                "the journal's list of rounds is damaged",
                remedy="put journal.sqlite back with its -wal file, or join this machine anew",
            ) from error
    return rounds


def failed(run: int, problem: Problem) -> Failed:
    """`problem` as the agent is told it."""
    return Failed(
        run=run,
        code=problem.code,
        kind=problem.kind.value,
        sentence=plain(problem.sentence, MAXIMUM_WORDS),
        remedy=plain(problem.remedy, MAXIMUM_WORDS),
        retryable=problem.retryable,
    )
