"""`cadastre graph potential`: links of a verified graph, ranked by avoided CO2e and explained."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from typing import Any

from durable.files import make_directory, write_atomic
from graph import commands, factors
from graph.commuting import Estimate, commutes
from graph.errors import LearningUnavailable, PotentialRefused
from graph.model import TerritoryGraph
from graph.pairs import Pairs, pairs
from graph.pictures import links as picture
from graph.potential import WORKING_DAYS, Potential, potentials
from graph.reasons import Carrier, Speaker, carriers
from graph.scoring import (
    REPEATS,
    Choice,
    CrossFit,
    GravityScorer,
    Measure,
    Scorer,
    choose,
    cross_fit,
    measure,
)
from terminal import exits
from terminal.output import Cell, Output

_DAYS_OF_A_YEAR = 366


@dataclass(frozen=True)
class Ranking:
    """What one source of a graph says about its links."""

    pairs: Pairs
    measures: dict[str, Measure]  # by scorer
    choice: Choice | None  # None where one scorer was asked for
    fit: CrossFit
    links: list[Potential]  # all of them, the most avoided first


def rank(
    graph: TerritoryGraph,
    *,
    scorer: str = "auto",
    seed: int = 1,
    days: int = WORKING_DAYS,
    repeats: int = REPEATS,
) -> Ranking:
    """The links of the first source of commuting flows, contributed data first.

    `scorer` is gravity, gnn or auto. Raises PotentialRefused, LearningUnavailable.
    """
    if not 1 <= days <= _DAYS_OF_A_YEAR or seed < 0:
        raise PotentialRefused(
            f"{days} days and seed {seed} are no year and no seed",
            remedy=f"give 1 to {_DAYS_OF_A_YEAR} days and a seed of 0 or more",
        )
    found = commutes(graph)
    if not found:
        raise PotentialRefused("the graph has no commuting flows")
    of_source = pairs(graph, found[0])
    scorers: list[Scorer] = []
    if scorer != "gnn":
        scorers.append(GravityScorer())
    if scorer != "gravity":
        scorers.append(_network())
    fits = [cross_fit(of_source, one, seed, repeats) for one in scorers]
    choice = choose(of_source, *fits) if len(fits) > 1 else None
    fit = fits[0] if choice is None else choice.chosen
    return Ranking(
        pairs=of_source,
        measures={one.name: measure(of_source, one.scores) for one in fits},
        choice=choice,
        fit=fit,
        links=potentials(of_source, fit.scores, factors.of_ways(graph), days=days),
    )


def potential(arguments: argparse.Namespace) -> int:
    """The ranking as tables and sentences, as JSON, and as a map."""
    if arguments.top < 1:
        raise PotentialRefused(
            f"{arguments.top} links are none", remedy="give --top a number of 1 or more"
        )
    signed = commands.opened(arguments, arguments.graph)
    days = WORKING_DAYS if arguments.days is None else arguments.days
    ranking = rank(signed.graph, scorer=arguments.scorer, seed=arguments.seed, days=days)
    speaker = Speaker(signed.graph, ranking.pairs.minimum, arguments.language)
    top = [
        (link, carriers(ranking.pairs, ranking.fit, link))
        for link in ranking.links[: arguments.top]
    ]
    if arguments.draw is not None:
        image = picture.draw(signed.graph, [link for link, _ in top], speaker, arguments.language)
        make_directory(arguments.draw.absolute().parent)
        write_atomic(arguments.draw, image)
    output = Output(as_json=arguments.json)
    if arguments.json:
        output.record(
            {
                **commands.about(signed),
                **_figures(ranking),
                "links": [_row(number, *item, speaker) for number, item in enumerate(top, start=1)],
            }
        )
        return exits.OK
    _tell(output, ranking, top, speaker)
    return exits.OK


def _network() -> Scorer:
    try:
        from graph.learning.potential import NetworkScorer  # noqa: PLC0415 - torch is an extra
    except ModuleNotFoundError as error:
        raise LearningUnavailable(
            f"the network needs the Python package {error.name}, which is not installed here"
        ) from error
    return NetworkScorer()


def _figures(ranking: Ranking) -> dict[str, Any]:
    choice = ranking.choice
    return {
        "source": ranking.pairs.source,
        "scorer": ranking.fit.name,
        "gain": None if choice is None else _rounded(choice.gain),
        "gain error": None if choice is None else _rounded(choice.error),
        "held out": {
            name: {key: _rounded(value) for key, value in asdict(found).items()}
            for name, found in ranking.measures.items()
        },
        "ranked": len(ranking.links),
        "avoided kgCO2e/year": _rounded(sum(link.avoided.value for link in ranking.links)),
    }


def _row(number: int, link: Potential, found: list[Carrier], speaker: Speaker) -> dict[str, Any]:
    return {
        "rank": number,
        "title": speaker.title(link),
        "home": link.home,
        "work": link.work,
        "mode": link.mode,
        "instead of": link.instead_of,
        "kind": link.kind.value,
        "persons": _rounded(link.persons),
        "persons instead": _rounded(link.persons_instead),
        "share": _rounded(link.share),
        "plausible share": _rounded(link.plausible),
        "presence": _rounded(link.presence),
        "shift persons": _ends(link.shift),
        "km": _rounded(link.km),
        "days": link.days,
        "saved kgCO2e/km": _ends(link.saved),
        "avoided kgCO2e/year": _ends(link.avoided),
        "carriers": [
            {key: _rounded(value) for key, value in asdict(item).items()} for item in found
        ],
        "sources": list(link.sources),
        "reason": speaker.reason(link, found),
    }


def _tell(
    output: Output,
    ranking: Ranking,
    top: list[tuple[Potential, list[Carrier]]],
    speaker: Speaker,
) -> None:
    measures: list[list[Cell]] = [
        [name, found.auc, found.log_loss, found.share_log_loss, name == ranking.fit.name]
        for name, found in ranking.measures.items()
    ]
    output.table(["scorer", "auc", "log-loss", "share log-loss", "used"], measures)
    output.line("")
    rows: list[list[Cell]] = [
        [
            number,
            speaker.title(link),
            round(link.shift.value),
            round(link.km, 1),
            speaker.tonnes(link.avoided),
        ]
        for number, (link, _) in enumerate(top, start=1)
    ]
    if not rows:
        output.line("no link of this graph is plausible and avoids CO2e")
        return
    output.table(["", "link", "persons", "km", "tCO2e/year"], rows)
    for number, (link, found) in enumerate(top, start=1):
        output.line("")
        output.line(f"{number}. {speaker.title(link)}")
        for sentence in speaker.reason(link, found):
            output.line(f"   {sentence}")
    left = len(ranking.links) - len(top)
    if left:
        output.line("")
        output.line(f"… and {left} more; --top {len(ranking.links)} shows every one")


def _ends(estimate: Estimate) -> dict[str, Any]:
    return {key: _rounded(value) for key, value in asdict(estimate).items()}


def _rounded(value: Any) -> Any:
    # Six digits: the same on every processor, and more than any of these numbers deserves.
    return float(f"{value:.6g}") if isinstance(value, float) else value
