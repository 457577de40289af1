"""`python -m benchmarks.learning`: federated learning beside published and unprotected figures.

Without further words it measures the lines of which something is asked, and the undivided graph
beside them: less than an hour on two cores. Every trained model is written down as soon as it is
there, so a run that was interrupted goes on where it was. One process per core, each with a
sandbox of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from functools import cached_property, partial
from itertools import chain
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from benchmarks import employers, federations
from benchmarks.cora import LINES, Line, Numbers
from benchmarks.employers import MODELS, Model
from capsule_runtime.sandbox import Zygote
from durable.files import write_atomic
from graph.learning import citations
from graph.learning.citations import Citations
from terminal.output import Output

if TYPE_CHECKING:
    from demo.learning_data import Staff

RECORD = Path("build/bench-learning.json")
DATA = Path(os.environ.get("CADASTRE_DATA", "../shared/data"))
DOCUMENT_MODE = 0o644
Record = dict[str, dict[str, Numbers]]  # line -> seed -> what was measured


class _Tools:
    """What a measuring process opens once, each when a line first needs it."""

    def __init__(self, data: Path, stack: ExitStack) -> None:
        self._data, self._stack = data, stack

    @cached_property
    def zygote(self) -> Zygote:
        """A sandbox with the learning libraries."""
        return self._stack.enter_context(federations.sandbox())

    @cached_property
    def graph(self) -> Citations:
        """Cora. Raises CitationsRefused."""
        return citations.read(self._data / federations.CORA)

    @cached_property
    def staff(self) -> Staff:
        """The survey's people. Raises SurveyMissing."""
        return employers.staff(self._data)


_tools: list[_Tools] = []  # of this process; a pool's initialiser has nowhere else to leave them


def main() -> int:
    """Measure what is not yet measured; print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(prog="benchmarks.learning", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR")
    parser.add_argument("--record", type=Path, default=RECORD, metavar="FILE")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the tables as a page")
    parser.add_argument("--all", action="store_true", help="lines of which nothing is asked too")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a line, or what all begin with"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    arguments = parser.parse_args()
    output, record = Output(as_json=False), read(arguments.record)
    todo = missing(chosen(arguments.only, everything=arguments.all), record)
    with ExitStack() as stack:
        _look(todo, _Tools(arguments.data, stack))
    whole = {one.name for one in LINES if one.whole_machine}
    at_once = _measured(
        arguments.data, [it for it in todo if it[0] not in whole], arguments.processes
    )
    one_by_one = _measured(arguments.data, [it for it in todo if it[0] in whole], processes=1)
    for name, seed, numbers in chain(at_once, one_by_one):
        record.setdefault(name, {})[str(seed)] = numbers
        # A crash from here on costs the models that were being trained, nothing else.
        arguments.record.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(arguments.record, json.dumps(record, indent=1).encode(), DOCUMENT_MODE)
        told = ", ".join(f"{kind} {value:.4g}" for kind, value in numbers.items())
        output.note(f"{name} seed {seed}: {told}")
    page = f"{render(LINES, record)}\n{employers.render(record)}"
    output.line(page)
    if arguments.write is not None:
        write_atomic(arguments.write, page.encode(), DOCUMENT_MODE)
    verdicts = [*(met(one, record) for one in LINES), employers.met(record)]
    return 1 if False in verdicts else 0


def chosen(names: Sequence[str], *, everything: bool) -> list[Line | Model]:
    """The lines to measure: those named, or all, or those of which something is asked."""
    lines = (*LINES, *MODELS)
    if names:
        return [one for one in lines if {one.name, one.name.partition(".")[0]} & set(names)]
    return [one for one in lines if everything or not isinstance(one, Line) or one.usual]


def _look(todo: Sequence[tuple[str, int]], tools: _Tools) -> None:
    """Refuse data that cannot be read here, once, and not in every process."""
    names = {name for name, _ in todo}
    if names & {one.name for one in LINES}:
        _ = tools.graph
    if names & {one.name for one in MODELS}:
        _ = tools.staff


def read(path: Path) -> Record:
    """The models that an earlier run wrote down; none where it wrote nothing."""
    if not path.exists():
        return {}
    found: Record = json.loads(path.read_bytes())
    return found


def missing(lines: Sequence[Line | Model], record: Record) -> list[tuple[str, int]]:
    """The line and the seed of each model that is not in `record`."""
    return [
        (one.name, seed)
        for one in lines
        for seed in one.seeds
        if str(seed) not in record.get(one.name, {})
    ]


def render(lines: Sequence[Line], record: Record) -> str:
    """The table of what is in `record`: test accuracy in percent, mean and standard deviation."""
    page = [
        "| name | test accuracy, % | n | asked | met | published | what |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in lines:
        found = _accuracies(one, record)
        if not found:
            continue
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        asked = "-" if one.asked is None else f"{one.asked[0]:g} to {one.asked[1]:g}"
        page.append(
            f"| `{one.name}` | {statistics.fmean(found):.2f} +- {spread:.2f} | {len(found)} | "
            f"{asked} | {_WORDS[met(one, record)]} | {one.published} | {one.what} |"
        )
    return "\n".join(page) + "\n"


_WORDS = {True: "yes", False: "no", None: "-"}


def met(one: Line, record: Record) -> bool | None:
    """Whether the mean is where it is asked to be; None where nothing is asked, or known yet."""
    found = _accuracies(one, record)
    if one.asked is None or len(found) < len(one.seeds):
        return None
    return one.asked[0] <= statistics.fmean(found) <= one.asked[1]


def _accuracies(one: Line, record: Record) -> list[float]:
    return [100 * numbers["test"] for numbers in record.get(one.name, {}).values()]


def _measured(
    data: Path, todo: Sequence[tuple[str, int]], processes: int
) -> Iterator[tuple[str, int, Numbers]]:
    """Each model of `todo` as it becomes ready, in no order."""
    if not todo:
        return
    # Spawned, not forked: a fork of a process with threads (torch) may stand still for ever.
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_open, initargs=(data,)
    ) as pool:
        waiting = {pool.submit(_measure, name, seed): (name, seed) for name, seed in todo}
        try:
            for ready in as_completed(waiting):
                yield (*waiting[ready], ready.result())
        finally:
            pool.shutdown(cancel_futures=True)


def _open(data: Path) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    stack = ExitStack()
    _tools.append(_Tools(data, stack))
    Finalize(None, stack.close, exitpriority=1)  # `atexit` is not heard in a pool's process


def _end_with_parent() -> None:
    """A pool's process would otherwise wait for ever for the work of a parent that was killed."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _measure(name: str, seed: int) -> Numbers:
    (tools,) = _tools
    (line,) = [one for one in (*LINES, *MODELS) if one.name == name]
    if isinstance(line, Line):
        run = partial(line.run, tools.zygote, tools.graph, seed)
    else:
        run = partial(line.run, tools.staff, seed)
    started = time.monotonic()
    numbers = run()
    return {**numbers, "seconds": round(time.monotonic() - started, 1)}


if __name__ == "__main__":
    sys.exit(main())
