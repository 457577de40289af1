"""Rounds of a whole grid in real processes, beside Flower's deployment doing the same.

Two workers of two operators and one that concludes; scheduler, helper, witness, governance. When
what happened is read from the scheduler's own database once a campaign is over: nothing that
measures runs beside what is measured.
"""

from __future__ import annotations

import itertools
import sqlite3
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import deployment, figures, town
from benchmarks.deployment import NODES, Deployment
from benchmarks.echo import STATE_CELLS, VALUE_CELLS, Echo
from benchmarks.figures import Figure
from benchmarks.house import SCRATCH
from loopback.territory import Site, Territory

SITES = [
    Site("ville", "mairie"),
    Site("departement", "college"),
    Site("ville", "salle-serveurs", concludes=True),  # holds no capsules
]
MANY = 250  # capsules per worker where runs are counted
TINY = Echo("echo_tiny", "alone", rounds=20)
BIG = Echo("echo_big", "alone", rounds=7, state=STATE_CELLS, values=VALUE_CELLS)
# What the bundle `federated_gnn` moves on Cora: 92,231 weights and eight figures from each worker,
# to each the weights, their velocity, the kept ones and its record.
GNN_WEIGHTS = 92_231
GNN = Echo(
    "echo_gnn",
    "alone",
    rounds=6,
    state=3 * GNN_WEIGHTS + 4,
    values=(GNN_WEIGHTS, 8),
    protection="shared",
)
TASKS = Echo("echo_tasks", "many", rounds=6)
WARMING = 2  # rounds of each campaign that are not counted: sandboxes start in them
QUICK_ROUNDS = 4
FLOATS = 10 * 2**20 // 4  # Flower sends 32-bit numbers: 10 MiB each way
FLOWER_TASKS = 10  # messages to each node in one round
MAPPING = """\
[capsule]
data_class = "public"
unit = "owner"
one_per = "number"
[tables.{table}]
columns.number = {{ type = "integer", from = "number" }}
"""


@dataclass(frozen=True)
class Round:
    """What one round took, in seconds and in bytes."""

    answered: float  # from the first order to the last accepted report
    whole: float  # from the first order to the first order of the next round
    fetched: int  # by all who contribute: the round's parameters, its state among them
    sent: int  # by all who contribute: their partials, which the campaign's view counts too


def measure_rounds(*, quick: bool) -> list[Figure]:
    """A round of two messages, tiny and large, beside Flower where that is installed."""
    tiny, big, gnn = (_shortened(one, quick=quick) for one in (TINY, BIG, GNN))
    with _town() as made:
        # One capsule each, as Flower's nodes hold one client each.
        made.host("alone", 1)
        small, large, learnt = made.run(tiny), made.run(big), made.run(gnn)
    moved = f"{big.bytes_down >> 20} MiB to each of two workers, {big.bytes_up >> 20} MiB back"
    found = [
        _median(
            "round.tiny_ms",
            [one.answered for one in small],
            "two workers, one capsule each: from the first order to both answers kept; mutual "
            "TLS, signatures, sandbox, ledger, durable at both ends",
        ),
        _median(
            "round.whole_ms",
            [one.whole for one in small],
            "the same round until the next one's first order: opened, logged under a witness, "
            "concluded by a third worker, planned, logged",
        ),
        _median("round.10mib_ms", [one.answered for one in large], moved),
        _median(
            "round.gnn_ms",
            [one.answered for one in learnt],
            f"a model of {GNN_WEIGHTS:,} numbers as `federated_gnn` moves it, under `shared`",
        ),
        _bytes("round.tiny_bytes", small),
        _bytes("round.10mib_bytes", large),
        _bytes("round.gnn_bytes", learnt),
    ]
    programs = deployment.find()
    if programs is None:
        return found
    rounds, said = (1 if quick else 3), _said(programs)
    with _flower(programs) as flower:
        theirs = {
            "tiny": statistics.median(flower.rounds(floats=1, rounds=2 * rounds, each=1)),
            "10mib": statistics.median(flower.rounds(floats=FLOATS, rounds=rounds, each=1)),
        }
    ours = {figure.name: figure.value for figure in found}
    for name, seconds in theirs.items():
        found.append(Figure(f"round.flower_{name}_ms", 1000 * seconds, 1, said))
        ratio = ours[f"round.{name}_ms"] / 1000 / seconds
        found.append(Figure(f"round.{name}_ratio", ratio, 1, f"ours over {said}"))
    return found


def measure_tasks(*, quick: bool) -> list[Figure]:
    """How often an algorithm runs in a second, beside Flower where that is installed."""
    with _town() as made:
        made.host("many", MANY)
        runs = made.run(_shortened(TASKS, quick=quick))
    rate = figures.median(
        "tasks.per_second",
        [NODES * MANY / one.whole for one in runs],
        f"runs of an algorithm, one for each of {NODES * MANY} capsules, over whole rounds",
    )
    programs = deployment.find()
    if programs is None:
        return [rate]
    with _flower(programs) as flower:
        (seconds,) = flower.rounds(floats=1, rounds=1, each=FLOWER_TASKS)
    theirs, said = NODES * FLOWER_TASKS / seconds, _said(programs)
    return [
        rate,
        Figure("tasks.flower_per_second", theirs, 1, f"messages; {said}"),
        Figure("tasks.ratio", rate.value / theirs, 1, f"ours over {said}"),
    ]


def _shortened(echo: Echo, *, quick: bool) -> Echo:
    return replace(echo, rounds=min(echo.rounds, QUICK_ROUNDS)) if quick else echo


def _said(programs: Path) -> str:
    flower = deployment.version(programs)
    return f"Flower {flower}'s deployment (SuperLink, two SuperNodes, no TLS), same run"


@contextmanager
def _flower(programs: Path) -> Iterator[Deployment]:
    with (
        tempfile.TemporaryDirectory(prefix="cadastre-bench-", dir=SCRATCH) as home,
        deployment.deployed(programs, Path(home)) as flower,
    ):
        yield flower


def _median(name: str, seconds: list[float], how: str) -> Figure:
    return figures.median(name, [1000 * value for value in seconds], how)


def _bytes(name: str, rounds: list[Round]) -> Figure:
    """What two workers fetch and send in a round."""
    fetched, sent = (
        round(statistics.median(kind))
        for kind in ([one.fetched for one in rounds], [one.sent for one in rounds])
    )
    how = (
        f"two workers together: {fetched:,} fetched as parameters and state, {sent:,} sent as "
        "partials; signed orders and reports come on top"
    )
    return figures.median(name, [one.fetched + one.sent for one in rounds], how)


class _Town:
    """A founded territory on which echo campaigns run."""

    def __init__(self, grid: Territory) -> None:
        self._grid, self._home = grid, grid.home
        self._folders: dict[str, list[Path]] = {}

    def host(self, table: str, count: int) -> None:
        """`count` capsules on each worker, for the bundles that read `table`."""
        self._folders[table] = [self._seal(worker, table, count) for worker in range(NODES)]

    def run(self, echo: Echo) -> list[Round]:
        """One campaign of `echo` from vote to release; its rounds but the first ones."""
        run, operator = self._grid.processes.run, self._grid.operator
        source = self._home / echo.name
        echo.write(source, NODES)
        bundle = town.admit(self._grid, source, self._folders[echo.table])
        campaign = run("campaign", "start", bundle, "--as", operator)["campaign"]
        run("campaign", "watch", campaign, "--as", operator)
        return self._rounds(str(campaign))[WARMING:]

    def _rounds(self, campaign: str) -> list[Round]:
        """When each round's orders left, its reports were kept, and what both brought along."""
        query = """
            SELECT unit.round, MIN(attempt.leased_at), MAX(unit.updated_at),
                SUM(told.size), SUM(partial.size)
            FROM unit JOIN attempt ON attempt.unit = unit.id
            JOIN round ON round.campaign = unit.campaign AND round.number = unit.round
            JOIN blob AS told ON told.digest = round.parameters
            JOIN blob AS partial ON partial.digest = attempt.values_digest
            WHERE unit.campaign = ? AND unit.kind = 'contribute' AND attempt.state = 'accepted'
            GROUP BY unit.round ORDER BY unit.round
        """
        database = f"file:{self._home / 'scheduler' / 'scheduler.db'}?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as connection:
            rows = connection.execute(query, (campaign,)).fetchall()
        return [
            Round((kept - out) / 1e6, (following - out) / 1e6, fetched, sent)
            for (_, out, kept, fetched, sent), (_, following, *_) in itertools.pairwise(rows)
        ]

    def _seal(self, worker: int, table: str, count: int) -> Path:
        plan, rows = self._home / f"{table}.toml", self._home / f"{table}-{worker}.csv"
        plan.write_text(MAPPING.format(table=table))
        rows.write_text("number\n" + "".join(f"{number}\n" for number in range(count)))
        return town.host(self._grid, worker, rows, plan, f"{table}-{worker}")


@contextmanager
def _town() -> Iterator[_Town]:
    with town.founded(SITES) as grid:
        grid.start_workers()
        yield _Town(grid)
