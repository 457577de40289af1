"""An unmodified ServerApp, played from its beginning up to the message that nobody answered yet.

It is played anew each round and never kept: no process outlives a work unit, and a machine that
dies in between has lost nothing. That needs an app that does the same again when it gets the same
replies: chance is seeded, sleeping takes no time, and the journal's check notices the rest.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr.app import ArrayRecord, Context, MetricRecord, RecordDict
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import Strategy

from . import internals, journal, records, speech
from .files import MemoryFiles, Naps, fix_chance, stop_clock
from .grid import Answer, ReplayGrid, Sent
from .plan import Plan
from .records import Flat
from .refusals import Stopped, Suspended

SEED = 0
# They look at single replies: a median, a distance, a loss, a tree or a norm per client. The grid
# has one protected average and could only pretend.
SINGLE_REPLIES = frozenset(
    {"FedMedian", "FedTrimmedAvg", "Krum", "MultiKrum", "Bulyan", "QFedAvg", "FedXgbBagging"}
    | {"FedXgbCyclic"}
)
OWN_NOISE = "DifferentialPrivacy"  # how flwr's noising wrappers are called


@dataclass
class Played:
    """How far a ServerApp came: a message to answer, or its end with its final arrays."""

    sent: Sent | None
    final: Flat | None
    rounds: int
    patience: float  # seconds: the shortest time to live or timeout of a message
    server_metrics: dict[str, float] = field(default_factory=dict)

    @property
    def following(self) -> Sent:
        """What the next round is told."""
        if self.sent is not None:
            return self.sent
        assert self.final is not None
        return journal.final(self.final)


@dataclass
class _Seen:
    """What the strategy did that no message shows."""

    sent: Sent | None = None
    result: Any = None
    metrics: dict[str, float] = field(default_factory=dict)


def play(plan: Plan, answer: Answer) -> Played:
    """Run the app's main until it ends or `answer` suspends it.

    Raises Stopped for an app that crashes, waits, or asks for what it may not have.
    """
    seen = _Seen()

    def answered(number: int, sent: Sent) -> Mapping[int, RecordDict | None]:
        seen.sent = sent
        return answer(number, sent)

    grid = ReplayGrid(plan.nodes, answered)
    fix_chance(SEED)
    naps = Naps(grid.give_up_waiting)
    stop_clock(naps)
    internals.replace_sleep(naps.sleep)
    internals.become(internals.SERVER_NODE)
    internals.hush()
    context = Context(
        run_id=internals.RUN_ID,
        node_id=internals.SERVER_NODE,
        node_config={},
        state=RecordDict(),
        run_config=dict(plan.config),
    )
    MemoryFiles({}).install()
    with speech.held_back(), _watched(plan, seen):
        app = load(plan.server, ServerApp)
        try:
            app(grid, context)
        except Suspended:
            pass
        except Stopped:
            # After a swallowed stop an app may wait for ever; its message was heard already.
            if not grid.suspended:
                raise
        except BaseException as error:  # noqa: BLE001 - SystemExit too
            if not grid.suspended:
                raise Stopped("server-crashed", speech.where(error)) from None
    if grid.suspended:
        return Played(seen.sent, None, grid.rounds, grid.patience, seen.metrics)
    if seen.sent is None:
        raise Stopped("server-idle", "the ServerApp ends without sending a message")
    return Played(None, _final(seen), grid.rounds, grid.patience, seen.metrics)


def load(reference: str, kind: type[Any]) -> Any:
    """The app that `module:name` names. Raises Stopped."""
    module, _, name = reference.partition(":")
    try:
        app = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise Stopped(
            "library-forbidden",
            f"{reference} imports {error.name!r}, which the sandbox does not hold",
        ) from None
    except Exception as error:  # noqa: BLE001 - whatever an author's module raises
        raise Stopped(
            "app-broken", f"{reference} cannot be loaded: {speech.where(error)}"
        ) from None
    if not isinstance(app, kind):
        raise Stopped("app-broken", f"{reference} is no {kind.__name__}")
    return app


def _final(seen: _Seen) -> Flat:
    """The arrays that the strategy ended with; those last sent where it used none of flwr's."""
    arrays = getattr(seen.result, "arrays", None)
    if isinstance(arrays, ArrayRecord) and len(arrays):
        return records.flatten(RecordDict({"arrays": arrays}))
    assert seen.sent is not None
    return seen.sent.flat


@contextlib.contextmanager
def _watched(plan: Plan, seen: _Seen) -> Iterator[None]:
    """See strategies start: refuse what they can't be here, note what they compute themselves."""
    start = Strategy.start
    signature = inspect.signature(start)

    def started(self: Strategy, *given: Any, **named: Any) -> Any:
        if not plan.singles:
            _screen(self)
        bound = signature.bind(self, *given, **named)
        evaluate = bound.arguments.get("evaluate_fn")
        if evaluate is not None:

            def evaluated(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
                found: MetricRecord | None = evaluate(server_round, arrays)
                singles = {} if found is None else dict(found)
                seen.metrics.update(
                    {k: float(v) for k, v in singles.items() if not isinstance(v, list)}
                )
                return found

            bound.arguments["evaluate_fn"] = evaluated
        seen.result = start(*bound.args, **bound.kwargs)
        return seen.result

    Strategy.start = started
    try:
        yield
    finally:
        Strategy.start = start


def _screen(strategy: Strategy) -> None:
    names = {kind.__name__ for kind in type(strategy).__mro__ if kind.__module__.startswith("flwr")}
    if found := sorted(names & SINGLE_REPLIES):
        raise Stopped(
            "single-replies",
            f"the strategy {found[0]} compares single clients' replies; here a round has one "
            "reply, the protected average of the cohort. Use FedAvg, FedProx, FedAvgM, FedAdam, "
            "FedAdagrad or FedYogi",
        )
    if found := sorted(name for name in names if name.startswith(OWN_NOISE)):
        raise Stopped(
            "own-noise",
            f"{found[0]} clips and noises single replies; here trusted code clips, the "
            "aggregators add noise, and the ledger counts it. Use the strategy inside it",
        )
